import assert from "node:assert/strict";
import test from "node:test";
import type { SimulatedDisk } from "../../../sim/simulated-disk.ts";
import { patternBytes, withSimulatedPool } from "../../../test/support/simulated-pool.ts";

const MIB = 2 ** 20;

test("deleting volumes, snapshots and clones in any order gives all space back", () =>
  withSimulatedPool(async ({ pool }) => {
    const before = pool.status().liveBytes;
    await pool.createVolume({ name: "v", sizeBytes: 16 * MIB });
    const device = pool.openVolume("v");
    for (let round = 0; round < 4; round += 1) {
      for (let at = round * 4096; at < 16 * MIB; at += 97 * 4096)
        await device.write(at, patternBytes(8192, round), 0);
      await pool.createSnapshot("v", `s${round}`);
    }
    await pool.cloneVolume({ source: "v", snapshot: "s1", name: "c" });
    const clone = pool.openVolume("c");
    await clone.write(0, patternBytes(MIB / 2, 7), 0);
    await pool.graft({
      source: { volume: "c" },
      sourceOffset: 4096,
      volume: "v",
      offset: 0,
      length: 8 * MIB,
    });
    await device.trim(MIB, 3 * MIB, 0);
    await device.close();
    await clone.close();
    await pool.deleteVolume("c");
    for (const name of ["s2", "s0", "s3", "s1"]) {
      await pool.deleteSnapshot("v", name);
      assert.deepEqual(await pool.verify(), []);
    }
    await pool.deleteVolume("v");
    assert.deepEqual(await pool.verify(), []);
    assert.equal(pool.status().liveBytes, before);
  }));

test("a damaged node of a deleted volume is left alone and keeps nothing else from being given back", () =>
  withSimulatedPool(
    async (simulated) => {
      const device = await simulated.volume("v", 16 * MIB);
      for (let at = 0; at < 16 * MIB; at += 2 * MIB) await device.write(at, patternBytes(4096, at), 0);
      await device.close();
      await simulated.pool.checkpoint();
      simulated.die();
      // Any leaf's stored form: found by its magic in the metadata segments.
      flipOneLeaf(simulated.disk);
      const pool = await simulated.open();
      await pool.deleteVolume("v");
      await pool.collect();
      assert.ok(pool.status().liveBytes <= 4096, `${pool.status().liveBytes} bytes are live`);
      await pool.close();
    },
    { disk: { cachedFraction: 1 }, turnsMax: 100_000 },
  ));

test("after the log failed, what is to be given back waits without turning the loop over", () =>
  withSimulatedPool(
    async (simulated) => {
      const first = await simulated.volume("v", 256 * MIB);
      for (let at = 0; at < 256 * MIB; at += 2 * MIB) await first.write(at, patternBytes(4096, at), 0);
      await simulated.pool.checkpoint();
      simulated.die();
      const device = (await simulated.open()).openVolume("v");
      simulated.disk.faults.arm({ call: "sync", nth: 1, lasting: true, code: "IO_ERROR" });
      await device.trim(0, 256 * MIB, 0);
      await assert.rejects(async () => void (await device.flush()), { code: "POOL_READ_ONLY" });
      const turns = simulated.clock.turns;
      await simulated.pause(1000);
      assert.ok(
        simulated.clock.turns - turns < 1000,
        `${simulated.clock.turns - turns} turns in a second of rest`,
      );
    },
    { disk: { cachedFraction: 0 } },
  ));

function flipOneLeaf(disk: SimulatedDisk): void {
  for (const [name, file] of disk.directory.names) {
    if (!name.startsWith("segment-")) continue;
    const words = new Uint32Array(file.durableBytes().buffer);
    if ((words[3]! & 0xff) !== 3) continue;
    for (let word = 1024; word < words.length; word += 2) {
      if (words[word] !== 0x646e_7752 || words[word + 1] !== 0) continue;
      file.flip(word * 4 + 34, 1);
      return;
    }
  }
  assert.fail("no leaf found");
}
