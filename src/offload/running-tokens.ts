/**
 * The uses of tokens that run, so that whoever ends a token tells them and can wait for them (T12).
 * Always holds: a run is here from `add` to `remove`; it is told once that its token has ended, and then stands under no
 * slot any more, as another token may get that.
 */
import type { RopewalkError } from "../base/errors.ts";
import type { TokenRun } from "./token-run.ts";

export class RunningTokens {
  readonly #running = new Set<TokenRun>();
  /** Those of live tokens, by slot. */
  readonly #bySlot = new Map<number, Set<TokenRun>>();

  add(run: TokenRun): void {
    this.#running.add(run);
    const runs = this.#bySlot.get(run.slot);
    if (runs === undefined) this.#bySlot.set(run.slot, new Set([run]));
    else runs.add(run);
  }

  remove(run: TokenRun): void {
    if (run.endedAs === undefined) {
      const runs = this.#bySlot.get(run.slot)!;
      runs.delete(run);
      if (runs.size === 0) this.#bySlot.delete(run.slot);
    }
    this.#running.delete(run);
  }

  /** The token of a slot has ended; resolves when its runs have finished. */
  ended(slot: number, error: RopewalkError): Promise<unknown> {
    const runs = this.#bySlot.get(slot);
    this.#bySlot.delete(slot);
    for (const run of runs ?? []) run.endedAs = error;
    return Promise.all([...(runs ?? [])].map(({ finished }) => finished));
  }

  /** Of live tokens that are in use. */
  slots(): Iterable<number> {
    return this.#bySlot.keys();
  }

  allFinished(): Promise<unknown> {
    return Promise.all([...this.#running].map(({ finished }) => finished));
  }
}
