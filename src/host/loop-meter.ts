/**
 * How long single turns of the event loop take.
 *
 * A native timer of 4 ms notes how late it fires, so a turn is measured up to 4 ms short of its length, without
 * any JavaScript running for it; a shorter interval would wake an idle daemon a thousand times a second. Under
 * load, when the loop polls anyway, it is told the exact lengths (`note`). Always holds: "the last minute" is at
 * least the last whole minute, and at most ten seconds more.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock } from "../ports/mod.ts";

const RESOLUTION_MS = 4;
const WINDOW_MS = 10_000;
const WINDOWS_PER_MINUTE = 6;
const NANOSECONDS = 1e6;

export class LoopMeter {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #notedMs = 0;
  /** The longest turn of each window of the last minute, the newest first. */
  #windowsMs: number[] = [];
  #endedWindowsMs = 0;

  constructor(clock: Clock) {
    this.#histogram.enable();
    const turnOver = (): void => {
      this.#windowsMs = [this.#longestMs(), ...this.#windowsMs.slice(0, WINDOWS_PER_MINUTE - 1)];
      this.#endedWindowsMs = Math.max(this.#endedWindowsMs, this.#windowsMs[0]!);
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
    this.#windowsMs = [];
    this.#endedWindowsMs = 0;
  }

  longestTurnMs(): { lastMinute: number; sinceStart: number } {
    const now = this.#longestMs();
    return {
      lastMinute: Math.max(now, ...this.#windowsMs),
      sinceStart: Math.max(now, this.#endedWindowsMs),
    };
  }

  #longestMs(): number {
    // An empty histogram has a maximum of zero, a timer that is on time one of its own interval.
    return Math.max(this.#notedMs, this.#histogram.max / NANOSECONDS - RESOLUTION_MS);
  }
}
