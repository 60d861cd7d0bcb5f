// Snapshots, clones, rollbacks, grafts and differences against plain buffers.
import assert from "node:assert/strict";
import test from "node:test";
import { bytesOf, patternBytes, withSimulatedPool } from "../../../test/support/simulated-pool.ts";
import type { BlockDevice } from "../../device/mod.ts";
import type { MapRef, Pool } from "../mod.ts";

const MIB = 2 ** 20;
const PAGE = 4096;
const SIZE = 6 * MIB + 1536;

/** A device and the buffer that says what it must hold. */
class Mirrored {
  readonly device: BlockDevice;
  readonly bytes: Uint8Array;

  constructor(device: BlockDevice, bytes: Uint8Array = new Uint8Array(device.sizeBytes)) {
    this.device = device;
    this.bytes = bytes;
  }

  async write(offset: number, length: number, seed: number): Promise<void> {
    const data = patternBytes(length, seed);
    await this.device.write(offset, data, 0);
    this.bytes.set(data, offset);
  }

  async clear(offset: number, length: number, seed: number): Promise<void> {
    await (seed % 2 === 0 ? this.device.trim(offset, length, 0) : this.device.zero(offset, length, 2));
    this.bytes.fill(0, offset, offset + length);
  }

  async matches(): Promise<void> {
    assert.ok(
      Buffer.compare(await bytesOf(this.device), this.bytes) === 0,
      "the device holds what the buffer holds",
    );
  }
}

async function scatter(volume: Mirrored, seed: number): Promise<void> {
  for (let index = 0; index < 12; index += 1) {
    const offset = (index * 523 + seed * 131) * 1024 * 1.5;
    await volume.write(Math.floor(offset % (SIZE - 70_000)), 1000 + index * 5000, seed * 16 + index);
  }
  await volume.clear((seed * 700_000) % (SIZE - 300_000), 250_000, seed);
}

test("the difference of any two of several snapshots and clones covers every byte that differs and no shared page", () =>
  withSimulatedPool(async (simulated) => {
    const { pool } = simulated;
    const volume = new Mirrored(await simulated.volume("v", SIZE));
    const states: { map: MapRef; bytes: Uint8Array }[] = [];
    for (let round = 0; round < 4; round += 1) {
      await scatter(volume, round);
      await pool.createSnapshot("v", `s${round}`);
      states.push({ map: { volume: "v", snapshot: `s${round}` }, bytes: volume.bytes.slice() });
      if (round === 1) await pool.checkpoint();
    }
    await pool.cloneVolume({ source: "v", snapshot: "s1", name: "c" });
    const clone = new Mirrored(pool.openVolume("c"), states[1]!.bytes.slice());
    await scatter(clone, 9);
    states.push({ map: { volume: "c" }, bytes: clone.bytes });
    for (const from of states) {
      for (const to of states) await compareDifference(pool, from, to);
    }
    await pool.resizeVolume("c", 3 * 1024 * MIB);
    const grown = await (async () => {
      const ranges = [];
      for await (const range of pool.difference({ from: states[4]!.map, to: { volume: "c" } }))
        ranges.push(range);
      return ranges;
    })();
    assert.deepEqual(grown, []);
  }));

async function compareDifference(
  pool: Pool,
  from: { map: MapRef; bytes: Uint8Array },
  to: { map: MapRef; bytes: Uint8Array },
): Promise<void> {
  const inside = new Uint8Array(SIZE);
  let last = 0;
  for await (const { offsetBytes, lengthBytes, kind } of pool.difference({ from: from.map, to: to.map })) {
    assert.ok(offsetBytes >= last && lengthBytes > 0);
    last = offsetBytes + lengthBytes;
    assert.ok(last <= SIZE);
    inside.fill(1, offsetBytes, last);
    if (kind !== "data") assert.ok(to.bytes.subarray(offsetBytes, last).every((byte) => byte === 0));
  }
  if (from === to) assert.equal(last, 0);
  for (let at = 0; at < SIZE; at += 1)
    if (from.bytes[at] !== to.bytes[at] && inside[at] === 0)
      assert.fail(`byte ${at} differs and is not told`);
}

test("grafts read as copies: aligned, off by a page, overlapping, from snapshots and pins, of holes, zeros and a last part of a page", () =>
  withSimulatedPool(async (simulated) => {
    const { pool } = simulated;
    const source = new Mirrored(await simulated.volume("a", SIZE));
    await scatter(source, 1);
    await source.write(SIZE - 5000, 5000, 3);
    await source.clear(2 * MIB, MIB, 1);
    await pool.createSnapshot("a", "s");
    const pin = await pool.pin({ volume: "a" });
    const frozen = source.bytes.slice();
    const target = new Mirrored(await simulated.volume("b", SIZE));
    await scatter(target, 2);
    await scatter(source, 4);
    const graft = async (
      map: MapRef,
      content: Uint8Array,
      sourceOffset: number,
      into: Mirrored,
      volume: string,
      offset: number,
      length: number,
    ) => {
      const copied = content.slice(sourceOffset, sourceOffset + length);
      await pool.graft({ source: map, sourceOffset, volume, offset, length });
      into.bytes.set(copied, offset);
      await source.matches();
      await target.matches();
    };
    await graft({ volume: "a" }, source.bytes, 2 * MIB, target, "b", 4 * MIB, 2 * MIB);
    await graft({ volume: "a", snapshot: "s" }, frozen, PAGE, target, "b", 0, 3 * MIB);
    await graft({ pin }, frozen, 0, source, "a", 7 * PAGE, 3 * MIB);
    await graft({ volume: "b" }, target.bytes, 0, target, "b", 3 * PAGE, 5 * MIB);
    await graft({ volume: "b" }, target.bytes, 5 * PAGE, target, "b", 0, 5 * MIB);
    await graft({ volume: "b" }, target.bytes, 4 * MIB, source, "a", 4 * MIB, SIZE - 4 * MIB);
    await scatter(source, 5);
    await scatter(target, 6);
    await source.matches();
    await target.matches();
    await pool.unpin(pin);
    await pool.deleteSnapshot("a", "s");
    await pool.collect();
    assert.deepEqual(await pool.verify(), []);
    simulated.die();
    await simulated.open();
    await new Mirrored(simulated.pool.openVolume("a"), source.bytes).matches();
    await new Mirrored(simulated.pool.openVolume("b"), target.bytes).matches();
    const badOffset = simulated.pool.graft({
      source: { volume: "a" },
      sourceOffset: 512,
      volume: "b",
      offset: 0,
      length: PAGE,
    });
    await assert.rejects(badOffset, { code: "INVALID_RANGE" });
  }));

test("snapshots and clones of any depth stay as they were, with a node cache of a few nodes", () =>
  withSimulatedPool(
    async (simulated) => {
      const { pool } = simulated;
      const all: Mirrored[] = [new Mirrored(await simulated.volume("v0", SIZE))];
      for (let depth = 0; depth < 6; depth += 1) {
        const current = all[depth]!;
        await scatter(current, depth);
        await pool.createSnapshot(`v${depth}`, "s");
        await pool.cloneVolume({ source: `v${depth}`, snapshot: "s", name: `v${depth + 1}` });
        all.push(new Mirrored(pool.openVolume(`v${depth + 1}`), current.bytes.slice()));
        await scatter(current, depth + 20);
        if (depth % 2 === 0) await pool.checkpoint();
      }
      for (const each of all) await each.matches();
      await all[3]!.device.close();
      await pool.rollback("v3", "s");
      await new Mirrored(pool.openVolume("v3"), await bytesOf(pool.openSnapshot("v3", "s"))).matches();
      await assert.rejects(() => pool.deleteSnapshot("v3", "s"), { code: "IN_USE" });
      await assert.rejects(() => pool.deleteSnapshot("v2", "s"), { code: "HAS_CLONES" });
      await assert.rejects(() => pool.rollback("v2", "s"), { code: "IN_USE" });
      assert.deepEqual(await pool.verify(), []);
    },
    { settings: { nodeCacheBytes: 64 * 1024, sizeBytes: 128 * MIB } },
  ));

test("what was cut off by a shrink reads as zeros after growing again", () =>
  withSimulatedPool(async (simulated) => {
    const volume = new Mirrored(await simulated.volume("v", SIZE));
    await volume.write(0, 500_000, 1);
    await volume.write(5 * MIB, 500_000, 2);
    await assert.rejects(() => simulated.pool.resizeVolume("v", 100_352), { code: "IN_USE" });
    await volume.device.close();
    await simulated.pool.resizeVolume("v", 100_352);
    await simulated.pool.resizeVolume("v", SIZE);
    volume.bytes.fill(0, 100_352);
    await new Mirrored(simulated.pool.openVolume("v"), volume.bytes).matches();
    assert.equal(simulated.pool.volume("v").usedBytes, 25 * PAGE);
    assert.deepEqual(await simulated.pool.verify(), []);
  }));

test("a shrink of the volume while a graft of several records runs leaves a pool that opens", () =>
  withSimulatedPool(async (simulated) => {
    await (await simulated.volume("a", 256 * MIB)).close();
    const source = await simulated.volume("b", 256 * MIB);
    for (let at = 0; at < 256 * MIB; at += 8 * MIB) await source.write(at, patternBytes(64 * 1024, at), 0);
    const grafted = simulated.pool
      .graft({
        source: { volume: "b" },
        sourceOffset: PAGE,
        volume: "a",
        offset: 0,
        length: 256 * MIB - PAGE,
      })
      .catch((error: unknown) => error);
    await simulated.pool.resizeVolume("a", 1536);
    assert.equal(((await grafted) as { code?: string }).code, "INVALID_RANGE");
    simulated.die();
    await simulated.open();
    assert.equal(simulated.pool.volume("a").sizeBytes, 1536);
    assert.deepEqual(await simulated.pool.verify(), []);
  }));
