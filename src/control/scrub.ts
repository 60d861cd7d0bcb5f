/** Scrub: everything in the pool is read and compared with its checksums. At most one at a time. */
import type { ScrubResult } from "../pool/mod.ts";
import type { Clock } from "../ports/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";
import { LongWork } from "./long-work.ts";

/** Damage is described up to here; beyond it is only counted. */
const SENTENCES_MAX = 100;

export interface ScrubProgress {
  readonly errors: number;
  /** What was found damaged, the first hundred. */
  readonly damage: string[];
}

export interface ScrubOutcome extends ScrubResult {
  readonly damage: string[];
}

export type Scrub = LongWork<undefined, ScrubProgress, ScrubOutcome>;

export function makeScrub(pool: ControlledPool, clock: Clock): Scrub {
  return new LongWork(clock, async (_input, { report, signal }) => {
    const damage: string[] = [];
    let errors = 0;
    report({ errors, damage });
    const onError = (sentence: string): void => {
      errors++;
      if (damage.length < SENTENCES_MAX) damage.push(sentence);
      report({ errors, damage });
    };
    const result = await pool.scrub({ onError, signal });
    signal.throwIfAborted();
    return { ...result, damage };
  });
}
