/**
 * Batches on their way to the kernel on other threads.
 *
 * Always holds: they land in their order, whichever thread was faster; each of them begins where the one before ends.
 */
import { Deferred } from "../../base/deferred.ts";
import type { RopewalkError } from "../../base/errors.ts";

/** On their way at once: the kernel's lock lets one file's writers in one by one, so one more waits at its door. */
export const FLIGHTS_MAX = 2;

interface Flight {
  readonly end: number;
  readonly landed: Deferred;
  isDone: boolean;
}

export interface FlightsOptions {
  /** Everything up to a position of the segment is with the kernel; returns why not, if the log failed. */
  readonly arrived: (end: number) => RopewalkError | undefined;
  readonly fail: (error: unknown) => void;
  /** Those who waited were told. */
  readonly ended: () => void;
}

export class Flights {
  readonly #options: FlightsOptions;
  readonly #flights: Flight[] = [];

  constructor(options: FlightsOptions) {
    this.#options = options;
  }

  /** Whether any batch is on its way. */
  get any(): boolean {
    return this.#flights.length > 0;
  }

  get isFull(): boolean {
    return this.#flights.length >= FLIGHTS_MAX;
  }

  /** Where the last one ends in the segment, if there is one. */
  get end(): number | undefined {
    return this.#flights.at(-1)?.end;
  }

  /** Resolves when the first one has landed; there is one. */
  whenFirstLanded(): Promise<void> {
    return this.#flights[0]!.landed.promise;
  }

  whenLastLanded(): Promise<void> {
    return this.#flights.at(-1)!.landed.promise;
  }

  /** Begins with `write`, which resolves when another thread has written up to `end`; `gathered` is told when it has landed. */
  begin(end: number, gathered: Deferred | undefined, write: () => Promise<void>): void {
    const flight: Flight = { end, landed: gathered ?? new Deferred(), isDone: false };
    this.#flights.push(flight);
    write()
      .catch(this.#options.fail)
      .then(() => {
        flight.isDone = true;
        this.#land();
      });
  }

  #land(): void {
    const { arrived, ended } = this.#options;
    while (this.#flights[0]?.isDone) {
      const { end, landed } = this.#flights.shift()!;
      const failed = arrived(end);
      if (failed !== undefined) {
        landed.reject(failed);
        continue;
      }
      landed.resolve();
      ended();
    }
  }
}
