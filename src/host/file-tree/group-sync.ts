/**
 * One syncfs for all threads that want one at the same time (group commit).
 *
 * | word | is |
 * | --- | --- |
 * | 0 | syncs that began |
 * | 1 | syncs that ended; who waits sleeps on it |
 * | 2 | 1 while a thread syncs |
 * | 3 | number of the last sync that failed |
 * | 4 | its negated errno |
 *
 * Always holds: `wait` returns after the end of a sync that began after the call. The numbers wrap after 2^31 syncs, more
 * than a century at 500 a second. The words are shared by the threads of one tree, so all are on one file system.
 */
import { treeCalls } from "./tree-calls.ts";

const Word = { began: 0, ended: 1, isSyncing: 2, failed: 3, errno: 4 } as const;
/** A thread that died in the middle of a sync would stop the others for good; no sync takes longer. */
const SYNC_MS_MAX = 600_000;

export const GROUP_SYNC_BYTES = 64;

export class GroupSync {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** Of the file system of `fd`. 0, or the negated errno of the sync. */
  wait(fd: number): number {
    const words = this.#words;
    const wanted = Atomics.load(words, Word.began) + 1;
    for (;;) {
      const ended = Atomics.load(words, Word.ended);
      if (ended >= wanted) break;
      if (Atomics.compareExchange(words, Word.isSyncing, 0, 1) === 0) this.#sync(fd);
      else if (Atomics.wait(words, Word.ended, ended, SYNC_MS_MAX) === "timed-out")
        return treeCalls.syncfs(fd);
    }
    return Atomics.load(words, Word.failed) >= wanted ? Atomics.load(words, Word.errno) : 0;
  }

  #sync(fd: number): void {
    const words = this.#words;
    const number = Atomics.add(words, Word.began, 1) + 1;
    const result = treeCalls.syncfs(fd);
    if (result < 0) {
      Atomics.store(words, Word.errno, result);
      Atomics.store(words, Word.failed, number);
    }
    // The lead is free before the end is told, so that who sees the end may begin the next one. That next one may
    // end first: the count never goes back.
    Atomics.store(words, Word.isSyncing, 0);
    for (let ended = Atomics.load(words, Word.ended); ended < number; )
      ended = Atomics.compareExchange(words, Word.ended, ended, number);
    Atomics.notify(words, Word.ended);
  }
}
