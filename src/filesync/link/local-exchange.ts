/**
 * Requests to a target in this process: no bytes are packed, none are copied.
 * Always holds: it ends like a connection does, and takes what was begun with it.
 */
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import { releaseMemory } from "../../base/release-memory.ts";
import type { ReplyTo, Request } from "../../wire/filesync/mod.ts";
import type { TargetSession } from "../target/target-session.ts";
import type { Exchange } from "./exchange.ts";

export class LocalExchange implements Exchange {
  readonly closed: Promise<RopewalkError | undefined>;
  progress = 0;
  readonly #session: TargetSession;
  readonly #closed = new Deferred<RopewalkError | undefined>();
  readonly #waiting = new Set<(error: RopewalkError) => void>();
  #error: RopewalkError | undefined;
  #isClosed = false;

  constructor(session: TargetSession) {
    this.#session = session;
    this.closed = this.#closed.promise;
  }

  ask<Type extends Request["type"]>(request: Extract<Request, { type: Type }>): Promise<ReplyTo<Type>> {
    if (this.#isClosed) return Promise.reject(this.#reason());
    this.progress += 1;
    return new Promise((resolve, reject) => {
      // Whoever waits hears of the end at once, although the tree may still be busy.
      this.#waiting.add(reject);
      this.#session
        .handle(request)
        .then((reply) => resolve(reply as ReplyTo<Type>), reject)
        .finally(() => {
          if ("bundle" in request) releaseMemory(request.bundle);
          this.#waiting.delete(reject);
          this.progress += 1;
        });
    });
  }

  close(): void {
    this.#end(undefined);
  }

  abandon(reason: RopewalkError): void {
    this.#end(reason);
  }

  #end(reason: RopewalkError | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#error = reason;
    for (const reject of this.#waiting) reject(this.#reason());
    this.#waiting.clear();
    void this.#session.close().finally(() => this.#closed.resolve(reason));
  }

  #reason(): RopewalkError {
    return this.#error ?? new RopewalkError("UNREACHABLE", "The connection was closed.");
  }
}
