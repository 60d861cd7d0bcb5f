/**
 * Page threads of this process: some checksum and read pages, others write, so that a writer whom the kernel holds up
 * keeps nobody from reading.
 *
 * Always holds: a promise resolves or rejects exactly once; memory is handed out once.
 */
import { availableParallelism, constants } from "node:os";
import type { PageThreads } from "../../ports/mod.ts";
import { JobKind, JobState, PAGES_PER_JOB_MAX, PARTS_PER_JOB_MAX } from "./job-board.ts";
import { JobThreads, THREAD_DIED } from "./job-threads.ts";

const PAGE_BYTES = 4096;
/** What connections receive and send in (60 chunks of four requests of 128 KiB), and what the log gathers in. */
const MEMORY_BYTES = 48 * 1024 * 1024;
/** Fewer pages cost less here than their hand-over. */
const PAGES_MIN = 16;
/** A file's lock lets its writers in one by one, so one is enough; a thread takes some 23 MB. */
const WRITERS = 1;
/**
 * A busy loop has the next job sooner than a thread wakes up, which on a virtual machine costs the loop 5 µs and the
 * job 40. Where threads, loop and clients share few processors, looking takes time from the others.
 */
const LOOK_MS_ROOMY = 0.1;
const LOOK_MS_TIGHT = 0.02;

/** How a write failed. */
export interface FailedWrite {
  /** EIO also when fewer bytes than given were written, or the thread died. */
  readonly errno: number;
}

export class HostPageThreads implements PageThreads {
  readonly #memory: SharedArrayBuffer;
  readonly #readers: JobThreads;
  readonly #writers: JobThreads;
  readonly ready: Promise<unknown>;
  #allocated = 0;

  /** `count`: how many checksum and read; `memoryBytes`: what they share with the loop, touched as it is used. */
  constructor(options: { count: number; memoryBytes: number }) {
    const { count } = options;
    this.#memory = new SharedArrayBuffer(options.memoryBytes);
    const lookMs = availableParallelism() >= 2 * count ? LOOK_MS_ROOMY : LOOK_MS_TIGHT;
    this.#readers = new JobThreads({ count, memory: this.#memory, lookMs });
    this.#writers = new JobThreads({ count: WRITERS, memory: this.#memory, lookMs: LOOK_MS_TIGHT });
    this.ready = Promise.all([this.#readers.ready, this.#writers.ready]);
  }

  get inWork(): number {
    return this.#readers.inWork;
  }

  allocate(lengthBytes: number): Uint8Array | undefined {
    if (this.#allocated + lengthBytes > this.#memory.byteLength) return undefined;
    const bytes = new Uint8Array(this.#memory, this.#allocated, lengthBytes);
    this.#allocated += lengthBytes;
    return bytes;
  }

  checksums(bytes: Uint8Array): Promise<Uint32Array | undefined> | undefined {
    const readers = this.#readers;
    const pages = Math.floor(bytes.length / PAGE_BYTES);
    const jobs = Math.ceil(pages / PAGES_PER_JOB_MAX);
    if (!this.#sees(bytes) || pages < PAGES_MIN || !readers.takes(jobs)) return undefined;
    const sums = new Uint32Array(pages);
    return new Promise((resolve) => {
      let missing = jobs;
      let isDone = true;
      for (let first = 0; first < pages; first += PAGES_PER_JOB_MAX) {
        const count = Math.min(PAGES_PER_JOB_MAX, pages - first);
        const from = readers.nextDetails;
        const ended = (state: number) => {
          if (state === THREAD_DIED) isDone = false;
          else sums.set(readers.details.subarray(from, from + count), first);
          missing -= 1;
          if (missing === 0) resolve(isDone ? sums : undefined);
        };
        const offset = bytes.byteOffset + first * PAGE_BYTES;
        readers.post({ kind: JobKind.checksum, descriptor: 0, position: 0, offset, count, ended });
      }
      readers.announce(jobs);
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
    const readers = this.#readers;
    const pages = target.length / PAGE_BYTES;
    const jobs = Math.ceil(pages / PAGES_PER_JOB_MAX);
    if (!this.#sees(target) || pages < PAGES_MIN || !readers.takes(jobs)) return undefined;
    return new Promise((resolve) => {
      let missing = jobs;
      let matches = true;
      const ended = (state: number) => {
        if (state !== JobState.done) matches = false;
        missing -= 1;
        if (missing === 0) resolve(matches);
      };
      for (let first = 0; first < pages; first += PAGES_PER_JOB_MAX) {
        const count = Math.min(PAGES_PER_JOB_MAX, pages - first);
        const to = readers.nextDetails;
        for (let page = 0; page < count; page += 1) readers.details[to + page] = sums[first + page]!;
        readers.post({
          kind: JobKind.read,
          descriptor,
          position: position + first * PAGE_BYTES,
          offset: target.byteOffset + first * PAGE_BYTES,
          count,
          ended,
        });
      }
      readers.announce(jobs);
    });
  }

  /**
   * Writes `parts` one behind the other at `position` of an open file; undefined when they are too many or not in the
   * shared memory. Resolves to what went wrong, if anything did. The descriptor must stay open until then.
   */
  write(
    descriptor: number,
    position: number,
    parts: readonly Uint8Array[],
  ): Promise<FailedWrite | undefined> | undefined {
    const writers = this.#writers;
    if (parts.length > PARTS_PER_JOB_MAX || !writers.takes(1)) return undefined;
    for (const part of parts) if (!this.#sees(part)) return undefined;
    return new Promise((resolve) => {
      const at = writers.nextDetails;
      parts.forEach((part, index) => {
        writers.details[at + 2 * index] = part.byteOffset;
        writers.details[at + 2 * index + 1] = part.length;
      });
      const ended = (state: number, job: number) => {
        if (state === JobState.done) resolve(undefined);
        else resolve({ errno: (state === THREAD_DIED ? 0 : writers.errnoOf(job)) || constants.errno.EIO });
      };
      writers.post({ kind: JobKind.write, descriptor, position, offset: 0, count: parts.length, ended });
      writers.announce(1);
    });
  }

  async close(): Promise<void> {
    await Promise.all([this.#readers.close(), this.#writers.close()]);
  }

  #sees(bytes: Uint8Array): boolean {
    return bytes.buffer === this.#memory;
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
