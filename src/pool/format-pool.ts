/**
 * Makes an empty pool: two slots, the reserve, the first log segment, and a checkpoint of nothing.
 *
 * Always holds: a disk that has a pool is left as it is; what an interrupted format left is replaced.
 */
import { RopewalkError } from "../base/errors.ts";
import { Checkpointer } from "./checkpoint/checkpointer.ts";
import { readSlots } from "./checkpoint/recovery.ts";
import { Engine } from "./engine.ts";
import { SLOT_FILE_BYTES, SLOT_NAMES } from "./format/superblock.ts";
import type { PoolSettings } from "./pool-api.ts";
import type { PoolWorld } from "./world.ts";

/** ALREADY_EXISTS, NO_SPACE */
export async function formatPool(world: PoolWorld, settings: PoolSettings): Promise<void> {
  await world.disk.lock();
  try {
    const slots = await readSlots(world);
    if (slots !== undefined && !slots.blank)
      throw new RopewalkError("ALREADY_EXISTS", "there is a pool in this directory already");
    for (const { name } of await world.disk.list()) {
      if (/^(segment-|spare-|superblock-)/.test(name)) await world.disk.remove(name);
    }
    for (const name of SLOT_NAMES) await (await world.disk.create(name, SLOT_FILE_BYTES)).close();
    await world.disk.syncDirectory();
    const engine = new Engine(world, settings);
    const id = new Uint32Array(world.random.bytes(8).slice().buffer);
    engine.segments.poolLow = id[0]!;
    engine.segments.poolHigh = id[1]!;
    engine.segments.incarnation = 1;
    engine.catalogue.sizeBytes = settings.sizeBytes;
    await engine.segments.spares.fill();
    await engine.log.start(0, 1);
    await new Checkpointer(engine).runFresh();
    await engine.log.close();
    await engine.segments.closeAll();
  } finally {
    await world.disk.unlock();
  }
}
