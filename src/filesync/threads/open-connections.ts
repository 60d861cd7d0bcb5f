/**
 * The connections of a target that are open, for those who ask something besides the threads' work: comparisons and
 * verification look at the target over whichever there is.
 *
 * Always holds: what was asked over a connection that ends meanwhile is asked again over the next one; who waits for one is
 * woken by each that opens, and by the end. SHUTTING_DOWN; the target's own errors.
 */
import { Deferred } from "../../base/deferred.ts";
import { asRopewalkError, type ErrorCode, RopewalkError } from "../../base/errors.ts";
import type { TargetConnection } from "./connection.ts";

/** Why a connection ends that others used too: a target that is full fails what is sent, and its connection with it. */
const ENDS_OF_CONNECTION: ReadonlySet<ErrorCode> = new Set([
  "UNREACHABLE",
  "TIMEOUT",
  "NO_SPACE",
  "READ_ONLY",
]);

export class OpenConnections {
  readonly #open = new Set<TargetConnection>();
  /** Of those who wait for one. */
  #opened: Deferred | undefined;
  #isStopped = false;

  opened(connection: TargetConnection): void {
    this.#open.add(connection);
    void connection.closed.then(() => this.#open.delete(connection));
    this.#wake();
  }

  ended(connection: TargetConnection): void {
    this.#open.delete(connection);
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  /** Over one that there is; when it is lost meanwhile, over the next. */
  async overAny<Result>(ask: (connection: TargetConnection) => Promise<Result>): Promise<Result> {
    for (;;) {
      if (this.#isStopped)
        throw new RopewalkError("SHUTTING_DOWN", "The replication to this target was stopped.");
      const [connection] = this.#open;
      if (connection === undefined) {
        this.#opened ??= new Deferred();
        await this.#opened.promise;
        continue;
      }
      try {
        return await ask(connection);
      } catch (error) {
        if (!ENDS_OF_CONNECTION.has(asRopewalkError(error).code)) throw error;
        this.#open.delete(connection);
      }
    }
  }

  #wake(): void {
    this.#opened?.resolve();
    this.#opened = undefined;
  }
}
