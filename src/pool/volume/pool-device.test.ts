// Pool volumes keep every promise of a block device, on a real disk.
import { after } from "node:test";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import { openSmallPool, type SmallPool } from "../../../test/support/small-pool.ts";
import type { BlockDevice } from "../../device/mod.ts";
import type { Pool } from "../pool.ts";

let opened: Promise<SmallPool> | undefined;
let volumes = 0;

/** One pool for all tests of this file. */
async function sharedPool(): Promise<Pool> {
  opened ??= openSmallPool();
  return (await opened).pool;
}

after(async () => (await opened)?.[Symbol.asyncDispose]());

async function freshVolume(sizeBytes: number): Promise<{ pool: Pool; name: string }> {
  const pool = await sharedPool();
  volumes += 1;
  const name = `v${volumes}`;
  await pool.createVolume({ name, sizeBytes });
  return { pool, name };
}

async function openCloneOfSnapshot(sizeBytes: number): Promise<BlockDevice> {
  const { pool, name } = await freshVolume(sizeBytes);
  const origin = pool.openVolume(name);
  await origin.write(0, new Uint8Array(sizeBytes).fill(7), 0);
  await origin.zero(0, sizeBytes, volumes % 2 === 0 ? 2 : 0);
  await origin.close();
  await pool.createSnapshot(name, "s");
  await pool.cloneVolume({ source: name, snapshot: "s", name: `${name}-clone` });
  return pool.openVolume(`${name}-clone`);
}

async function openWithManySnapshots(sizeBytes: number): Promise<BlockDevice> {
  const { pool, name } = await freshVolume(sizeBytes);
  const device = pool.openVolume(name);
  for (let round = 0; round < 8; round += 1) {
    await device.write(round * 5000, new Uint8Array(9000).fill(round + 1), 0);
    await pool.createSnapshot(name, `s${round}`);
    await device.trim(0, sizeBytes, 0);
  }
  return device;
}

testBlockDevice("a pool volume", {
  open: async (sizeBytes) => {
    const { pool, name } = await freshVolume(sizeBytes);
    return pool.openVolume(name);
  },
  runs: 40,
});
testBlockDevice("a clone of a snapshot", { open: openCloneOfSnapshot, runs: 25 });
testBlockDevice("a volume with many snapshots", { open: openWithManySnapshots, runs: 15 });
