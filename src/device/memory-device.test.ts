import assert from "node:assert/strict";
import { test } from "node:test";
import { testBlockDevice } from "../../test/support/block-device-conformance.ts";
import { RequestFlag } from "./block-device.ts";
import { checkDevice } from "./checked-device.ts";
import { MemoryDevice } from "./memory-device.ts";

const PAGE_BYTES = 4096;

testBlockDevice("memory", { open: (sizeBytes) => checkDevice(new MemoryDevice({ sizeBytes })) });
testBlockDevice("memory in blocks of 512", {
  open: (sizeBytes) => checkDevice(new MemoryDevice({ sizeBytes, geometry: { minimumBlockBytes: 512 } })),
});
testBlockDevice("memory in blocks of 4096, requests of 64 KiB", {
  sizeBytes: 40 * PAGE_BYTES,
  open: (sizeBytes) =>
    checkDevice(
      new MemoryDevice({
        sizeBytes,
        geometry: { minimumBlockBytes: PAGE_BYTES, maximumRequestBytes: 65536 },
      }),
    ),
});

test("only written pages take memory, and trimmed and zeroed ones give it back", () => {
  const device = new MemoryDevice({ sizeBytes: 2 ** 40 });
  device.write(2 ** 39 - 1, Uint8Array.of(1, 2), 0);
  assert.equal(device.allocatedPages, 2);
  device.trim(2 ** 39, PAGE_BYTES, 0);
  assert.equal(device.allocatedPages, 1);
  device.zero(2 ** 39 - PAGE_BYTES, PAGE_BYTES, 0);
  assert.equal(device.allocatedPages, 0);
});

test("extents tell holes, allocated zeros and data apart", () => {
  const device = new MemoryDevice({ sizeBytes: 5 * PAGE_BYTES });
  device.write(PAGE_BYTES, new Uint8Array(PAGE_BYTES), 0);
  device.zero(3 * PAGE_BYTES, PAGE_BYTES, RequestFlag.noHole);
  assert.deepEqual(device.extents(100, 5 * PAGE_BYTES - 100, 10), [
    { offsetBytes: 100, lengthBytes: PAGE_BYTES - 100, kind: "hole" },
    { offsetBytes: PAGE_BYTES, lengthBytes: PAGE_BYTES, kind: "data" },
    { offsetBytes: 2 * PAGE_BYTES, lengthBytes: PAGE_BYTES, kind: "hole" },
    { offsetBytes: 3 * PAGE_BYTES, lengthBytes: PAGE_BYTES, kind: "zero" },
    { offsetBytes: 4 * PAGE_BYTES, lengthBytes: PAGE_BYTES, kind: "hole" },
  ]);
});

test("zeros with noHole are allocated, partial pages included, and keep the rest", () => {
  const device = new MemoryDevice({ sizeBytes: 3 * PAGE_BYTES });
  device.write(0, new Uint8Array(PAGE_BYTES).fill(7), 0);
  device.zero(100, 3 * PAGE_BYTES - 200, RequestFlag.noHole);
  assert.deepEqual(
    device.extents(0, 3 * PAGE_BYTES, 10).map(({ kind }) => kind),
    ["data", "zero"],
  );
  const target = new Uint8Array(102);
  device.read(0, target);
  assert.deepEqual([target[99], target[100]], [7, 0]);
});

test("what was cut off reads as zeros when the device grows again", () => {
  const device = new MemoryDevice({ sizeBytes: 2 * PAGE_BYTES });
  device.write(0, new Uint8Array(2 * PAGE_BYTES).fill(7), 0);
  device.resize(1000);
  device.resize(2 * PAGE_BYTES);
  const target = new Uint8Array(2 * PAGE_BYTES);
  device.read(0, target);
  assert.ok(target.every((byte, index) => byte === (index < 1000 ? 7 : 0)));
});
