/**
 * Shares the loop between clients and all background work: checkpoints, collection, deletion, scrub.
 *
 * Always holds: in each turn of the loop at most one of them has a slice, in the order in which they asked; so
 * however many are at it, a client's request waits for one slice. Whoever was not given the slice at hand, or comes back
 * from a wait, asks for one.
 */
import type { Clock } from "../ports/mod.ts";

const SLICE_MS = 0.5;

export class Slices {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #isPlanned = false;
  #endMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the slice at hand has had its time. */
  get isOver(): boolean {
    return this.#clock.nowMs() >= this.#endMs;
  }

  /** Resolves at the beginning of a slice. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#plan();
    });
  }

  #plan(): void {
    if (this.#isPlanned || this.#waiting.length === 0) return;
    this.#isPlanned = true;
    this.#clock.soon(() => {
      this.#isPlanned = false;
      this.#endMs = this.#clock.nowMs() + SLICE_MS;
      this.#waiting.shift()!();
      this.#plan();
    });
  }
}
