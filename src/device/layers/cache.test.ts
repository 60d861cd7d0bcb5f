import assert from "node:assert/strict";
import { test } from "node:test";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import { ObservedDevice } from "../../../test/support/observed-device.ts";
import {
  bytesAt,
  pattern,
  readRequest,
  TokenShelf,
  tokenMemoryDevice,
  writeRequest,
} from "../../../test/support/token-memory-device.ts";
import { makeLayer } from "../../../test/support/tree-layer.ts";
import { RopewalkError } from "../../base/errors.ts";
import { RequestFlag } from "../block-device.ts";
import { MemoryDevice } from "../memory-device.ts";

const BLOCK_BYTES = 4096;
const SMALL = { bytesMax: 16 * BLOCK_BYTES, blockBytes: BLOCK_BYTES };

testBlockDevice("cache", {
  runs: 30,
  open: async (sizeBytes) => {
    const below = new ObservedDevice({ sizeBytes });
    below.together = true;
    return (await makeLayer("cache", [below], SMALL)).device;
  },
});

async function cached() {
  const below = new ObservedDevice({ sizeBytes: 1 << 20 });
  const { device } = await makeLayer("cache", [below], SMALL);
  return { below, device };
}

test("a write stays in memory until a flush, which writes neighbours as one and flushes below", async () => {
  const { below, device } = await cached();
  await device.write(0, pattern(3 * BLOCK_BYTES, 1), 0);
  await device.write(8 * BLOCK_BYTES, pattern(BLOCK_BYTES, 1), 0);
  assert.deepEqual(below.calls, []);
  await device.flush();
  assert.deepEqual(below.calls, ["write 0+12288", "write 32768+4096", "flush 0+0"]);
  await device.flush();
  assert.deepEqual(below.calls.slice(3), ["flush 0+0"]);
});

test("what was read once is read from memory", async () => {
  const { below, device } = await cached();
  await bytesAt(device, 100, 100);
  await bytesAt(device, 4000, 96);
  assert.deepEqual(below.calls, ["read 0+4096"]);
});

test("a write with FUA is below, with FUA, when it completes", async () => {
  const { below, device } = await cached();
  await device.write(100, pattern(10, 1), RequestFlag.fua);
  assert.deepEqual(below.calls, ["read 0+4096", "write 0+4096 fua"]);
});

test("when memory is full clean blocks go first, then dirty ones are written out", async () => {
  const { below, device } = await cached();
  await bytesAt(device, 0, 8 * BLOCK_BYTES);
  for (let block = 20; block < 36; block++)
    await device.write(block * BLOCK_BYTES, pattern(BLOCK_BYTES, block), 0);
  assert.ok(!below.calls.some((call) => call.startsWith("write")));
  await device.write(0, pattern(BLOCK_BYTES, 1), 0);
  assert.deepEqual(
    below.calls.filter((call) => call.startsWith("write")),
    ["write 81920+65536"],
  );
});

test("a failed write-out loses nothing: the flush fails, and a later one makes up for it", async () => {
  const { below, device } = await cached();
  await device.write(0, pattern(BLOCK_BYTES, 1), 0);
  below.before = (operation) => {
    if (operation === "write") throw new RopewalkError("IO_ERROR", "no");
    return undefined;
  };
  await assert.rejects(device.flush() as Promise<void>, { code: "IO_ERROR" });
  assert.deepEqual(await bytesAt(device, 0, BLOCK_BYTES), pattern(BLOCK_BYTES, 1));
  below.before = undefined;
  await device.flush();
  assert.deepEqual(await bytesAt(below.inner, 0, BLOCK_BYTES), pattern(BLOCK_BYTES, 1));
});

test("closing writes out what is dirty", async () => {
  const { below, device } = await cached();
  await device.write(0, pattern(BLOCK_BYTES, 1), 0);
  await device.close();
  assert.deepEqual(below.calls, ["write 0+4096"]);
});

test("many requests at once on a cache that is too small for them all end", async () => {
  const { below, device } = await cached();
  below.together = true;
  const all = Array.from({ length: 60 }, (_, index) =>
    device.write(index * 16_000, pattern(16_000, index), 0),
  );
  await Promise.all(all);
  for (let index = 0; index < 60; index++)
    assert.deepEqual(await bytesAt(device, index * 16_000, 16_000), pattern(16_000, index));
});

test("a token read first writes out what it covers", async () => {
  const shelf = new TokenShelf();
  const below = tokenMemoryDevice(shelf, { sizeBytes: 1 << 20 });
  const { device } = await makeLayer("cache", [below], SMALL);
  await device.write(100, pattern(5000, 1), 0);
  const { tokens } = await device.offload!.read(readRequest(100, 5000));
  assert.deepEqual(Buffer.from(shelf.find([tokens[0]!.token])), pattern(5000, 1));
});

test("a token write drops what it covers, and nothing dirty beside it or behind its effective length", async () => {
  const shelf = new TokenShelf();
  const below = tokenMemoryDevice(shelf, { sizeBytes: 1 << 20, bytesMax: 2000 });
  const { device } = await makeLayer("cache", [below], SMALL);
  await device.write(0, pattern(12_288, 1), 0);
  const token = shelf.keep(pattern(8192, 7));
  assert.equal((await device.offload!.write(writeRequest([token], 1000, 8192))).lengthBytes, 2000);
  const expected = pattern(12_288, 1);
  pattern(8192, 7).copy(expected, 1000, 0, 2000);
  assert.deepEqual(await bytesAt(device, 0, 12_288), expected);
});

test("a cache over what cannot flush, or of blocks that do not fit, is refused", async () => {
  const code = "INVALID_CONFIG";
  const make = (parameters: object, below = new MemoryDevice({ sizeBytes: 1 << 20 })) =>
    makeLayer("cache", [below], { ...parameters });
  const noFlush = new MemoryDevice({ sizeBytes: 1 << 20, capabilities: { flush: "absent" } });
  await assert.rejects(make({}, noFlush), { code, message: /cannot flush/ });
  await assert.rejects(make({ blockBytes: 5000 }), { code, message: /no power of two/ });
  await assert.rejects(make({ bytesMax: "128KiB" }), { code, message: /fewer than 4 blocks/ });
});
