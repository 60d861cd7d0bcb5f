/**
 * One call of the HTTP API.
 * Always holds: a name never changes the path of a call; every failure is a RopewalkError, the server's own
 * code when it sent one. Errors: UNREACHABLE, PROTOCOL_ERROR (who answered is no Ropewalk), CANCELLED.
 */
import { ERROR_CATALOGUE, type ErrorCode, RopewalkError } from "../base/errors.ts";
import { checkName } from "../base/object-name.ts";
import type { DaemonAddress } from "./daemon-address.ts";

export interface CallOptions {
  readonly body?: object | undefined;
  readonly query?: Record<string, string | number | boolean | undefined>;
  readonly signal?: AbortSignal | undefined;
}

type Method = "GET" | "POST" | "PATCH" | "DELETE";

export class ApiCaller {
  readonly #address: DaemonAddress;

  constructor(address: DaemonAddress) {
    this.#address = address;
  }

  /** Has the connection open, and whatever the runtime loads for the first one, before a call that is timed. */
  async prepare(): Promise<void> {
    const url = new URL("/healthz", this.#address.url);
    try {
      const response = await fetch(url, { redirect: "error" });
      await response.arrayBuffer();
    } catch (cause) {
      throw failedCall(url, cause);
    }
  }

  /** The parsed answer; undefined when it has no body. */
  async call<Answer>(method: Method, path: string, options: CallOptions = {}): Promise<Answer> {
    const response = await this.open(method, path, options);
    if (response.status === 204) return undefined as Answer;
    return (await parse(response)) as Answer;
  }

  /** A successful answer whose body is still to be read. */
  async open(method: Method, path: string, { body, query, signal }: CallOptions = {}): Promise<Response> {
    const url = new URL(`/api/v1${path}`, this.#address.url);
    for (const [name, value] of Object.entries(query ?? {}))
      if (value !== undefined) url.searchParams.set(name, String(value));
    const headers: Record<string, string> = { authorization: `Bearer ${this.#address.key}` };
    if (body !== undefined) headers["content-type"] = "application/json";
    let response: Response;
    try {
      response = await fetch(url, {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        redirect: "error",
        signal: signal ?? null,
      });
    } catch (cause) {
      throw failedCall(url, cause);
    }
    if (!response.ok) throw refusal(response.status, await parse(response));
    return response;
  }
}

/** A path's part that names a volume. INVALID_NAME, before a strange name could mean another path. */
export function volumePath(volume: string): string {
  return `/volumes/${checkName("volume", volume)}`;
}

export function snapshotPath(volume: string, snapshot: string): string {
  return `${volumePath(volume)}/snapshots/${checkName("snapshot", snapshot)}`;
}

/** What became of a call whose answer, or the rest of it, did not arrive. */
export function failedCall(url: URL | string, cause: unknown): RopewalkError {
  if (cause instanceof RopewalkError) return cause;
  const name = (cause as Error).name;
  if (name === "AbortError" || name === "TimeoutError")
    return new RopewalkError("CANCELLED", "The call was cancelled.", { cause });
  const inner = (cause as Error).cause as { code?: string; message?: string } | undefined;
  const reason = inner?.code ?? inner?.message ?? (cause as Error).message;
  const host = typeof url === "string" ? url : url.origin;
  return new RopewalkError(
    "UNREACHABLE",
    `The daemon at ${host} does not answer (${reason}); is it running?`,
    {
      cause,
    },
  );
}

async function parse(response: Response): Promise<unknown> {
  let text: string;
  try {
    text = await response.text();
  } catch (cause) {
    throw failedCall(response.url, cause);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RopewalkError("PROTOCOL_ERROR", `What answers at ${response.url} is no Ropewalk daemon.`, {
      cause,
    });
  }
}

function refusal(status: number, answer: unknown): RopewalkError {
  const { code, message } = (answer ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === "string" && Object.hasOwn(ERROR_CATALOGUE, code) && typeof message === "string")
    return new RopewalkError(code as ErrorCode, message);
  return new RopewalkError("PROTOCOL_ERROR", `The server answered with status ${status} and no known code.`);
}
