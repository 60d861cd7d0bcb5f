/**
 * The memory that the loop and some of its page threads share: a ring of jobs, and what each has besides.
 *
 * | words | are |
 * | --- | --- |
 * | 0 | how many jobs were ever posted, modulo 2^32 |
 * | 1 | how many were ever taken |
 * | 2 | 1 while the loop sleeps and wants to be woken |
 * | 3 | 1 when the threads shall end |
 * | 4 | the bell: changes with every posting and at the end; the threads sleep on it |
 * | 16 + 8 i | job i of the ring: state, kind, descriptor, position (two words), offset in the memory, count, errno |
 * | behind | 64 for each job: its pages' checksums, or offset and length of each of its parts |
 *
 * Always holds: a job's words are written by the loop before it is posted and by the thread that took it before its
 * state changes; both sides use Atomics for what the other one waits for.
 */

export const JOBS = 256;
export const JOB_MASK = JOBS - 1;
/** 256 KiB: long enough to be worth the hand-over, short enough that several threads share a request. */
export const PAGES_PER_JOB_MAX = 64;

export const Word = { posted: 0, taken: 1, sleeping: 2, ending: 3, bell: 4 } as const;
export const PARTS_PER_JOB_MAX = PAGES_PER_JOB_MAX / 2;
const JOBS_AT = 16;
const WORDS_PER_JOB = 8;
const DETAILS_AT = JOBS_AT + JOBS * WORDS_PER_JOB;

export const JobWord = {
  state: 0,
  kind: 1,
  descriptor: 2,
  positionLow: 3,
  positionHigh: 4,
  offset: 5,
  /** Pages, or parts. */
  count: 6,
  /** Of a write that failed; 0 when it was short. */
  errno: 7,
} as const;

export const JobKind = { checksum: 0, read: 1, write: 2 } as const;

/** `done`: of a read, that all pages were in memory and have their checksums; of a write, that all is with the kernel. */
export const JobState = { posted: 0, done: 1, failed: 2 } as const;

export const BOARD_BYTES = 4 * (DETAILS_AT + JOBS * PAGES_PER_JOB_MAX);

export const jobAt = (job: number): number => JOBS_AT + (job & JOB_MASK) * WORDS_PER_JOB;
export const detailsAt = (job: number): number => DETAILS_AT + (job & JOB_MASK) * PAGES_PER_JOB_MAX;

/** A thread's first message: it has loaded what it needs. */
export const THREAD_READY = 1;

/** What a thread is started with. */
export interface ThreadStart {
  readonly board: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
  /** A thread looks for a job for so long before it sleeps. */
  readonly lookMs: number;
}
