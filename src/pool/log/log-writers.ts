/**
 * Who writes what was gathered: the loop itself, or another thread.
 *
 * While much is synced, or memory for the page cache is short, the kernel may hold up a writer for milliseconds, so
 * then the loop writes nothing itself. A client that waits for each answer is answered sooner without a hand-over.
 */
import type { Clock } from "../../ports/mod.ts";

/** A write that held up the loop for so long leaves writing to others for a while. */
const SLOW_WRITE_MS = 1;
const SLOW_MS = 1000;
/** When nothing was written for so long, nobody else is there whom a longer write would keep waiting. */
const ALONE_MS = 0.02;
const ALONE_FACTOR = 4;

export class LogWriters {
  readonly #clock: Clock;
  readonly #writeAsideBytes: number;
  #writtenAtMs = 0;
  /** Until then another thread writes everything. */
  #slowUntilMs = 0;

  constructor(clock: Clock, writeAsideBytes: number) {
    this.#clock = clock;
    this.#writeAsideBytes = writeAsideBytes;
  }

  /** Runs a write of the loop's own. Throws what it throws. */
  time(write: () => void): void {
    const beganMs = this.#clock.nowMs();
    write();
    const endedMs = this.#clock.nowMs();
    if (endedMs - beganMs > SLOW_WRITE_MS) this.#slowUntilMs = endedMs + SLOW_MS;
  }

  /** Something was written, by whomever. */
  wrote(): void {
    this.#writtenAtMs = this.#clock.nowMs();
  }

  /** From how many bytes on another thread writes; `isSyncHeavy` while much is being synced. */
  asideBytes(isSyncHeavy: boolean): number {
    const nowMs = this.#clock.nowMs();
    if (isSyncHeavy || nowMs < this.#slowUntilMs) return 1;
    return nowMs - this.#writtenAtMs > ALONE_MS
      ? ALONE_FACTOR * this.#writeAsideBytes
      : this.#writeAsideBytes;
  }
}
