// The tests' own NBD client with many requests at once: replies are matched by cookie, in whatever order they
// come. When the connection ends, everything outstanding fails.

import type { BlockClient } from "./block-client.ts";
import { assemble, type ClientMode, NbdClient, type Reply, type Request } from "./nbd-client.ts";

const FUA = 1;
const [READ, WRITE, DISCONNECT, FLUSH, TRIM, WRITE_ZEROES] = [0, 1, 2, 3, 4, 6] as const;

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

export class NbdBlockClient implements BlockClient {
  readonly #client: NbdClient;
  readonly #waiting = new Map<bigint, Waiting>();
  #over: Error | undefined;

  private constructor(client: NbdClient) {
    this.#client = client;
    void this.#pump();
  }

  static async open(
    where: string | { port: number },
    exportName: string,
    mode: ClientMode = "simple",
  ): Promise<NbdBlockClient> {
    return new NbdBlockClient(await NbdClient.open(where, exportName, mode));
  }

  get sizeBytes(): number {
    return Number(this.#client.size);
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const reply = await this.ask({ type: READ, offset, length });
    const bytes = this.#client.mode === "simple" ? reply.data : assemble(reply, offset, length);
    // A copy at the start of its own memory, so that it can be looked at as 32-bit words.
    return new Uint8Array(bytes);
  }

  async write(offset: number, payload: Uint8Array, { fua }: { fua: boolean }): Promise<void> {
    await this.ask({ type: WRITE, offset, payload, flags: fua ? FUA : 0 });
  }

  async zero(offset: number, length: number): Promise<void> {
    await this.ask({ type: WRITE_ZEROES, offset, length });
  }

  async trim(offset: number, length: number): Promise<void> {
    await this.ask({ type: TRIM, offset, length });
  }

  async flush(): Promise<void> {
    await this.ask({ type: FLUSH });
  }

  /** Any request; rejects when the reply is an error or never comes. */
  async ask(request: Request): Promise<Reply> {
    if (this.#over) throw this.#over;
    const reply = await new Promise<Reply>((resolve, reject) => {
      this.#waiting.set(this.#client.request(request), { resolve, reject });
    });
    if (reply.errno !== 0) throw new NbdError(request.type, reply.errno);
    return reply;
  }

  async close(): Promise<void> {
    if (!this.#over) this.#client.request({ type: DISCONNECT });
    await this.#client.untilClosed();
    this.#client[Symbol.dispose]();
  }

  async #pump(): Promise<void> {
    try {
      for (;;) {
        const reply = await this.#client.reply();
        const waiting = this.#waiting.get(reply.cookie);
        if (waiting === undefined) throw new Error(`a reply to no request, cookie ${reply.cookie}`);
        this.#waiting.delete(reply.cookie);
        waiting.resolve(reply);
      }
    } catch (error) {
      this.#over = error as Error;
      for (const { reject } of this.#waiting.values()) reject(this.#over);
      this.#waiting.clear();
    }
  }
}

export class NbdError extends Error {
  readonly errno: number;

  constructor(type: number, errno: number) {
    super(`request of type ${type} failed with errno ${errno}`);
    this.errno = errno;
  }
}
