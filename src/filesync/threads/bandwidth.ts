/**
 * How many bytes a second the connections of a target send together: a token bucket that goes into debt, so that a bundle
 * is not taken apart.
 *
 * Always holds: who asked first is served first; what was let through in any time is at most rate × time + a burst of
 * 100 ms + the last amount. A limit that changes holds from the next amount on. After `close` nobody waits.
 */
import type { Clock, Timer } from "../../ports/mod.ts";

const BURST_SECONDS = 0.1;
/** Rounding leaves a debt of almost nothing, and that is none. */
const WAIT_MS_MIN = 0.01;

interface Waiter {
  readonly bytes: number;
  readonly go: () => void;
}

export class Bandwidth {
  readonly #clock: Clock;
  #bytesPerSecond: number;
  #tokens: number;
  #filledMs: number;
  #waiters: Waiter[] = [];
  #timer: Timer | undefined;

  /** 0: no limit. */
  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
    this.#tokens = bytesPerSecond * BURST_SECONDS;
    this.#filledMs = clock.nowMs();
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  limit(bytesPerSecond: number): void {
    this.#fill();
    this.#bytesPerSecond = bytesPerSecond;
    this.#serve();
  }

  /** Resolves when so many bytes may be sent. */
  take(bytes: number): Promise<void> {
    if (this.#bytesPerSecond === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push({ bytes, go: resolve });
      if (this.#waiters.length === 1) this.#serve();
    });
  }

  close(): void {
    this.limit(0);
  }

  #serve(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    while (this.#waiters.length > 0) {
      this.#fill();
      const waitMs = this.#bytesPerSecond === 0 ? 0 : (-this.#tokens * 1000) / this.#bytesPerSecond;
      if (waitMs > WAIT_MS_MIN) {
        this.#timer = this.#clock.after(waitMs, () => this.#serve());
        return;
      }
      const { bytes, go } = this.#waiters.shift()!;
      this.#tokens -= bytes;
      go();
    }
  }

  #fill(): void {
    const nowMs = this.#clock.nowMs();
    const filled = this.#tokens + ((nowMs - this.#filledMs) * this.#bytesPerSecond) / 1000;
    this.#tokens = Math.min(filled, this.#bytesPerSecond * BURST_SECONDS);
    this.#filledMs = nowMs;
  }
}
