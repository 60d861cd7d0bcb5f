// What cursors deliver, keep and give up.
import assert from "node:assert/strict";
import test from "node:test";
import {
  bytesOf,
  patternBytes,
  type SimulatedPool,
  withSimulatedPool,
} from "../../../test/support/simulated-pool.ts";

const MIB = 2 ** 20;

test("a cursor delivers every kind of operation with its data, in order", () =>
  withSimulatedPool(async (simulated) => {
    const { pool } = simulated;
    await (await simulated.volume("other", 8 * MIB)).write(0, patternBytes(MIB / 4, 9), 0);
    const device = await simulated.volume("v", 8 * MIB);
    await pool.createCursor({ name: "c", volume: "v" });
    await device.write(1000, patternBytes(9000, 1), 0);
    await device.zero(4096, 100, 0);
    await pool.createSnapshot("v", "s");
    await device.trim(0, 8192, 0);
    await pool.graft({
      source: { volume: "other" },
      sourceOffset: 4096,
      volume: "v",
      offset: 8192,
      length: 16_384,
    });
    const marked = await pool.mark("v", "here");
    await device.close();
    await pool.rollback("v", "s");
    await pool.deleteSnapshot("v", "s");
    await pool.resizeVolume("v", 16 * MIB);
    const records = await pool.readCursor("c", { waitMs: 100 });
    const kinds = records.map(({ operation }) => operation.kind);
    assert.deepEqual(kinds, [
      "write",
      "zero",
      "snapshot",
      "trim",
      "graft",
      "marker",
      "rollback",
      "snapshot-delete",
      "resize",
    ]);
    const [write, , , , graft, marker, rollback] = records.map(({ operation }) => operation);
    assert.ok(write?.kind === "write" && write.offsetBytes === 1000);
    assert.deepEqual(new Uint8Array(write.data), patternBytes(9000, 1));
    assert.equal(records[5]!.sequence, marked);
    assert.ok(marker?.kind === "marker" && marker.text === "here");
    assert.ok(
      graft?.kind === "graft" &&
        "pin" in graft.source &&
        rollback?.kind === "rollback" &&
        "pin" in rollback.map,
    );
    const held = graft.source;
    const grafted = pool.openPin(held.pin);
    assert.deepEqual(
      await bytesOf(grafted, graft.sourceOffsetBytes, 16_384),
      patternBytes(MIB / 4, 9).subarray(4096, 20_480),
    );
    await grafted.close();
    const before = pool.openPin(rollback.map.pin);
    assert.deepEqual(await bytesOf(before, 1000, 3096), patternBytes(9000, 1).subarray(0, 3096));
    await before.close();
    await pool.acknowledgeCursor("c", records.at(-1)!.sequence);
    assert.throws(() => pool.openPin(held.pin), { code: "PIN_NOT_FOUND" });
    assert.deepEqual(await pool.verify(), []);
  }));

test("what was not acknowledged comes again after the pool died, and not what was", () =>
  withSimulatedPool(async (simulated) => {
    const device = await simulated.volume("v", 8 * MIB);
    await simulated.pool.createCursor({ name: "c", volume: "v" });
    for (let round = 0; round < 12; round += 1)
      await device.write(round * MIB * 0.5, patternBytes(MIB / 2, round), 1);
    const first = await simulated.pool.readCursor("c", { bytesMax: 3 * MIB });
    await simulated.pool.acknowledgeCursor("c", first[2]!.sequence);
    for (let life = 0; life < 3; life += 1) {
      simulated.die("lost");
      await simulated.open();
      await simulated.pool.checkpoint();
    }
    const again: number[] = [];
    for (;;) {
      const records = await simulated.pool.readCursor("c", { after: again.at(-1) ?? first[2]!.sequence });
      if (records.length === 0) break;
      again.push(...records.map(({ sequence }) => sequence));
    }
    assert.equal(again.length, 9);
    assert.deepEqual(
      again.slice(0, first.length - 3),
      first.slice(3).map(({ sequence }) => sequence),
    );
  }));

test("a reader that waits gets a record once it is durable", () =>
  withSimulatedPool(async (simulated) => {
    const device = await simulated.volume("v", 8 * MIB);
    await simulated.pool.createCursor({ name: "c", volume: "v" });
    const waiting = simulated.pool.readCursor("c", { waitMs: 60_000 });
    await device.write(0, patternBytes(4096, 1), 0);
    assert.deepEqual(await simulated.pool.readCursor("c"), []);
    const records = await waiting;
    assert.equal(records.length, 1);
    assert.ok(simulated.pool.status().durableSequence >= records[0]!.sequence);
    assert.deepEqual(await simulated.pool.readCursor("c", { after: records[0]!.sequence, waitMs: 10 }), []);
  }));

test("beyond its budget a cursor is dropped, and the difference from its frozen map brings a copy up to date", () =>
  withSimulatedPool(async (simulated) => {
    const { pool } = simulated;
    const device = await simulated.volume("v", 8 * MIB);
    await overwrite(simulated, 1);
    await pool.createCursor({ name: "c", volume: "v", logBytesMax: MIB });
    const copy = await bytesOf(device);
    for (let round = 2; round < 5; round += 1) await overwrite(simulated, round);
    assert.equal(pool.cursors()[0]!.state, "dropped");
    await assert.rejects(() => pool.readCursor("c"), { code: "PIN_DROPPED" });
    const { from, to, sequence } = await pool.restartCursor("c");
    const now = pool.openPin(to);
    for await (const { offsetBytes, lengthBytes } of pool.difference({
      from: { pin: from! },
      to: { pin: to },
    }))
      copy.set(await bytesOf(now, offsetBytes, lengthBytes), offsetBytes);
    await now.close();
    assert.deepEqual(copy, await bytesOf(device));
    await pool.acknowledgeCursor("c", sequence);
    assert.equal(pool.cursors()[0]!.state, "following");
    await device.write(0, patternBytes(4096, 77), 1);
    assert.equal((await pool.readCursor("c")).length, 1);
    await pool.deleteCursor("c");
    assert.deepEqual(await pool.verify(), []);
    assert.equal(pool.status().liveBytes, pool.volume("v").usedBytes);
  }));

test("records asked for again are acknowledged by nobody but the reader, also when the log goes on meanwhile", async () => {
  for (let delay = 0; delay < 12; delay += 1) {
    await withSimulatedPool(async (simulated) => {
      const { pool } = simulated;
      const device = await simulated.volume("v", 8 * MIB);
      const other = await simulated.volume("other", 8 * MIB);
      await pool.createCursor({ name: "c", volume: "v" });
      const start = pool.cursors()[0]!.sequence;
      for (let at = 0; at < 12; at += 1) await device.write((at % 8) * MIB, patternBytes(MIB / 2, at), 1);
      assert.equal((await pool.readCursor("c")).length, 12);
      const again = pool.readCursor("c", { after: start });
      await simulated.pause(delay * 0.2);
      for (let at = 0; at < 3; at += 1) await other.write(at * MIB, patternBytes(MIB / 2, at), 1);
      assert.equal((await again).length, 12);
      assert.equal(pool.cursors()[0]!.sequence, start);
    });
  }
});

test("an acknowledgement never moves a cursor back", () =>
  withSimulatedPool(async ({ pool }) => {
    await pool.createVolume({ name: "v", sizeBytes: 8 * MIB });
    await pool.createCursor({ name: "c", volume: "v" });
    const one = await pool.mark("v", "one");
    const two = await pool.mark("v", "two");
    await Promise.allSettled([pool.acknowledgeCursor("c", two), pool.acknowledgeCursor("c", one)]);
    assert.equal(pool.cursors()[0]!.sequence, two);
  }));

test("a budget that is no whole number of bytes is refused, and the pool opens again", () =>
  withSimulatedPool(async (simulated) => {
    await simulated.volume("v", 8 * MIB);
    for (const logBytesMax of [0.5, -1, Number.NaN])
      await assert.rejects(() => simulated.pool.createCursor({ name: "c", volume: "v", logBytesMax }), {
        code: "INVALID_ARGUMENT",
      });
    simulated.die();
    await simulated.open();
    assert.deepEqual(simulated.pool.cursors(), []);
  }));

test("a marker tells its own sequence, whatever is written at the same moment", () =>
  withSimulatedPool(async ({ pool }) => {
    await pool.createVolume({ name: "v", sizeBytes: 8 * MIB });
    const device = pool.openVolume("v");
    await pool.createCursor({ name: "c", volume: "v" });
    const marked = pool.mark("v", "here");
    const written = device.write(0, patternBytes(4096, 1), 0);
    const sequence = await marked;
    await written;
    const records = await pool.readCursor("c", { waitMs: 100 });
    assert.equal(records.find(({ operation }) => operation.kind === "marker")!.sequence, sequence);
  }));

test("markers whose text is longer as JSON never leave their segment, and are replayed", () =>
  withSimulatedPool(async (simulated) => {
    await simulated.volume("v", 8 * MIB);
    await simulated.pool.createCursor({ name: "c", volume: "v" });
    for (let count = 0; count < 400; count += 1)
      await simulated.pool.mark("v", "x".repeat(100 + ((count * 37) % 3000)));
    for (let count = 0; count < 100; count += 1) await simulated.pool.mark("v", "\u0001".repeat(4096));
    simulated.die();
    await simulated.open();
    let markers = 0;
    for (let after: number | undefined; ; ) {
      const records = await simulated.pool.readCursor("c", after === undefined ? {} : { after });
      if (records.length === 0) break;
      markers += records.filter(({ operation }) => operation.kind === "marker").length;
      after = records.at(-1)!.sequence;
    }
    assert.equal(markers, 500);
  }));

test("a restart before the last one was acknowledged, because the reader died or was dropped again, gives the same old map", () =>
  withSimulatedPool(async ({ pool }) => {
    await pool.createVolume({ name: "v", sizeBytes: 8 * MIB });
    const device = pool.openVolume("v");
    await pool.createCursor({ name: "c", volume: "v", logBytesMax: MIB });
    const overwriteOften = async () => {
      for (let count = 0; count < 20; count += 1)
        await device.write((count % 8) * (MIB / 4), patternBytes(MIB / 4, count), 1);
    };
    await overwriteOften();
    const first = await pool.restartCursor("c");
    assert.notEqual(first.from, undefined);
    const second = await pool.restartCursor("c");
    assert.equal(second.from, first.from, "restarted again");
    await overwriteOften();
    assert.equal((await pool.restartCursor("c")).from, first.from, "dropped again");
  }));

/** Half of the volume with content of this round, some of it zeros. */
async function overwrite({ pool }: SimulatedPool, round: number): Promise<void> {
  const device = pool.openVolume("v");
  for (let at = 0; at < 8; at += 1)
    await device.write(at * MIB + round * 4096, patternBytes(MIB / 4, round * 8 + at), 1);
  await device.trim(round * MIB, 65_536, 0);
  await device.close();
}
