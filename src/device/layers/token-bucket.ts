/**
 * A token bucket that can go into debt: it fills by a rate up to its burst, and whoever may take takes all he
 * needs.
 *
 * Always holds: what was taken in any time is at most rate × time + burst + the last amount taken.
 */

/** Less than any clock waits for. Rounding may leave a debt of almost nothing, and that is none. */
const WAIT_MS_MIN = 0.001;

export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledMs: number;

  /** Begins full. A rate of 0 is no limit. */
  constructor({ perSecond, burst, nowMs }: { perSecond: number; burst: number; nowMs: number }) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledMs = nowMs;
  }

  /** Milliseconds until something may be taken; 0: now. */
  waitMs(nowMs: number): number {
    if (this.#perMs === 0) return 0;
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#filledMs) * this.#perMs);
    this.#filledMs = nowMs;
    const debtMs = -this.#tokens / this.#perMs;
    return debtMs < WAIT_MS_MIN ? 0 : debtMs;
  }

  take(amount: number): void {
    if (this.#perMs !== 0) this.#tokens -= amount;
  }
}
