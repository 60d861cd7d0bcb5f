/**
 * The HTTP front end as the daemon starts and stops it.
 * Always holds: it listens before the pool is open, so that a taken address is known before anything is made;
 * requests that come meanwhile wait. Errors: ADDRESS_IN_USE.
 */
import { RopewalkError } from "../../base/errors.ts";
import { formatAddress } from "../../control/mod.ts";
import { type Clock, nextTurn } from "../../ports/mod.ts";
import type { Application } from "./api.ts";
import { type ApplicationOptions, makeApplication } from "./application.ts";

const WARM_UP_ROUNDS = 3;

export class HttpServer {
  readonly #app: Application;
  readonly #clock: Clock;
  #connections = 0;

  constructor(
    options: Omit<ApplicationOptions, "connections" | "nextTurn"> & {
      readonly clock: Clock;
      /** Connections of the other front ends. */
      readonly connections: () => Record<string, number>;
    },
  ) {
    this.#clock = options.clock;
    const connections = () => ({ ...options.connections(), http: this.#connections });
    this.#app = makeApplication({ ...options, connections, nextTurn: () => nextTurn(options.clock) });
    this.#app.server.on("connection", (socket) => {
      this.#connections++;
      socket.once("close", () => void this.#connections--);
    });
  }

  /** Listens; the addresses as HOST:PORT. ADDRESS_IN_USE */
  async listen({ host, port }: { host: string; port: number }): Promise<string[]> {
    try {
      await this.#app.listen({ host, port, backlog: 511 });
    } catch (cause) {
      await this.#app.close();
      throw addressError(formatAddress({ host, port }), cause);
    }
    return this.#app
      .addresses()
      .map((bound) =>
        typeof bound === "string" ? bound : formatAddress({ host: bound.address, port: bound.port }),
      );
  }

  /**
   * Asks itself for what every client asks first, with the admin `key`: the first answer compiles code for several
   * milliseconds, which the clients of volumes would wait for later.
   */
  async warmUp(key: string): Promise<void> {
    const headers = { authorization: `Bearer ${key}` };
    for (const url of ["/metrics", "/api/v1/status", "/api/v1/volumes"])
      for (let round = 0; round < WARM_UP_ROUNDS; round++)
        await this.#app.inject({ method: "GET", url, headers });
  }

  /** Stops accepting, lets requests under way finish for at most `graceMs`, then cuts them. */
  async close(graceMs: number): Promise<void> {
    const timer = this.#clock.after(graceMs, () => this.#app.server.closeAllConnections());
    await this.#app.close();
    timer.cancel();
  }
}

function addressError(address: string, cause: unknown): unknown {
  const reasons: Record<string, string> = {
    EADDRINUSE: "is in use by another process; stop it, or name another address with --http",
    EADDRNOTAVAIL: "is no address of this machine; name another one with --http",
    EACCES: "may not be listened on by this user; name another one with --http",
    ENOTFOUND: "has a host name that nobody knows; name another one with --http",
  };
  const reason = reasons[(cause as { code?: string }).code ?? ""];
  if (reason === undefined) return cause;
  return new RopewalkError("ADDRESS_IN_USE", `The HTTP address ${address} ${reason}.`, { cause });
}
