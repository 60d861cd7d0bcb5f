/** The settings of a running pool that can be changed: its size, the collector's ratio, the background scrub's pace. */
import type { PoolStatus } from "../pool/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";

export interface PoolChange {
  readonly sizeBytes?: number | undefined;
  readonly collectAboveRatio?: number | undefined;
  readonly scrubBytesPerSecond?: number | undefined;
}

/** The size is kept in the pool, the others last until it is closed. INVALID_SIZE below what is used, INVALID_ARGUMENT */
export async function changePool(pool: ControlledPool, change: PoolChange): Promise<PoolStatus> {
  await pool.set(Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)));
  return pool.status();
}
