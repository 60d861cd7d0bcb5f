/** The settings of a running pool that can be changed: its size, the collector's ratio, the background scrub's pace. */
import { RopewalkError } from "../base/errors.ts";
import { formatSize } from "../base/size-text.ts";
import type { PoolStatus } from "../pool/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";

export const POOL_SIZE_BYTES_MIN = 2 ** 30;

export interface PoolChange {
  readonly sizeBytes?: number | undefined;
  readonly collectAboveRatio?: number | undefined;
  readonly scrubBytesPerSecond?: number | undefined;
}

/** INVALID_SIZE when the size is below 1 GiB or below what is used. */
export async function changePool(pool: ControlledPool, change: PoolChange): Promise<PoolStatus> {
  const { sizeBytes } = change;
  if (sizeBytes !== undefined) checkPoolSize(sizeBytes, pool.status());
  await pool.set(Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)));
  return pool.status();
}

/** INVALID_SIZE */
export function checkPoolSize(sizeBytes: number, status?: PoolStatus): number {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < POOL_SIZE_BYTES_MIN)
    throw new RopewalkError("INVALID_SIZE", `A pool of ${sizeBytes} bytes is too small; it needs 1 GiB.`);
  if (status && sizeBytes < status.usedBytes)
    throw new RopewalkError(
      "INVALID_SIZE",
      `The pool uses ${formatSize(status.usedBytes)} (${status.usedBytes} bytes) already; delete, trim or collect first.`,
    );
  return sizeBytes;
}
