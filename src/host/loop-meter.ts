/**
 * How long single turns of the event loop take, and how late a timer fires.
 *
 * While clients keep the loop polling it is told the exact length of each turn (`note`). At all times a native timer
 * of 4 ms notes how late it fires, without any JavaScript running for it: that covers the turns of an idle loop, up
 * to 4 ms short, but also what the machine takes to wake a sleeping thread. A turn is no longer than the loop was at
 * work at all, so a period without exact lengths has the smaller of the two. Always holds: "the last minute" is at
 * least the last whole minute, and at most ten seconds more.
 */
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { Clock } from "../ports/mod.ts";

const RESOLUTION_MS = 4;
const WINDOW_MS = 10_000;
/** How often the loop's work is compared with the timer, and how often while it has hardly any. */
const BUSY_PERIOD_MS = 100;
const IDLE_PERIOD_MS = 1000;
const IDLE_SHARE = 0.005;
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
  readonly #clock: Clock;
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  /** At the begin of this period, and of the one before: the timer may tell late of a turn that ended that one. */
  #work = performance.eventLoopUtilization();
  #workBefore = this.#work;
  /** Of this period. */
  #notedMs = 0;
  /** Of this window's periods that are over. */
  #longestTurnMs = 0;
  #longestDelayMs = 0;
  #windowEndsMs: number;
  #turns = new Windows();
  #delays = new Windows();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#windowEndsMs = clock.nowMs() + WINDOW_MS;
    this.#histogram.enable();
    this.#waitForPeriod(BUSY_PERIOD_MS);
  }

  #waitForPeriod(periodMs: number): void {
    this.#clock.after(periodMs, () => {
      this.#longestTurnMs = this.#turnMs;
      this.#longestDelayMs = this.#delayMs;
      const { utilization } = performance.eventLoopUtilization(this.#work);
      this.#beginPeriod();
      const leftMs = this.#windowEndsMs - this.#clock.nowMs();
      if (leftMs <= 0) this.#endWindow();
      const periodMs = utilization < IDLE_SHARE ? IDLE_PERIOD_MS : BUSY_PERIOD_MS;
      this.#waitForPeriod(leftMs <= 0 ? periodMs : Math.min(periodMs, leftMs));
    });
  }

  /** A turn of exactly this length was seen. */
  note(lengthMs: number): void {
    if (lengthMs > this.#notedMs) this.#notedMs = lengthMs;
  }

  /** Forgets what was, as at the end of the start, whose turns no client could feel. */
  reset(): void {
    this.#beginPeriod();
    this.#workBefore = this.#work;
    this.#longestTurnMs = this.#longestDelayMs = 0;
    this.#turns = new Windows();
    this.#delays = new Windows();
  }

  longestTurnMs(): Longest {
    return this.#turns.longest(this.#turnMs);
  }

  longestDelayMs(): Longest {
    return this.#delays.longest(this.#delayMs);
  }

  #beginPeriod(): void {
    this.#histogram.reset();
    this.#notedMs = 0;
    this.#workBefore = this.#work;
    this.#work = performance.eventLoopUtilization();
  }

  #endWindow(): void {
    // A window is no shorter because the one before was longer, but for what a period's end is late.
    this.#windowEndsMs = Math.max(this.#windowEndsMs, this.#clock.nowMs() - IDLE_PERIOD_MS) + WINDOW_MS;
    this.#turns.end(this.#longestTurnMs);
    this.#delays.end(this.#longestDelayMs);
    this.#longestTurnMs = this.#longestDelayMs = 0;
  }

  get #turnMs(): number {
    const ofPeriodMs = this.#notedMs > 0 ? this.#notedMs : Math.min(this.#lateMs, this.#workMs);
    return Math.max(this.#longestTurnMs, ofPeriodMs);
  }

  get #delayMs(): number {
    return Math.max(this.#longestDelayMs, this.#lateMs);
  }

  get #lateMs(): number {
    // An empty histogram has a maximum of zero, a timer that is on time one of its own interval.
    return Math.max(0, this.#histogram.max / NANOSECONDS - RESOLUTION_MS);
  }

  get #workMs(): number {
    return performance.eventLoopUtilization(this.#workBefore).active;
  }
}
