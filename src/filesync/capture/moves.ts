/**
 * Halves of renames that wait for each other. The two events of one rename carry one cookie, but may come in different
 * batches, from different instances of the kernel's watch in either order, or alone, when only one side is watched.
 *
 * Always holds: a half waits at least `waitMs` and until the watch was drained after that; then it is what it would be
 * alone: something left, or something arrived.
 */
import type { Clock } from "../../ports/mod.ts";
import type { DirectoryNode } from "./directory-node.ts";

/** Something left its place. */
export interface Departure {
  readonly cookie: number;
  readonly directory: DirectoryNode;
  readonly name: string;
  /** Of a directory: taken out of the tree until it is known where it went. */
  readonly node: DirectoryNode | undefined;
  readonly isDirectory: boolean;
  /** Number of its event: whether others stand between the halves. */
  readonly event: number;
  readonly atMs: number;
}

/** Something came to a place. */
export interface Arrival {
  readonly cookie: number;
  readonly directory: DirectoryNode;
  readonly name: string;
  readonly isDirectory: boolean;
  readonly event: number;
  readonly atMs: number;
}

export class Moves {
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #departures = new Map<number, Departure>();
  readonly #arrivals = new Map<number, Arrival>();

  constructor(clock: Clock, waitMs: number) {
    this.#clock = clock;
    this.#waitMs = waitMs;
  }

  get isEmpty(): boolean {
    return this.#departures.size === 0 && this.#arrivals.size === 0;
  }

  /** Gives the other half back, if it was there already. */
  depart(departure: Omit<Departure, "atMs">): Arrival | undefined {
    const arrival = this.#arrivals.get(departure.cookie);
    if (arrival !== undefined) this.#arrivals.delete(departure.cookie);
    else this.#departures.set(departure.cookie, { ...departure, atMs: this.#clock.nowMs() });
    return arrival;
  }

  arrive(arrival: Omit<Arrival, "atMs">): Departure | undefined {
    const departure = this.#departures.get(arrival.cookie);
    if (departure !== undefined) this.#departures.delete(arrival.cookie);
    else this.#arrivals.set(arrival.cookie, { ...arrival, atMs: this.#clock.nowMs() });
    return departure;
  }

  /** Halves that came before `beforeMs` and are long enough alone. */
  takeAlone(beforeMs: number): { departures: Departure[]; arrivals: Arrival[] } {
    const latestMs = Math.min(beforeMs, this.#clock.nowMs() - this.#waitMs);
    return {
      departures: takeOld(this.#departures, latestMs),
      arrivals: takeOld(this.#arrivals, latestMs),
    };
  }

  /** All of them, whatever their age: the events between were lost. */
  takeAll(): { departures: Departure[]; arrivals: Arrival[] } {
    return {
      departures: takeOld(this.#departures, Number.POSITIVE_INFINITY),
      arrivals: takeOld(this.#arrivals, Number.POSITIVE_INFINITY),
    };
  }
}

function takeOld<Half extends { readonly atMs: number }>(
  halves: Map<number, Half>,
  latestMs: number,
): Half[] {
  const old = [...halves].filter(([, { atMs }]) => atMs <= latestMs);
  for (const [cookie] of old) halves.delete(cookie);
  return old.map(([, half]) => half);
}
