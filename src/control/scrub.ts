/** Scrub: everything in the pool is read and compared with its checksums. At most one at a time. */
import type { ScrubResult } from "../pool/mod.ts";
import type { Clock } from "../ports/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";
import { LongWork } from "./long-work.ts";

/** Damage is described up to here; beyond it is only counted. */
const SENTENCES_MAX = 100;
const BLOCK_BYTES = 4096;

export interface ScrubProgress {
  /** Blocks and nodes compared so far. */
  readonly blocks: number;
  /** About how many there are: the data's blocks when it began. */
  readonly blocksExpected: number;
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
    let [blocks, errors] = [0, 0];
    const blocksExpected = Math.ceil(pool.status().liveBytes / BLOCK_BYTES);
    const tell = (): void => report({ blocks, blocksExpected, errors, damage });
    const onError = (sentence: string): void => {
      errors++;
      if (damage.length < SENTENCES_MAX) damage.push(sentence);
      tell();
    };
    const onProgress = (done: number): void => {
      blocks = done;
      tell();
    };
    tell();
    const result = await pool.scrub({ onError, onProgress, signal });
    signal.throwIfAborted();
    return { ...result, damage };
  });
}
