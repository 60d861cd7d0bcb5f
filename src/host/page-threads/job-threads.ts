/**
 * Some threads with one board of jobs.
 *
 * Always holds: a job's end is told exactly once, also when its thread dies; while jobs are in work the loop looks for
 * their ends each turn, and sleeps only after it has asked to be woken. Once a thread has died no job is taken
 * any more.
 */
import { Worker } from "node:worker_threads";
import {
  BOARD_BYTES,
  detailsAt,
  JOB_MASK,
  JOBS,
  JobState,
  JobWord,
  jobAt,
  THREAD_READY,
  type ThreadStart,
  Word,
} from "./job-board.ts";

/** What ends soon is worth looking for each turn; after that the loop may sleep. */
const LOOK_MS = 0.2;
/** Told instead of a state: the job was on its way, or not even begun, when its thread died. */
export const THREAD_DIED = -1;

interface Thread {
  readonly worker: Worker;
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
}

export interface Job {
  readonly kind: number;
  readonly descriptor: number;
  readonly position: number;
  readonly offset: number;
  readonly count: number;
  /** Told the state that it ended with, or THREAD_DIED, and its number. */
  readonly ended: (state: number, job: number) => void;
}

export class JobThreads {
  readonly #words: Int32Array;
  readonly #details: Uint32Array;
  readonly #threads: readonly Thread[];
  /** The threads take jobs from then on. */
  readonly ready: Promise<void>;
  readonly #ended: (Job["ended"] | undefined)[] = new Array(JOBS).fill(undefined);
  #posted = 0;
  /** All jobs before this one have ended. */
  #oldest = 0;
  #isLooking = false;
  #lastEndMs = 0;
  #isUsable = false;
  #isClosing = false;
  inWork = 0;

  /** `lookMs`: how long a thread looks for a job before it sleeps. */
  constructor(options: { count: number; memory: SharedArrayBuffer; lookMs: number }) {
    const board = new SharedArrayBuffer(BOARD_BYTES);
    this.#words = new Int32Array(board);
    this.#details = new Uint32Array(board);
    const start: ThreadStart = { board, memory: options.memory, lookMs: options.lookMs };
    this.#threads = Array.from({ length: options.count }, () => this.#start(start));
    this.ready = this.#begin();
  }

  #start(start: ThreadStart): Thread {
    const worker = new Worker(new URL("./page-thread.ts", import.meta.url), {
      workerData: start,
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
    });
    worker.unref();
    const ready = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    worker.on("message", (message) => {
      if (message === THREAD_READY) ready.resolve();
      else this.#look();
    });
    worker.on("error", () => this.#died());
    worker.on("exit", () => {
      ready.resolve();
      ended.resolve();
      this.#died();
    });
    return { worker, ready: ready.promise, ended: ended.promise };
  }

  async #begin(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.ready));
    this.#isUsable = !this.#isClosing;
  }

  #died(): void {
    if (!this.#isClosing) void this.close();
  }

  /** Whether so many jobs can be posted now. */
  takes(jobs: number): boolean {
    return this.#isUsable && ((this.#posted - this.#oldest) | 0) + jobs <= JOBS;
  }

  /** Where the details of the next job go: a word of `details`. */
  get nextDetails(): number {
    return detailsAt(this.#posted);
  }

  get details(): Uint32Array {
    return this.#details;
  }

  errnoOf(job: number): number {
    return this.#words[jobAt(job) + JobWord.errno]!;
  }

  /** Puts a job on the board; `takes` was true, and `announce` follows. */
  post(job: Job): void {
    const number = this.#posted;
    const at = jobAt(number);
    this.#words[at + JobWord.kind] = job.kind;
    this.#words[at + JobWord.descriptor] = job.descriptor;
    this.#words[at + JobWord.positionLow] = job.position;
    this.#words[at + JobWord.positionHigh] = job.position / 2 ** 32;
    this.#words[at + JobWord.offset] = job.offset;
    this.#words[at + JobWord.count] = job.count;
    Atomics.store(this.#words, at + JobWord.state, JobState.posted);
    this.#ended[number & JOB_MASK] = job.ended;
    this.#posted = (number + 1) | 0;
    this.inWork += 1;
  }

  /** Wakes as many threads as there are new jobs. */
  announce(jobs: number): void {
    Atomics.store(this.#words, Word.posted, this.#posted);
    this.#ring(jobs);
    this.#look();
  }

  #ring(threads: number): void {
    Atomics.add(this.#words, Word.bell, 1);
    Atomics.notify(this.#words, Word.bell, threads);
  }

  #look(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#lastEndMs = performance.now();
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    const nowMs = performance.now();
    if (this.#collect()) this.#lastEndMs = nowMs;
    if (this.inWork > 0 && nowMs - this.#lastEndMs >= LOOK_MS) {
      Atomics.store(this.#words, Word.sleeping, 1);
      // What ended before the threads could see that is found now.
      if (!this.#collect()) {
        this.#isLooking = false;
        return;
      }
      Atomics.store(this.#words, Word.sleeping, 0);
    }
    if (this.inWork > 0) setImmediate(this.#turn);
    else this.#isLooking = false;
  };

  /** Ends the jobs that are done; whether there were any. */
  #collect(): boolean {
    const before = this.inWork;
    for (let job = this.#oldest; job !== this.#posted; job = (job + 1) | 0) {
      const ended = this.#ended[job & JOB_MASK];
      if (ended !== undefined) {
        const state = Atomics.load(this.#words, jobAt(job) + JobWord.state);
        if (state === JobState.posted) continue;
        this.#end(job, ended, state);
      }
      if (job === this.#oldest) this.#oldest = (job + 1) | 0;
    }
    return this.inWork < before;
  }

  #end(job: number, ended: Job["ended"], state: number): void {
    this.#ended[job & JOB_MASK] = undefined;
    this.inWork -= 1;
    ended(state, job);
  }

  /**
   * Ends the threads, once they are through with starting: Node aborts the process when a thread is cut off while it
   * loads a library. What they had in work ends too, when none can touch it any more.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#isUsable = false;
    // Else a loop with nothing else to wait for would end the process before them.
    for (const { worker } of this.#threads) worker.ref();
    await Promise.all(this.#threads.map((thread) => thread.ready));
    Atomics.store(this.#words, Word.ending, 1);
    this.#ring(this.#threads.length);
    await Promise.all(this.#threads.map((thread) => thread.ended));
    this.#collect();
    for (let job = this.#oldest; job !== this.#posted; job = (job + 1) | 0) {
      const ended = this.#ended[job & JOB_MASK];
      if (ended !== undefined) this.#end(job, ended, THREAD_DIED);
    }
    this.#oldest = this.#posted;
  }
}
