/**
 * The threads that do a directory tree's blocking calls: a job is a name and a request, its end a result.
 *
 * Always holds: a job goes to the thread with the fewest jobs, and ends exactly once, also when its thread dies
 * (INTERNAL). The tree takes threads when there is something to do for them, at most `count`, and leaves them when it closes.
 */
import { availableParallelism } from "node:os";
import { RopewalkError } from "../../base/errors.ts";
import type { HandlerRequest, HandlerResult, JobHandlers } from "./thread-jobs.ts";
import { TreeThread } from "./tree-thread.ts";

const COUNT_MAX = 64;

export interface TreeThreadsOptions {
  /** `new URL("./x-thread.ts", import.meta.url)`: it calls `serveJobs`. */
  readonly script: URL;
  /** 1 to 64; default: as many as processors, at most 4. */
  readonly count?: number | undefined;
}

/** Of a tree that has `count` threads for all else: one processor is left to what is not compared. */
export function scanThreadsOf(count: number): number {
  return Math.max(1, count - 1);
}

export class TreeThreads<Handlers extends JobHandlers> {
  readonly #script: URL;
  readonly count: number;
  #threads: TreeThread[] = [];
  readonly #underWay = new Set<Promise<unknown>>();
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
    const ended = this.#leastBusy().run(name, request, transfer);
    this.#underWay.add(ended);
    try {
      return (await ended) as HandlerResult<Handlers[Name]>;
    } finally {
      this.#underWay.delete(ended);
    }
  }

  /** Waits for the jobs that are under way; then the threads are free for other trees. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.allSettled(this.#underWay);
    const threads = this.#threads;
    this.#threads = [];
    for (const thread of threads) thread.leave();
  }

  #leastBusy(): TreeThread {
    let found: TreeThread | undefined;
    this.#threads = this.#threads.filter((thread) => !thread.isDead);
    for (const thread of this.#threads) if (found === undefined || thread.jobs < found.jobs) found = thread;
    if (found !== undefined && (found.jobs === 0 || this.#threads.length >= this.count)) return found;
    const taken = TreeThread.take(this.#script);
    this.#threads.push(taken);
    return taken;
  }
}
