import assert from "node:assert/strict";
import { test } from "node:test";
import { FakePool } from "../../test/support/fake-pool.ts";
import { SteppedClock } from "../../test/support/stepped-clock.ts";
import { Exports } from "./exports.ts";

const BLOCK_BYTES = 4096;

async function exportsOfOneVolume() {
  const pool = new FakePool();
  await pool.createVolume({ name: "v", sizeBytes: 16 * BLOCK_BYTES });
  return {
    pool,
    exports: new Exports({ pool, clock: new SteppedClock(), stack: (_volume, device) => device }),
  };
}

test("volumes are exported read-write, snapshots read-only as VOLUME@SNAPSHOT", async () => {
  const { pool, exports } = await exportsOfOneVolume();
  await pool.createSnapshot("v", "s");
  const sizeBytes = 16 * BLOCK_BYTES;
  assert.deepEqual(exports.list(), [
    { name: "v", sizeBytes, isWritable: true },
    { name: "v@s", sizeBytes, isWritable: false },
  ]);
  assert.deepEqual(exports.show("v@s"), { name: "v@s", sizeBytes, isWritable: false });
  assert.equal(exports.open("v").capabilities.writable, true);
  assert.equal(exports.open("v@s").capabilities.writable, false);
});

test("what does not exist is refused with its code", async () => {
  const { exports } = await exportsOfOneVolume();
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
  const { pool, exports } = await exportsOfOneVolume();
  const [one, two] = [exports.open("v"), exports.open("v")];
  assert.equal(pool.volume("v").clients, 2);
  await one.close();
  await two.close();
  assert.equal(pool.volume("v").clients, 0);
});

test("changes since a snapshot cover the range without gaps and stop at the limit", async () => {
  const { pool, exports } = await exportsOfOneVolume();
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
  const { pool, exports } = await exportsOfOneVolume();
  for (const name of ["a", "b"]) await pool.createSnapshot("v", name);
  assert.deepEqual(exports.comparableSnapshots("v"), ["a", "b"]);
  assert.deepEqual(exports.comparableSnapshots("v@b"), ["a"]);
});
