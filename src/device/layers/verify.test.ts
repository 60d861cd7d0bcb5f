import assert from "node:assert/strict";
import { test } from "node:test";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import {
  bytesAt,
  pattern,
  TokenShelf,
  tokenMemoryDevice,
  writeRequest,
} from "../../../test/support/token-memory-device.ts";
import { makeLayer } from "../../../test/support/tree-layer.ts";
import { MemoryDevice } from "../memory-device.ts";
import { KnownChecksums } from "./known-checksums.ts";

testBlockDevice("verify", {
  runs: 30,
  open: async (sizeBytes) => (await makeLayer("verify", [new MemoryDevice({ sizeBytes })])).device,
});

async function verified() {
  const below = new MemoryDevice({ sizeBytes: 10_000 });
  const { device } = await makeLayer("verify", [below]);
  return { below, device };
}

test("bytes that changed below are not returned, whole blocks or parts of one, at the end too", async () => {
  const { below, device } = await verified();
  await device.write(0, pattern(10_000, 1), 0);
  below.write(4100, Buffer.from([0xff]), 0);
  below.write(9999, Buffer.from([0xee]), 0);
  for (const [offset, length] of [
    [0, 10_000],
    [4096, 4096],
    [5000, 10],
    [8192, 1],
  ] as const)
    await assert.rejects(
      bytesAt(device, offset, length),
      { code: "CHECKSUM_MISMATCH" },
      `${offset}+${length}`,
    );
  assert.deepEqual(await bytesAt(device, 0, 4096), pattern(10_000, 1).subarray(0, 4096));
});

test("what was read once must stay so", async () => {
  const { below, device } = await verified();
  await bytesAt(device, 0, 4096);
  below.write(0, Buffer.from([1]), 0);
  await assert.rejects(bytesAt(device, 0, 10), { code: "CHECKSUM_MISMATCH" });
});

test("checksums of what is written in part, zeroed or trimmed are dropped", async () => {
  const { below, device } = await verified();
  await device.write(0, pattern(8192, 1), 0);
  await device.write(10, Buffer.from([7]), 0);
  await device.zero(4096, 1, 0);
  below.write(20, Buffer.from([9]), 0);
  below.write(5000, Buffer.from([9]), 0);
  await bytesAt(device, 0, 8192);
});

test("a token write drops the checksums of what it overwrites", async () => {
  const shelf = new TokenShelf();
  const { device } = await makeLayer("verify", [tokenMemoryDevice(shelf, { sizeBytes: 65_536 })]);
  await device.write(0, pattern(65_536, 1), 0);
  await device.offload!.write(writeRequest([shelf.keep(pattern(5000, 2))], 4000, 5000));
  assert.deepEqual(await bytesAt(device, 4000, 5000), pattern(5000, 2));
});

test("memory is bounded: the checksums set longest ago are forgotten", () => {
  const known = new KnownChecksums(64 * 3);
  for (let number = 0; number < 5; number++) known.set(number, number * 10);
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((number) => known.get(number)),
    [undefined, undefined, 20, 30, 40],
  );
  known.drop(3, 1_000_000);
  assert.deepEqual([known.get(2), known.get(3)], [20, undefined]);
});
