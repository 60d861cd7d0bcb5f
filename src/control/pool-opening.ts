/**
 * Opens the daemon's pool, making it first where there is none.
 * Always holds: an existing pool is never made anew; a wanted size that the pool cannot have fails the opening
 * and leaves the pool as it was. Errors: those of the pool, NO_SPACE, INVALID_SIZE.
 */
import type { Pool, PoolSettings } from "../pool/mod.ts";
import type { Clock, Disk, PageThreads, Random } from "../ports/mod.ts";
import { changePool } from "./pool-settings.ts";
import type { Settings } from "./settings/settings.ts";

/** Where the pool is, or is to be. */
export interface PoolPlace {
  readonly hasPool: boolean;
  freeBytes(): Promise<number>;
  openPool(): Promise<Disk>;
  /** Makes a pool with `format`; nothing of it stays when that fails. */
  makePool(format: (disk: Disk) => Promise<void>): Promise<Disk>;
}

/** What makes and opens pools: the class Pool itself. */
export type PoolMaker = Pick<typeof Pool, "format" | "open">;

export interface OpenedPool {
  readonly pool: Pool;
  /** Made by this opening. */
  readonly isNew: boolean;
}

const NEW_POOL_PART = 0.8;
const NEW_POOL_BYTES_MIN = 2 ** 30;
const SIZE_UNIT_BYTES = 2 ** 20;

/** Limit of a new pool's size when none is given: 80 % of what is free, at least 1 GiB. */
export function newPoolBytes(freeBytes: number): number {
  const part = Math.floor((freeBytes * NEW_POOL_PART) / SIZE_UNIT_BYTES) * SIZE_UNIT_BYTES;
  return Math.max(NEW_POOL_BYTES_MIN, part);
}

export async function openPool(
  place: PoolPlace,
  options: {
    maker: PoolMaker;
    clock: Clock;
    random: Random;
    pageThreads?: PageThreads | undefined;
    settings: Settings["pool"];
  },
): Promise<OpenedPool> {
  const { maker, clock, random, pageThreads, settings } = options;
  const running = runningSettings(settings);
  const isNew = !place.hasPool;
  const disk = isNew
    ? await place.makePool(async (fresh) => {
        const sizeBytes = settings.sizeBytes ?? newPoolBytes(await place.freeBytes());
        await maker.format({ disk: fresh, clock, random }, { ...running, sizeBytes });
      })
    : await place.openPool();
  const pool = await maker.open({ disk, clock, random, pageThreads }, running);
  try {
    const { sizeBytes } = settings;
    if (sizeBytes !== undefined && sizeBytes !== pool.status().sizeBytes)
      await changePool(pool, { sizeBytes });
  } catch (error) {
    await pool.close();
    throw error;
  }
  return { pool, isNew };
}

/** Those that were given; the pool knows the others. */
function runningSettings(settings: Settings["pool"]): Partial<PoolSettings> {
  const { nodeCacheBytes, collectAboveRatio, scrubBytesPerSecond } = settings;
  return {
    ...(nodeCacheBytes === undefined ? {} : { nodeCacheBytes }),
    ...(collectAboveRatio === undefined ? {} : { collectAboveRatio }),
    ...(scrubBytesPerSecond === undefined ? {} : { scrubBytesPerSecond }),
  };
}
