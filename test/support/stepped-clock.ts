// A clock that stands still until a test moves it, or that jumps to the next timer by itself whenever the loop
// has nothing else to do.
import type { Clock, Timer } from "../../src/ports/mod.ts";

interface Pending {
  readonly atMs: number;
  readonly action: () => void;
}

export class SteppedClock implements Clock {
  readonly #jumps: boolean;
  #nowMs = 1000;
  #pending: Pending[] = [];

  constructor({ jumps = false }: { jumps?: boolean } = {}) {
    this.#jumps = jumps;
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#pending.length;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return Date.UTC(2026, 0, 1) + Math.floor(this.#nowMs);
  }

  after(delayMs: number, action: () => void): Timer {
    const pending = { atMs: this.#nowMs + Math.max(0, delayMs), action };
    this.#pending.push(pending);
    if (this.#jumps) {
      setImmediate(() => {
        if (this.#pending.includes(pending)) void this.step(Math.max(0, pending.atMs - this.#nowMs));
      });
    }
    return {
      cancel: () => {
        this.#pending = this.#pending.filter((other) => other !== pending);
      },
    };
  }

  soon(action: () => void): void {
    setImmediate(action);
  }

  /** Moves time on and runs nothing, as a busy loop does: its timers are late. */
  delayLoop(elapsedMs: number): void {
    this.#nowMs += elapsedMs;
  }

  /** Moves time on, runs what is due in order, and lets what follows from it settle. */
  async step(elapsedMs: number): Promise<void> {
    const untilMs = this.#nowMs + elapsedMs;
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.atMs > untilMs) break;
      this.#pending = this.#pending.filter((other) => other !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.action();
      await settled();
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
    await settled();
  }

  #earliest(): Pending | undefined {
    return this.#pending.reduce<Pending | undefined>(
      (first, other) => (first === undefined || other.atMs < first.atMs ? other : first),
      undefined,
    );
  }
}

/** After all promises that are ready, and what they made ready. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
