/** The settings of a running pool that can be changed: its size, the collector's ratio, the background scrub's pace. */
import { RopewalkError } from "../base/errors.ts";
import { formatSize } from "../base/size-text.ts";
import type { PoolStatus } from "../pool/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";

export interface PoolChange {
  readonly sizeBytes?: number | undefined;
  readonly collectAboveRatio?: number | undefined;
  readonly scrubBytesPerSecond?: number | undefined;
}

/** INVALID_SIZE when the size is below what is used. */
export async function changePool(pool: ControlledPool, change: PoolChange): Promise<PoolStatus> {
  const { sizeBytes } = change;
  if (sizeBytes !== undefined) refuseTooSmall(sizeBytes, pool.status());
  await pool.set(Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)));
  return pool.status();
}

function refuseTooSmall(sizeBytes: number, { usedBytes }: PoolStatus): void {
  if (sizeBytes >= usedBytes) return;
  throw new RopewalkError(
    "INVALID_SIZE",
    `The pool uses ${formatSize(usedBytes)} (${usedBytes} bytes) already; delete, trim or collect first.`,
  );
}
