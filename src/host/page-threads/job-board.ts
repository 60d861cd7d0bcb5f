/**
 * The memory that the loop and its page threads share: a ring of jobs, and their checksums.
 *
 * | words | are |
 * | --- | --- |
 * | 0 | how many jobs were ever posted, modulo 2^32 |
 * | 1 | how many were ever taken |
 * | 2 | 1 while the loop sleeps and wants to be woken |
 * | 3 | 1 when the threads shall end |
 * | 4 | the bell: changes with every posting and at the end; the threads sleep on it |
 * | 16 + 8 i | job i of the ring: state, kind, descriptor, position (two words), offset in the memory, pages |
 * | behind | a page's checksum each, 64 for each job |
 *
 * Always holds: a job's words are written by the loop before it is posted and by the thread that took it before its
 * state changes; both sides use Atomics for what the other one waits for.
 */

export const JOBS = 256;
export const JOB_MASK = JOBS - 1;
/** 256 KiB: long enough to be worth the hand-over, short enough that several threads share a request. */
export const PAGES_PER_JOB_MAX = 64;

export const Word = { posted: 0, taken: 1, sleeping: 2, ending: 3, bell: 4 } as const;
const JOBS_AT = 16;
const WORDS_PER_JOB = 8;
const SUMS_AT = JOBS_AT + JOBS * WORDS_PER_JOB;

export const JobWord = {
  state: 0,
  kind: 1,
  descriptor: 2,
  positionLow: 3,
  positionHigh: 4,
  offset: 5,
  pages: 6,
} as const;

export const JobKind = { checksum: 0, read: 1 } as const;

/** `matches`: of a read, all pages were in memory and have their checksums. */
export const JobState = { posted: 0, done: 1, matches: 2 } as const;

export const BOARD_BYTES = 4 * (SUMS_AT + JOBS * PAGES_PER_JOB_MAX);

export const jobAt = (job: number): number => JOBS_AT + (job & JOB_MASK) * WORDS_PER_JOB;
export const sumsAt = (job: number): number => SUMS_AT + (job & JOB_MASK) * PAGES_PER_JOB_MAX;

/** A thread's first message: it has loaded what it needs. */
export const THREAD_READY = 1;

/** What a thread is started with. */
export interface ThreadStart {
  readonly board: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
  /** A thread looks for a job for so long before it sleeps. */
  readonly lookMs: number;
}
