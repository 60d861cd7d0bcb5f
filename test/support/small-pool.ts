// A real pool with small segments in a temporary folder, for tests of the rooms above it.
import { hostClock, hostRandom, openDirectoryDisk } from "../../src/host/mod.ts";
import { Pool } from "../../src/pool/mod.ts";
import { TemporaryFolder } from "./temporary-folder.ts";

const MIB = 2 ** 20;
export const SMALL_POOL_BYTES = 256 * MIB;

export interface SmallPool extends AsyncDisposable {
  readonly pool: Pool;
}

export async function openSmallPool(): Promise<SmallPool> {
  const folder = new TemporaryFolder();
  const world = { disk: await openDirectoryDisk(folder.path), clock: hostClock, random: hostRandom };
  await Pool.format(world, { segmentBytes: MIB, sizeBytes: SMALL_POOL_BYTES });
  const pool = await Pool.open(world, { segmentBytes: MIB });
  return {
    pool,
    async [Symbol.asyncDispose]() {
      await pool.close();
      folder[Symbol.dispose]();
    },
  };
}
