/**
 * Collection on demand: live data of sparse segments moves together until used space is at most a ratio of it.
 * Always holds: at most one at a time; the ratio falls in small steps, so that a cancel takes effect between
 * two of them and progress can be told.
 */
import type { Clock } from "../ports/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";
import { LongWork } from "./long-work.ts";

/** Below it collection would move almost everything for almost nothing. */
export const COLLECT_RATIO_MIN = 1.05;
export const COLLECT_RATIO_MAX = 100;
const RATIO_DEFAULT = 1.1;
/** Few steps, because each goes through all maps once. */
const RATIO_STEP = 0.8;
/** Above it one step is as good as many: there is little live data to move. */
const RATIO_START_MAX = 3;

export interface CollectionProgress {
  readonly segmentsFreed: number;
  readonly usedBytes: number;
  readonly liveBytes: number;
}

export type Collection = LongWork<{ ratio?: number | undefined }, CollectionProgress, CollectionProgress>;

export function makeCollection(pool: ControlledPool, clock: Clock): Collection {
  return new LongWork(clock, async ({ ratio: wanted }, { report, signal }) => {
    const goal = wanted ?? RATIO_DEFAULT;
    let segmentsFreed = 0;
    const progress = (): CollectionProgress => {
      const { usedBytes, liveBytes } = pool.status();
      return { segmentsFreed, usedBytes, liveBytes };
    };
    report(progress());
    let ratio = Math.max(goal, Math.min(RATIO_START_MAX, currentRatio(pool)));
    do {
      ratio = Math.max(goal, ratio * RATIO_STEP);
      segmentsFreed += (await pool.collect({ ratio })).segmentsFreed;
      signal.throwIfAborted();
      report(progress());
    } while (ratio > goal);
    return progress();
  });
}

function currentRatio(pool: ControlledPool): number {
  const { usedBytes, liveBytes } = pool.status();
  return usedBytes / Math.max(1, liveBytes);
}
