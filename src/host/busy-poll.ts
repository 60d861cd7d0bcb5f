/**
 * Keeps the event loop looking for the next request for a moment instead of sleeping.
 *
 * A thread that sleeps in the kernel is woken some 20 to 40 µs after bytes arrived for it, which at depth 1 is
 * more than the request itself takes (docs/decisions/busy-poll.md). Always holds: it begins only while bytes
 * arrive in close succession, and ends one window after the last of them, so an idle daemon sleeps.
 */

/** Arrivals that are further apart than so many windows are left to the kernel's wake-up. */
const CLOSE_WINDOWS = 4;

export class BusyPoll {
  readonly #windowMs: number;
  readonly #onTurn: ((lengthMs: number) => void) | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  #turnMs = 0;
  #isPolling = false;

  /**
   * `windowUs`: how long to look for more, in microseconds; 0 never does. `onTurn` is told how long each turn of
   * the loop took while it polls.
   */
  constructor(windowUs: number, onTurn?: (lengthMs: number) => void) {
    this.#windowMs = windowUs / 1000;
    this.#onTurn = onTurn;
  }

  get isPolling(): boolean {
    return this.#isPolling;
  }

  /** Bytes arrived. */
  arrived(): void {
    if (this.#windowMs === 0) return;
    const nowMs = performance.now();
    const isClose = nowMs - this.#lastMs < CLOSE_WINDOWS * this.#windowMs;
    this.#lastMs = nowMs;
    if (!isClose || this.#isPolling) return;
    this.#isPolling = true;
    this.#turnMs = nowMs;
    setImmediate(this.#turn);
  }

  /** A pending immediate makes the loop ask the kernel without waiting. */
  readonly #turn = (): void => {
    const nowMs = performance.now();
    this.#onTurn?.(nowMs - this.#turnMs);
    this.#turnMs = nowMs;
    if (nowMs - this.#lastMs < this.#windowMs) setImmediate(this.#turn);
    else this.#isPolling = false;
  };
}
