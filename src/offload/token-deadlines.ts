/**
 * When tokens are over by time, and one timer for all of them (T10).
 *
 * Always holds: a token that was used since is looked at again, not ended; a turn looks at a bounded number; no timer
 * runs after `close`.
 */
import type { Clock, Timer } from "../ports/mod.ts";
import { SlotHeap } from "./slot-heap.ts";
import { Column, type TokenRows } from "./token-rows.ts";

/** Tokens that a turn of the loop looks at. */
const TOKENS_PER_TURN = 200;
/** Sources that are gone are noticed at each use, and by all within this time. */
const SWEEP_MS = 5000;

export class TokenDeadlines {
  readonly #clock: Clock;
  readonly #nowMs: () => number;
  readonly #rows: TokenRows;
  readonly #expire: (slot: number) => void;
  readonly #sweep: () => void;
  readonly #due: SlotHeap;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(options: {
    clock: Clock;
    /** Wall time that goes on evenly. */
    nowMs: () => number;
    rows: TokenRows;
    /** Ends a token, which takes it out here. */
    expire: (slot: number) => void;
    /** Called at each tick. */
    sweep: () => void;
  }) {
    this.#clock = options.clock;
    this.#nowMs = options.nowMs;
    this.#expire = options.expire;
    this.#sweep = options.sweep;
    const { rows } = options;
    this.#rows = rows;
    this.#due = new SlotHeap({
      before: (one, other) => rows.get(one, Column.dueAtMs) < rows.get(other, Column.dueAtMs),
      placeOf: (slot) => rows.get(slot, Column.duePlace),
      setPlace: (slot, place) => rows.set(slot, Column.duePlace, place),
    });
  }

  add(slot: number): void {
    this.#rows.set(slot, Column.dueAtMs, this.dueAtMs(slot));
    this.#due.push(slot);
    this.#arm();
  }

  remove(slot: number): void {
    this.#due.remove(slot);
  }

  dueAtMs(slot: number): number {
    const expires = this.#rows.get(slot, Column.expiresAtMs);
    const inactivity = this.#rows.get(slot, Column.inactivityMs);
    if (inactivity === 0) return expires;
    return Math.min(expires, this.#rows.get(slot, Column.usedAtMs) + inactivity);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    const first = this.#due.first;
    if (first === undefined || this.#closed) return;
    const now = this.#nowMs();
    const at = Math.min(this.#rows.get(first, Column.dueAtMs), now + SWEEP_MS);
    if (this.#timer !== undefined && this.#timerAtMs <= at) return;
    this.#timer?.cancel();
    this.#timerAtMs = at;
    this.#timer = this.#clock.after(Math.max(1, at - now), () => this.#tick());
  }

  #tick(): void {
    this.#timer = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    const now = this.#nowMs();
    for (let looked = 0; looked < TOKENS_PER_TURN; looked++) {
      const slot = this.#due.first;
      if (slot === undefined || this.#rows.get(slot, Column.dueAtMs) > now) break;
      const due = this.dueAtMs(slot);
      if (due <= now) this.#expire(slot);
      else {
        // It was used since.
        this.#rows.set(slot, Column.dueAtMs, due);
        this.#due.moved(slot);
      }
    }
    this.#sweep();
    this.#arm();
  }
}
