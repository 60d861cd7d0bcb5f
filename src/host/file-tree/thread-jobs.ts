/**
 * A tree thread's side: takes jobs one after the other and posts their ends.
 *
 * Always holds: a handler runs to its end before the next begins; what it throws is the end of its job only.
 */
import { parentPort } from "node:worker_threads";
import { asRopewalkError } from "../../base/errors.ts";
import { END_OF_JOBS, type JobEnd, type JobMessage } from "./tree-thread.ts";

/** A result, and what of it is handed over instead of copied. */
export interface Handed<Result> {
  readonly result: Result;
  readonly transfer: readonly ArrayBuffer[];
}

/** A table of these has requests of its own types. */
export type Handler = (request: never) => Handed<unknown>;
export type JobHandlers = Readonly<Record<string, Handler>>;
export type HandlerRequest<H> = H extends (request: infer Request) => unknown ? Request : never;
export type HandlerResult<H> = H extends (request: never) => Handed<infer Result> ? Result : never;

/** A result that is copied. */
export function copied<Result>(result: Result): Handed<Result> {
  return { result, transfer: [] };
}

/** Called once, by the thread's own file. */
export function serveJobs(handlers: JobHandlers): void {
  const port = parentPort!;
  port.on("message", (message: JobMessage | typeof END_OF_JOBS) => {
    if (message === END_OF_JOBS) {
      port.close();
      return;
    }
    const { job } = message;
    try {
      const { result, transfer } = handlers[message.name]!(message.request as never);
      port.postMessage({ job, result } satisfies JobEnd, transfer);
    } catch (cause) {
      const { code, message: sentence } = asRopewalkError(cause);
      port.postMessage({ job, error: { code, sentence } } satisfies JobEnd);
    }
  });
}
