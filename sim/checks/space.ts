/**
 * Holds the pool's account of space against the model, and lets the pool check itself. `space` fails when
 * blocks that maps need are not counted as live, when a settled pool counts more (a leak), and when the pool
 * exceeds its size; `verify` when the pool's own structures disagree with each other.
 */
import { CheckFailed } from "../check-failed.ts";
import type { Life } from "../machine.ts";
import { pageBytes } from "../unit-content.ts";

/** How often a settling pool is asked again before what it still counts is called a leak. */
const settlingRoundsMax = 60;
const settlingPauseMs = 1000;
/** The two files that are no segments. */
const superblockBytes = 2 * 4096;

/** Bytes that maps refer to according to the model: at least, and at most. */
export function referencedBytes(life: Life): { least: number; most: number } {
  const certain = new Set<number>();
  const possible = new Set<number>();
  for (const { map } of life.machine.history.current.maps()) map.addBlocks(certain, possible);
  return { least: certain.size * pageBytes, most: possible.size * pageBytes };
}

export async function checkSpace(life: Life): Promise<void> {
  const { least } = referencedBytes(life);
  const { liveBytes, usedBytes, sizeBytes } = life.pool.status();
  if (liveBytes < least)
    throw new CheckFailed("space", `${liveBytes} bytes are live, but maps refer to ${least}`);
  if (usedBytes > sizeBytes)
    throw new CheckFailed("space", `${usedBytes} bytes are used of a pool of ${sizeBytes}`);
  if (usedBytes < liveBytes)
    throw new CheckFailed("space", `${usedBytes} bytes are used, but ${liveBytes} are live`);
  await checkSelf(life);
}

export async function checkSelf(life: Life): Promise<void> {
  const discrepancies = await life.must(life.pool.verify(), "verify");
  if (discrepancies.length > 0)
    throw new CheckFailed(
      "verify",
      `${discrepancies.length} discrepancies: ${discrepancies.slice(0, 5).join("; ")}`,
    );
}

/**
 * Gives the pool time to free what nothing refers to, and fails when a block stays live, or a file on the disk that
 * the pool does not count. No request may be on its way.
 */
export async function checkNoLeak(life: Life): Promise<void> {
  const { most } = referencedBytes(life);
  const { disk } = life.machine;
  const isSettled = () => {
    const { liveBytes, usedBytes } = life.pool.status();
    return liveBytes <= most && disk.usedBytes - superblockBytes === usedBytes;
  };
  for (let round = 0; round < settlingRoundsMax && !isSettled(); round++) {
    if (life.pool.status().liveBytes > most) {
      await life.must(life.pool.collect(), "collect");
      await life.must(life.pool.checkpoint(), "checkpoint");
    }
    await life.pause(settlingPauseMs);
  }
  if (isSettled()) return;
  const { liveBytes, usedBytes } = life.pool.status();
  const files = disk.usedBytes - superblockBytes;
  throw new CheckFailed(
    "leak",
    `${liveBytes} bytes are live, maps refer to at most ${most}; ${files} bytes of files, the pool counts ${usedBytes}`,
  );
}
