// The HTTP front end on a free port over a small pool, for tests of the API and of its clients.
import { Control, type ControlOptions } from "../../src/control/mod.ts";
import { BearerKey, HTTP_LIMITS_DEFAULT, type HttpLimits, HttpServer } from "../../src/frontend/http/mod.ts";
import { hostClock, hostRandom } from "../../src/host/mod.ts";
import { TOKEN_KEY_BYTES, TokenRoom } from "../../src/offload/mod.ts";
import type { Pool } from "../../src/pool/mod.ts";
import { openSmallPool } from "./small-pool.ts";

export interface ServedControl extends AsyncDisposable {
  readonly url: string;
  readonly key: string;
  readonly pool: Pool;
  readonly control: Control;
  readonly server: HttpServer;
  /** What was logged as an error. */
  readonly defects: object[];
  /** Sends a request with the key; a body is sent as JSON. */
  call(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; json: unknown; headers: Headers }>;
}

export async function serveControl(
  limits: Partial<HttpLimits> = {},
  filesync: Pick<ControlOptions, "filesyncs" | "filesyncTargets"> = {},
): Promise<ServedControl> {
  const opened = await openSmallPool();
  const { pool } = opened;
  const machine = {
    version: "1.2.3",
    rssBytes: () => 12_345,
    longestTurnMs: () => ({ lastMinute: 1.5, sinceStart: 20 }),
    longestDelayMs: () => ({ lastMinute: 2.5, sinceStart: 30 }),
  };
  const tokens = await TokenRoom.open({
    pool,
    clock: hostClock,
    random: hostRandom,
    key: hostRandom.bytes(TOKEN_KEY_BYTES),
    report() {},
  });
  const control = new Control({
    pool,
    clock: hostClock,
    machine,
    stack: (_volume, device) => device,
    tokens,
    ...filesync,
  });
  const key = "test-key-0123456789";
  const defects: object[] = [];
  const server = new HttpServer({
    control: Promise.resolve(control),
    key: new BearerKey(key),
    version: machine.version,
    log: { debug() {}, info() {}, error: (fields) => void defects.push(fields) },
    connections: () => ({ nbd: 3 }),
    limits: { ...HTTP_LIMITS_DEFAULT, ...limits },
    clock: hostClock,
  });
  const [address] = await server.listen({ host: "127.0.0.1", port: 0 });
  const url = `http://${address}`;
  return {
    url,
    key,
    pool,
    control,
    server,
    defects,
    async call(method, path, body) {
      const response = await fetch(url + path, {
        method,
        headers: {
          authorization: `Bearer ${key}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
      return {
        status: response.status,
        headers: response.headers,
        json: text === "" ? undefined : isJson ? (JSON.parse(text) as unknown) : text,
      };
    },
    async [Symbol.asyncDispose]() {
      await server.close(0);
      await control.stop();
      await tokens.close();
      await opened[Symbol.asyncDispose]();
    },
  };
}

/** Lets the pool's next scrubs find this damage, and end only when `gate` does. */
export function stageScrub(pool: Pool, stage: { damage?: readonly string[]; gate?: Promise<void> }): void {
  pool.scrub = async ({ onError, onProgress, signal } = {}) => {
    const cancelled = Promise.withResolvers<never>();
    signal?.addEventListener("abort", () => cancelled.reject(signal.reason));
    const damage = stage.damage ?? [];
    for (const sentence of damage) onError?.(sentence);
    onProgress?.(3);
    await Promise.race([stage.gate, cancelled.promise]);
    return { blocks: 7, errors: damage.length };
  };
}
