import assert from "node:assert/strict";
import { test } from "node:test";
import { openSmallPool } from "../../test/support/small-pool.ts";
import { SteppedClock } from "../../test/support/stepped-clock.ts";
import { Exports } from "./exports.ts";

const BLOCK_BYTES = 4096;

async function exportsOfOneVolume() {
  const opened = await openSmallPool();
  const { pool } = opened;
  await pool.createVolume({ name: "v", sizeBytes: 16 * BLOCK_BYTES });
  const exports = new Exports({ pool, clock: new SteppedClock(), stack: (_volume, device) => device });
  return { pool, exports, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}

test("volumes are exported read-write, snapshots read-only as VOLUME@SNAPSHOT", async () => {
  await using world = await exportsOfOneVolume();
  const { pool, exports } = world;
  await pool.createSnapshot("v", "s");
  const sizeBytes = 16 * BLOCK_BYTES;
  assert.deepEqual(exports.list(), [
    { name: "v", sizeBytes, isWritable: true },
    { name: "v@s", sizeBytes, isWritable: false },
  ]);
  assert.deepEqual(exports.show("v@s"), { name: "v@s", sizeBytes, isWritable: false });
  for (const [name, isWritable] of [
    ["v", true],
    ["v@s", false],
  ] as const) {
    const device = exports.open(name);
    assert.equal(device.capabilities.writable, isWritable);
    await device.close();
  }
});

test("what does not exist is refused with its code", async () => {
  await using world = await exportsOfOneVolume();
  const { exports } = world;
  for (const [name, code] of [
    ["w", "VOLUME_NOT_FOUND"],
    ["v@s", "SNAPSHOT_NOT_FOUND"],
    ["", "INVALID_NAME"],
    ["v@", "INVALID_NAME"],
    ["../v", "INVALID_NAME"],
  ] as const) {
    assert.throws(() => exports.open(name), { code }, name);
    assert.throws(() => exports.show(name), { code }, name);
  }
});

test("an opened export counts as a client until it is closed", async () => {
  await using world = await exportsOfOneVolume();
  const { pool, exports } = world;
  const [one, two] = [exports.open("v"), exports.open("v")];
  assert.equal(pool.volume("v").clients, 2);
  await one.close();
  await two.close();
  assert.equal(pool.volume("v").clients, 0);
});

test("changes since a snapshot cover the range without gaps and stop at the limit", async () => {
  await using world = await exportsOfOneVolume();
  const { pool, exports } = world;
  await pool.createSnapshot("v", "s");
  const device = exports.open("v");
  for (const block of [0, 1, 5, 9]) device.write(block * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES).fill(1), 0);
  const ask = async (offset: number, length: number, stretchesMax: number) => {
    const query = {
      export: "v",
      offsetBytes: offset * BLOCK_BYTES,
      lengthBytes: length * BLOCK_BYTES,
      stretchesMax,
    };
    const stretches = await exports.changesSince("s", query);
    return stretches
      .map(({ lengthBytes, value }) => `${lengthBytes / BLOCK_BYTES}${value ? "!" : "."}`)
      .join(" ");
  };
  assert.equal(await ask(0, 16, 100), "2! 3. 1! 3. 1! 6.");
  assert.equal(await ask(0, 16, 3), "2! 3. 1!");
  assert.equal(await ask(0, 16, 1), "2!");
  assert.equal(await ask(1, 1, 9), "1!");
  assert.equal(await ask(2, 3, 9), "3.");
  assert.equal(await ask(1, 5, 2), "1! 3.");
});

test("changes of a snapshot are asked against the other snapshots of its volume", async () => {
  await using world = await exportsOfOneVolume();
  const { pool, exports } = world;
  for (const name of ["a", "b"]) await pool.createSnapshot("v", name);
  assert.deepEqual(exports.comparableSnapshots("v"), ["a", "b"]);
  assert.deepEqual(exports.comparableSnapshots("v@b"), ["a"]);
});

test("the allocation depth covers the range from its start without gaps", async () => {
  await using world = await exportsOfOneVolume();
  const { exports } = world;
  const device = exports.open("v");
  await device.write(4 * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES).fill(1), 0);
  await device.close();
  const query = { export: "v", offsetBytes: 0, lengthBytes: 16 * BLOCK_BYTES, stretchesMax: 10 };
  assert.deepEqual(await exports.allocationDepth(query), [
    { lengthBytes: 4 * BLOCK_BYTES, value: 0 },
    { lengthBytes: BLOCK_BYTES, value: 1 },
    { lengthBytes: 11 * BLOCK_BYTES, value: 0 },
  ]);
});
