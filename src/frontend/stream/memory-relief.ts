/**
 * What is done while somebody waits for memory: looks, again and again, for connections that stall and hold some.
 *
 * Always holds: it looks only while somebody waits; one connection at most ends in a look, the one that keeps most, and
 * none when others gave memory back in that look. Time is counted in looks, so that a turn of ours that takes long is
 * nobody's stall.
 */
import type { Clock, Timer } from "../../ports/mod.ts";
import type { ByteBudget } from "./byte-budget.ts";

export interface RelievedConnection {
  /**
   * Somebody waits for memory: gives back what it can if its peer stalls. Returns the bytes for which it should end.
   * `lookMs`: the time, as far as looks were taken.
   */
  relieve(lookMs: number): number;
  /** It keeps memory that others wait for. */
  endForMemory(): void;
}

export interface MemoryReliefOptions {
  readonly clock: Clock;
  /** The shortest stall that counts. */
  readonly stallMs: number;
  readonly connections: Iterable<RelievedConnection>;
}

/** Looks in the shortest stall that counts. */
const LOOKS = 4;

export class MemoryRelief {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #connections: Iterable<RelievedConnection>;
  #timer: Timer | undefined;
  #lookMs = 0;

  constructor({ clock, stallMs, connections }: MemoryReliefOptions) {
    this.#clock = clock;
    this.#intervalMs = Math.max(1, stallMs / LOOKS);
    this.#connections = connections;
  }

  /** Somebody waits for memory of `budget`. */
  begin(budget: ByteBudget): void {
    this.#timer ??= this.#clock.after(this.#intervalMs, () => {
      this.#timer = undefined;
      if (!budget.isWanted) return;
      this.#lookMs += this.#intervalMs;
      this.#look(budget);
      this.begin(budget);
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #look(budget: ByteBudget): void {
    const { usedBytes } = budget;
    let largest: RelievedConnection | undefined;
    let largestBytes = 0;
    for (const connection of this.#connections) {
      const keptBytes = connection.relieve(this.#lookMs);
      if (keptBytes <= largestBytes) continue;
      largest = connection;
      largestBytes = keptBytes;
    }
    // What was given back may be enough.
    if (budget.usedBytes === usedBytes) largest?.endForMemory();
  }
}
