/**
 * Page threads of this process, behind the PageThreads port.
 *
 * Always holds: a job's promise resolves exactly once, also when its thread dies; while jobs are in work the loop
 * looks for their ends each turn, and sleeps only after it has asked to be woken. Once a thread has died no job is
 * taken any more.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { PageThreads } from "../../ports/mod.ts";
import {
  BOARD_BYTES,
  JOB_MASK,
  JOBS,
  JobKind,
  JobState,
  JobWord,
  jobAt,
  PAGES_PER_JOB_MAX,
  sumsAt,
  THREAD_READY,
  type ThreadStart,
  Word,
} from "./job-board.ts";

const PAGE_BYTES = 4096;
/** What connections receive and send in: 60 chunks of four requests of 128 KiB. */
const MEMORY_BYTES = 32 * 1024 * 1024;
/** Fewer pages cost less here than their hand-over. */
const PAGES_MIN = 16;
/** What ends soon is worth looking for each turn; after that the loop may sleep. */
const LOOK_MS = 0.2;
/**
 * A busy loop has the next job sooner than a thread wakes up, which on a virtual machine costs the loop 5 µs and the
 * job 40. Where threads, loop and clients share few processors, looking takes time from the others.
 */
const LOOK_MS_ROOMY = 0.1;
const LOOK_MS_TIGHT = 0.02;
/** A job on its way is dead when its thread is. */
const THREAD_DIED = -1;

interface Thread {
  readonly worker: Worker;
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
}

type Ended = (state: number) => void;

export class HostPageThreads implements PageThreads {
  readonly #memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #sums: Uint32Array;
  readonly #threads: readonly Thread[];
  /** The threads take jobs from then on. */
  readonly ready: Promise<void>;
  readonly #ended: (Ended | undefined)[] = new Array(JOBS).fill(undefined);
  #allocated = 0;
  #posted = 0;
  /** All jobs before this one have ended. */
  #oldest = 0;
  #isLooking = false;
  #lastEndMs = 0;
  #isUsable = false;
  #isClosing = false;
  inWork = 0;

  /** `count`: how many; `memoryBytes`: of the memory that they share with the loop, touched as it is used. */
  constructor(options: { count: number; memoryBytes: number }) {
    const board = new SharedArrayBuffer(BOARD_BYTES);
    this.#memory = new SharedArrayBuffer(options.memoryBytes);
    this.#words = new Int32Array(board);
    this.#sums = new Uint32Array(board);
    const lookMs = availableParallelism() >= 2 * options.count ? LOOK_MS_ROOMY : LOOK_MS_TIGHT;
    const start: ThreadStart = { board, memory: this.#memory, lookMs };
    this.#threads = Array.from({ length: options.count }, () => this.#start(start));
    this.ready = this.#begin();
  }

  #start(start: ThreadStart): Thread {
    const worker = new Worker(new URL("./page-thread.ts", import.meta.url), { workerData: start });
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

  allocate(lengthBytes: number): Uint8Array | undefined {
    if (this.#allocated + lengthBytes > this.#memory.byteLength) return undefined;
    const bytes = new Uint8Array(this.#memory, this.#allocated, lengthBytes);
    this.#allocated += lengthBytes;
    return bytes;
  }

  checksums(bytes: Uint8Array): Promise<Uint32Array | undefined> | undefined {
    const pages = Math.floor(bytes.length / PAGE_BYTES);
    if (!this.#takes(bytes, pages)) return undefined;
    const sums = new Uint32Array(pages);
    return new Promise((resolve) => {
      let missing = Math.ceil(pages / PAGES_PER_JOB_MAX);
      let isDone = true;
      for (let first = 0; first < pages; first += PAGES_PER_JOB_MAX) {
        const count = Math.min(PAGES_PER_JOB_MAX, pages - first);
        const job = this.#post(JobKind.checksum, bytes.byteOffset + first * PAGE_BYTES, count, (state) => {
          if (state === THREAD_DIED) isDone = false;
          else sums.set(this.#sums.subarray(sumsAt(job), sumsAt(job) + count), first);
          missing -= 1;
          if (missing === 0) resolve(isDone ? sums : undefined);
        });
      }
      this.#announce();
    });
  }

  /**
   * Reads the pages of `target` at `position` of an open file and compares them with `sums`. False when one was not
   * in memory or differs, undefined when nothing was begun. The descriptor must stay open until it resolves.
   */
  read(
    descriptor: number,
    position: number,
    target: Uint8Array,
    sums: Uint32Array,
  ): Promise<boolean> | undefined {
    const pages = target.length / PAGE_BYTES;
    if (!this.#takes(target, pages)) return undefined;
    return new Promise((resolve) => {
      let missing = Math.ceil(pages / PAGES_PER_JOB_MAX);
      let matches = true;
      const ended = (state: number) => {
        if (state !== JobState.matches) matches = false;
        missing -= 1;
        if (missing === 0) resolve(matches);
      };
      for (let first = 0; first < pages; first += PAGES_PER_JOB_MAX) {
        const count = Math.min(PAGES_PER_JOB_MAX, pages - first);
        const place = position + first * PAGE_BYTES;
        const at = jobAt(this.#posted);
        this.#words[at + JobWord.descriptor] = descriptor;
        this.#words[at + JobWord.positionLow] = place;
        this.#words[at + JobWord.positionHigh] = place / 2 ** 32;
        const sumAt = sumsAt(this.#posted);
        for (let page = 0; page < count; page += 1) this.#sums[sumAt + page] = sums[first + page]!;
        this.#post(JobKind.read, target.byteOffset + first * PAGE_BYTES, count, ended);
      }
      this.#announce();
    });
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
    this.#ring();
    await Promise.all(this.#threads.map((thread) => thread.ended));
    this.#collect();
    for (let job = this.#oldest; job !== this.#posted; job = (job + 1) | 0) {
      const ended = this.#ended[job & JOB_MASK];
      if (ended !== undefined) this.#end(job, ended, THREAD_DIED);
    }
    this.#oldest = this.#posted;
  }

  #takes(bytes: Uint8Array, pages: number): boolean {
    return (
      this.#isUsable &&
      pages >= PAGES_MIN &&
      bytes.buffer === this.#memory &&
      ((this.#posted - this.#oldest) | 0) + Math.ceil(pages / PAGES_PER_JOB_MAX) <= JOBS
    );
  }

  #post(kind: number, offset: number, pages: number, ended: Ended): number {
    const job = this.#posted;
    const at = jobAt(job);
    this.#words[at + JobWord.kind] = kind;
    this.#words[at + JobWord.offset] = offset;
    this.#words[at + JobWord.pages] = pages;
    Atomics.store(this.#words, at + JobWord.state, JobState.posted);
    this.#ended[job & JOB_MASK] = ended;
    this.#posted = (job + 1) | 0;
    this.inWork += 1;
    return job;
  }

  #announce(): void {
    Atomics.store(this.#words, Word.posted, this.#posted);
    this.#ring();
    this.#look();
  }

  #ring(): void {
    Atomics.add(this.#words, Word.bell, 1);
    Atomics.notify(this.#words, Word.bell);
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

  #end(job: number, ended: Ended, state: number): void {
    this.#ended[job & JOB_MASK] = undefined;
    this.inWork -= 1;
    ended(state);
  }
}

/** Two where there are processors for them beside the loop, its client and the kernel's writing; none where there is one. */
function countByDefault(): number {
  const processors = availableParallelism();
  return processors >= 4 ? 2 : processors >= 2 ? 1 : 0;
}

/** `count` threads, by default as many as the machine has room for; undefined for none. */
export function openPageThreads(count = countByDefault()): HostPageThreads | undefined {
  return count === 0 ? undefined : new HostPageThreads({ count, memoryBytes: MEMORY_BYTES });
}
