/**
 * How long single turns of the event loop take, and how late a timer fires.
 *
 * While clients keep the loop polling it is told the exact length of each turn (`note`). At all times a native timer
 * of 4 ms notes how late it fires, without any JavaScript running for it: that covers the turns of an idle loop, up
 * to 4 ms short, and also what the machine takes to wake a sleeping thread. So a window with exact lengths has its
 * longest turn from them, another one from the timer. Always holds: "the last minute" is at least the last whole
 * minute, and at most ten seconds more.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock } from "../ports/mod.ts";

const RESOLUTION_MS = 4;
const WINDOW_MS = 10_000;
const WINDOWS_PER_MINUTE = 6;
const NANOSECONDS = 1e6;

export interface Longest {
  readonly lastMinute: number;
  readonly sinceStart: number;
}

/** The longest of each window. */
class Windows {
  #windowsMs: number[] = [];
  #sinceStartMs = 0;

  end(longestMs: number): void {
    this.#windowsMs = [longestMs, ...this.#windowsMs.slice(0, WINDOWS_PER_MINUTE - 1)];
    this.#sinceStartMs = Math.max(this.#sinceStartMs, longestMs);
  }

  longest(nowMs: number): Longest {
    return {
      lastMinute: Math.max(nowMs, ...this.#windowsMs),
      sinceStart: Math.max(nowMs, this.#sinceStartMs),
    };
  }
}

export class LoopMeter {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #notedMs = 0;
  #turns = new Windows();
  #delays = new Windows();

  constructor(clock: Clock) {
    this.#histogram.enable();
    const turnOver = (): void => {
      this.#turns.end(this.#turnMs);
      this.#delays.end(this.#delayMs);
      this.#histogram.reset();
      this.#notedMs = 0;
      clock.after(WINDOW_MS, turnOver);
    };
    clock.after(WINDOW_MS, turnOver);
  }

  /** A turn of exactly this length was seen. */
  note(lengthMs: number): void {
    if (lengthMs > this.#notedMs) this.#notedMs = lengthMs;
  }

  /** Forgets what was, as at the end of the start, whose turns no client could feel. */
  reset(): void {
    this.#histogram.reset();
    this.#notedMs = 0;
    this.#turns = new Windows();
    this.#delays = new Windows();
  }

  longestTurnMs(): Longest {
    return this.#turns.longest(this.#turnMs);
  }

  longestDelayMs(): Longest {
    return this.#delays.longest(this.#delayMs);
  }

  get #turnMs(): number {
    return this.#notedMs > 0 ? this.#notedMs : this.#delayMs;
  }

  get #delayMs(): number {
    // An empty histogram has a maximum of zero, a timer that is on time one of its own interval.
    return Math.max(0, this.#histogram.max / NANOSECONDS - RESOLUTION_MS);
  }
}
