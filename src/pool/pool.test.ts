// What the pool refuses, each with its code, and its size as a setting.
import assert from "node:assert/strict";
import test from "node:test";
import { bytesOf, patternBytes, withSimulatedPool } from "../../test/support/simulated-pool.ts";
import type { ErrorCode } from "../base/errors.ts";
import { Pool } from "./mod.ts";

const MIB = 2 ** 20;

async function refused(code: ErrorCode, request: () => Promise<unknown>): Promise<void> {
  await assert.rejects(request, { code });
}

test("names, sizes, duplicates and unknown things are refused, and the pool opens again", () =>
  withSimulatedPool(async (simulated) => {
    const { pool } = simulated;
    for (const name of ["", "..", "a@b", "x".repeat(300), "a\u0000b", "A", "-a"])
      await refused("INVALID_NAME", () => pool.createVolume({ name, sizeBytes: MIB }));
    for (const sizeBytes of [0, -512, 1000, 2 ** 63, 0.5, Number.NaN])
      await refused("INVALID_SIZE", () => pool.createVolume({ name: "v", sizeBytes }));
    const twice = await Promise.allSettled(
      [0, 1].map(() => pool.createVolume({ name: "v", sizeBytes: MIB })),
    );
    assert.deepEqual(twice.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    await refused("VOLUME_NOT_FOUND", () => pool.createSnapshot("nobody", "s"));
    await refused("INVALID_NAME", () => pool.createSnapshot("v", "a@b"));
    await pool.createSnapshot("v", "s");
    await refused("ALREADY_EXISTS", () => pool.createSnapshot("v", "s"));
    await refused("SNAPSHOT_NOT_FOUND", () => pool.deleteSnapshot("v", "t"));
    await refused("HAS_SNAPSHOTS", () => pool.deleteVolume("v"));
    await pool.cloneVolume({ source: "v", name: "clone" });
    await pool.deleteSnapshot("v", "s");
    await refused("HAS_CLONES", () => pool.deleteVolume("v"));
    await pool.detachVolume("clone");
    const device = pool.openVolume("v");
    await refused("IN_USE", () => pool.deleteVolume("v"));
    await device.close();
    await pool.deleteVolume("v");
    await refused("PIN_NOT_FOUND", () => pool.unpin(12345));
    simulated.die();
    await simulated.open();
    assert.deepEqual(
      simulated.pool.volumes().map(({ name }) => name),
      ["clone"],
    );
  }));

test("a second opening and a second making of the pool are refused while the first has it", () =>
  withSimulatedPool(async (simulated) => {
    const world = { ...simulated.world, disk: simulated.disk.attach(simulated.clock.startProcess()) };
    await refused("POOL_IN_USE", () => Pool.open(world, simulated.settings));
    await refused("POOL_IN_USE", () => Pool.format(world, simulated.settings));
    await simulated.pool.close();
    await refused("ALREADY_EXISTS", () => Pool.format(world, simulated.settings));
    await (await Pool.open(world, simulated.settings)).close();
  }));

test("a pool size that is no whole number is refused, and the pool opens again", () =>
  withSimulatedPool(async (simulated) => {
    await refused("INVALID_ARGUMENT", () => simulated.pool.set({ sizeBytes: 40 * MIB + 0.5 }));
    simulated.die();
    await simulated.open();
    assert.equal(simulated.pool.status().sizeBytes, simulated.settings.sizeBytes);
  }));

test("the pool's size grows and shrinks to what is used, and is kept", () =>
  withSimulatedPool(async (simulated) => {
    const { pool } = simulated;
    const device = await simulated.volume("v", 64 * MIB);
    for (let at = 0; at < 20 * MIB; at += MIB / 2) await device.write(at, patternBytes(MIB / 2, at), 0);
    await refused("INVALID_SIZE", () => pool.set({ sizeBytes: 20 * MIB }));
    await refused("INVALID_ARGUMENT", () => pool.set({ sizeBytes: MIB }));
    await pool.set({ sizeBytes: 100 * MIB });
    for (let at = 20 * MIB; at < 60 * MIB; at += MIB / 2)
      await device.write(at, patternBytes(MIB / 2, at), 0);
    await device.trim(0, 60 * MIB, 0);
    await pool.collect();
    await pool.set({ sizeBytes: 30 * MIB });
    assert.ok(pool.status().usedBytes <= 30 * MIB);
    await pool.close();
    const again = await Pool.open(simulated.world, { segmentBytes: MIB });
    assert.equal(again.status().sizeBytes, 30 * MIB);
    await again.close();
  }));

test("collection keeps all data and gives the segments of what was overwritten back", () =>
  withSimulatedPool(
    async (simulated) => {
      const { pool } = simulated;
      const device = await simulated.volume("v", 8 * MIB);
      for (let at = 0; at < 8 * MIB; at += MIB / 2) await device.write(at, patternBytes(MIB / 2, at), 0);
      await pool.createSnapshot("v", "s");
      for (let round = 0; round < 40; round += 1) {
        for (let page = round % 3; page < 2048; page += 37)
          await device.write(page * 4096, patternBytes(4096, round), 0);
      }
      const before = await bytesOf(device);
      const used = pool.status().usedBytes;
      await pool.collect({ ratio: 1.3 });
      assert.ok(pool.status().usedBytes < used);
      assert.deepEqual(await bytesOf(device), before);
      assert.deepEqual(await pool.verify(), []);
      simulated.die("lost");
      await simulated.open();
      assert.deepEqual(await bytesOf(simulated.pool.openVolume("v")), before);
      const frozen = await bytesOf(simulated.pool.openSnapshot("v", "s"));
      for (let at = 0; at < 8 * MIB; at += MIB / 2)
        assert.deepEqual(frozen.subarray(at, at + MIB / 2), patternBytes(MIB / 2, at));
    },
    { settings: { sizeBytes: 128 * MIB, collectAboveRatio: 50 } },
  ));

test("a flood of big writes to one volume leaves another's small ones their turn", () =>
  withSimulatedPool(
    async (simulated) => {
      const flooded = await simulated.volume("flooded", 32 * MIB);
      const quiet = await simulated.volume("quiet", MIB);
      let over = false;
      const flood = Array.from({ length: 16 }, async (_, lane) => {
        for (let round = 0; !over; round += 1)
          await flooded.write(((lane + round * 16) % 64) * (MIB / 2), patternBytes(MIB / 2, lane), 0);
      });
      const bytesBefore = simulated.pool.counters.clientBytesWritten;
      for (let index = 0; index < 100; index += 1)
        await quiet.write((index % 256) * 4096, patternBytes(4096, index), 0);
      const behind = (simulated.pool.counters.clientBytesWritten - bytesBefore) / 100;
      over = true;
      await Promise.all(flood);
      assert.ok(behind <= 16 * MIB, `a small write waited for ${behind} bytes of big ones`);
    },
    { settings: { sizeBytes: 160 * MIB } },
  ));
