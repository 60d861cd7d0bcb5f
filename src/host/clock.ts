/**
 * The real clock behind the Clock port.
 *
 * Always holds: an action never runs early by `nowMs`, although Node's timers count in whole milliseconds of
 * the loop's own time and may fire up to one before; and never at once for a delay that overflows a timer.
 */
import type { Clock, Timer } from "../ports/mod.ts";

/** Node fires at once for a longer delay than this; such a wait is made of several. */
const NODE_DELAY_MS_MAX = 2 ** 31 - 1;

export const hostClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),

  after(delayMs: number, action: () => void): Timer {
    const dueMs = performance.now() + delayMs;
    let handle: NodeJS.Timeout;
    const arm = (remainingMs: number): void => {
      handle = setTimeout(fire, Math.min(Math.ceil(remainingMs), NODE_DELAY_MS_MAX));
      handle.unref();
    };
    const fire = (): void => {
      const remainingMs = dueMs - performance.now();
      if (remainingMs > 0) arm(remainingMs);
      else action();
    };
    arm(delayMs);
    return { cancel: () => clearTimeout(handle) };
  },

  soon(action: () => void): void {
    setImmediate(action);
  },
};
