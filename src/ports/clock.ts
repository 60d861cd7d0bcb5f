/** Time as a port: the daemon's is real, the simulator's is stepped. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds, with fractions; the origin means nothing. */
  nowMs(): number;
  /** Milliseconds since 1970-01-01 UTC; may jump. */
  wallMs(): number;
  /** Calls `action` once, not before `delayMs` from now. A pending timer does not keep the process alive. */
  after(delayMs: number, action: () => void): Timer;
  /** Calls `action` after the input of this turn of the loop was seen (`setImmediate`). */
  soon(action: () => void): void;
}

/** Resolves after `delayMs`. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => void clock.after(delayMs, resolve));
}

/** Resolves in a later turn of the loop, so that other input is served in between. */
export function nextTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.soon(resolve));
}
