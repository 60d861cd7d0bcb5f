/**
 * Threads that do a directory tree's blocking calls: a job is a name and a request, its end a result.
 *
 * Always holds: a job goes to the thread with the fewest jobs, and ends exactly once, also when its thread dies
 * (INTERNAL). Threads start when there is something to do for them, at most `count`; an idle one holds no process.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { Deferred } from "../../base/deferred.ts";
import { type ErrorCode, RopewalkError } from "../../base/errors.ts";
import type { HandlerRequest, HandlerResult, JobHandlers } from "./thread-jobs.ts";

const COUNT_MAX = 64;

/** To the thread; without `job` it shall end. */
export interface JobMessage {
  readonly job: number;
  readonly name: string;
  readonly request: unknown;
}

/** From the thread. */
export interface JobEnd {
  readonly job: number;
  readonly result?: unknown;
  readonly error?: { readonly code: ErrorCode; readonly sentence: string };
}

export const END_OF_JOBS = "end";

interface Thread {
  readonly worker: Worker;
  readonly jobs: Map<number, Deferred<unknown>>;
  readonly ended: Promise<void>;
}

export interface TreeThreadsOptions {
  /** `new URL("./x-thread.ts", import.meta.url)`: it calls `serveJobs`. */
  readonly script: URL;
  /** 1 to 64; default: as many as processors, at most 4. */
  readonly count?: number | undefined;
}

export class TreeThreads<Handlers extends JobHandlers> {
  readonly #script: URL;
  readonly count: number;
  #threads: Thread[] = [];
  #nextJob = 1;
  #isClosing = false;

  constructor(options: TreeThreadsOptions) {
    this.#script = options.script;
    this.count = Math.max(1, Math.min(options.count ?? Math.min(4, availableParallelism()), COUNT_MAX));
  }

  /** Errors: those that the handler throws; SHUTTING_DOWN; INTERNAL when the thread dies. */
  async run<Name extends keyof Handlers & string>(
    name: Name,
    request: HandlerRequest<Handlers[Name]>,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<HandlerResult<Handlers[Name]>> {
    if (this.#isClosing) throw new RopewalkError("SHUTTING_DOWN", "The directory tree is closing.");
    const thread = this.#leastBusy();
    const ended = new Deferred<unknown>();
    const job = this.#nextJob++;
    if (thread.jobs.size === 0) thread.worker.ref();
    thread.jobs.set(job, ended);
    const message: JobMessage = { job, name, request };
    thread.worker.postMessage(message, transfer);
    return (await ended.promise) as HandlerResult<Handlers[Name]>;
  }

  /** Waits for the jobs that are under way, then the threads end by themselves: one that is cut off in a call could abort the process. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(
      this.#threads.map((thread) => {
        thread.worker.ref();
        thread.worker.postMessage(END_OF_JOBS);
        return thread.ended;
      }),
    );
  }

  #leastBusy(): Thread {
    let found: Thread | undefined;
    for (const thread of this.#threads)
      if (found === undefined || thread.jobs.size < found.jobs.size) found = thread;
    if (found !== undefined && (found.jobs.size === 0 || this.#threads.length >= this.count)) return found;
    const started = this.#start();
    this.#threads.push(started);
    return started;
  }

  #start(): Thread {
    const worker = new Worker(this.#script);
    const ended = new Deferred();
    const thread: Thread = { worker, jobs: new Map(), ended: ended.promise };
    worker.unref();
    worker.on("message", (end: JobEnd) => this.#end(thread, end));
    worker.on("error", (error) => this.#died(thread, error));
    worker.on("exit", () => {
      this.#died(thread, undefined);
      ended.resolve();
    });
    return thread;
  }

  #end(thread: Thread, end: JobEnd): void {
    const job = thread.jobs.get(end.job);
    thread.jobs.delete(end.job);
    if (thread.jobs.size === 0 && !this.#isClosing) thread.worker.unref();
    if (end.error === undefined) job?.resolve(end.result);
    else job?.reject(new RopewalkError(end.error.code, end.error.sentence));
  }

  #died(thread: Thread, cause: unknown): void {
    this.#threads = this.#threads.filter((other) => other !== thread);
    for (const job of thread.jobs.values())
      job.reject(
        new RopewalkError("INTERNAL", "A thread of a directory tree ended; the call was not done.", {
          cause,
        }),
      );
    thread.jobs.clear();
  }
}
