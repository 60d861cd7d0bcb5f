// What a full pool, or a full disk under a larger pool, refuses, what it goes on doing, and how space comes back.
import assert from "node:assert/strict";
import test from "node:test";
import { bytesOf, patternBytes, withSimulatedPool } from "../../../test/support/simulated-pool.ts";
import type { BlockDevice } from "../../device/mod.ts";

const MIB = 2 ** 20;
const PIECE = MIB / 4;

/** Writes piece behind piece until the pool is full; returns how many are in. */
async function fill(device: BlockDevice): Promise<number> {
  for (let piece = 0; ; piece += 1) {
    try {
      await device.write(piece * PIECE, patternBytes(PIECE, piece), 0);
    } catch (error) {
      assert.equal((error as { code?: string }).code, "NO_SPACE");
      return piece;
    }
  }
}

test("a full pool refuses writes, reads what it has, trims and deletes, and then takes writes again", () =>
  withSimulatedPool(
    async (simulated) => {
      const { pool } = simulated;
      await pool.createVolume({ name: "first", sizeBytes: 64 * MIB });
      await pool.createVolume({ name: "second", sizeBytes: 8 * MIB });
      const first = pool.openVolume("first");
      const second = pool.openVolume("second");
      await second.write(0, patternBytes(PIECE, 99), 0);
      const pieces = await fill(first);
      assert.ok(pieces > 40, `${pieces} pieces`);
      assert.deepEqual(await bytesOf(first, 7 * PIECE, PIECE), patternBytes(PIECE, 7));
      await pool.createSnapshot("second", "kept");
      await first.trim(0, 20 * PIECE, 0);
      await first.write(0, patternBytes(2 * PIECE, 1), 1);
      assert.deepEqual(await bytesOf(second, 0, PIECE), patternBytes(PIECE, 99));
      await first.close();
      await pool.deleteVolume("first");
      for (let piece = 1; piece < 32; piece += 1)
        await second.write(piece * PIECE, patternBytes(PIECE, piece), 0);
      assert.deepEqual(await pool.verify(), []);
      assert.ok(simulated.disk.usedBytes <= 30 * MIB + 8192);
    },
    { settings: { sizeBytes: 30 * MIB } },
  ));

test("where the disk is smaller than the pool may be, a write ends with NO_SPACE and a deletion gives room", () =>
  withSimulatedPool(
    async ({ pool }) => {
      await pool.createVolume({ name: "v", sizeBytes: 64 * MIB });
      const device = pool.openVolume("v");
      const pieces = await fill(device);
      await device.trim(0, (pieces / 2) * PIECE, 0);
      for (let piece = 0; piece < pieces / 4; piece += 1)
        await device.write(piece * PIECE, patternBytes(PIECE, 5), 0);
      assert.deepEqual(await pool.verify(), []);
    },
    { disk: { capacityBytes: 30 * MIB }, turnsMax: 400_000 },
  ));

test("small changes without end never fill a pool of which little is live, whatever log a cursor pins", () =>
  withSimulatedPool(
    async ({ pool }) => {
      await pool.createVolume({ name: "v", sizeBytes: 8 * MIB });
      const device = pool.openVolume("v");
      await device.write(0, patternBytes(MIB / 2, 1), 0);
      await pool.createCursor({ name: "c", volume: "v", logBytesMax: 1024 * MIB });
      for (let step = 0; step < 8000; step += 1) await device.zero((step % 100) * 4096 + 100, 10, 0);
      assert.notEqual(pool.cursors()[0]!.state, "following");
      assert.deepEqual(await pool.verify(), []);
    },
    { settings: { sizeBytes: 24 * MIB } },
  ));

test("a pool that was full when it died opens, again and again", () =>
  withSimulatedPool(
    async (simulated) => {
      const pieces = await fill(await simulated.volume("v", 64 * MIB));
      for (let life = 0; life < 6; life += 1) {
        simulated.die();
        await simulated.open();
      }
      const device = simulated.pool.openVolume("v");
      await device.trim(0, (pieces / 2) * PIECE, 0);
      await device.write(0, patternBytes(PIECE, 3), 1);
      assert.deepEqual(await simulated.pool.verify(), []);
    },
    { settings: { sizeBytes: 30 * MIB } },
  ));
