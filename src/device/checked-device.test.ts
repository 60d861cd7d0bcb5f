import assert from "node:assert/strict";
import { test } from "node:test";
import { type Capabilities, RequestFlag } from "./block-device.ts";
import { checkDevice } from "./checked-device.ts";
import { MemoryDevice } from "./memory-device.ts";

const block = new Uint8Array(512);

function limited(capabilities: Partial<Capabilities>) {
  return checkDevice(new MemoryDevice({ sizeBytes: 1 << 20, capabilities }));
}

test("a read-only device refuses every modification with READ_ONLY, and reads", () => {
  const device = limited({ writable: false });
  const readOnly = { code: "READ_ONLY" };
  assert.throws(() => device.write(0, block, 0), readOnly);
  assert.throws(() => device.zero(0, 512, 0), readOnly);
  assert.throws(() => device.trim(0, 512, 0), readOnly);
  assert.throws(() => device.write(0, new Uint8Array(0), 0), readOnly);
  assert.equal(device.read(0, block), undefined);
  assert.equal(device.flush(), undefined);
});

test("what the device cannot do is UNSUPPORTED", () => {
  const unsupported = { code: "UNSUPPORTED" };
  assert.throws(() => limited({ zero: "absent" }).zero(0, 512, 0), unsupported);
  assert.throws(() => limited({ fastZero: "absent" }).zero(0, 512, RequestFlag.fast), unsupported);
  assert.throws(() => limited({ trim: "absent" }).trim(0, 512, 0), unsupported);
  assert.throws(() => limited({ flush: "absent" }).flush(), unsupported);
  assert.throws(() => limited({ fua: "absent" }).write(0, block, RequestFlag.fua), unsupported);
  assert.throws(() => limited({ extents: "absent" }).extents(0, 512, 1), unsupported);
});

test("what the device does with more work is asked of it", () => {
  const device = limited({ zero: "emulated", fastZero: "emulated", trim: "emulated", fua: "emulated" });
  assert.equal(device.zero(0, 512, RequestFlag.fast | RequestFlag.fua), undefined);
  assert.equal(device.trim(0, 512, RequestFlag.fua), undefined);
});

test("offsets beyond 32 bits are checked as exactly as small ones", () => {
  const device = checkDevice(new MemoryDevice({ sizeBytes: 2 ** 50, geometry: { minimumBlockBytes: 512 } }));
  assert.equal(device.read(2 ** 50 - 512, block), undefined);
  assert.equal(device.zero(2 ** 40, 0, 0), undefined);
  assert.throws(() => device.read(2 ** 50 - 256, block), { code: "INVALID_RANGE" });
  assert.throws(() => device.read(2 ** 40 + 1, block), { code: "INVALID_RANGE" });
  assert.throws(() => device.trim(2 ** 49, 2 ** 49 + 512, 0), { code: "INVALID_RANGE" });
});

test("a device that is resized is checked against its size of now", () => {
  const memory = new MemoryDevice({ sizeBytes: 4096 });
  const device = checkDevice(memory);
  memory.resize(1024);
  assert.equal(device.sizeBytes, 1024);
  assert.throws(() => device.write(1024, block, 0), { code: "NO_SPACE" });
  memory.resize(8192);
  assert.equal(device.write(7680, block, 0), undefined);
});

test("a request of length zero does not reach the device", () => {
  const refuse = () => assert.fail("reached the device");
  const memory = Object.assign(new MemoryDevice({ sizeBytes: 4096 }), {
    read: refuse,
    write: refuse,
    zero: refuse,
    trim: refuse,
    extents: refuse,
  });
  const device = checkDevice(memory);
  assert.equal(device.read(0, new Uint8Array(0)), undefined);
  assert.equal(device.write(0, new Uint8Array(0), 0), undefined);
  assert.equal(device.zero(0, 0, 0), undefined);
  assert.equal(device.trim(0, 0, 0), undefined);
  assert.deepEqual(device.extents(0, 0, 1), []);
});

test("a device behind the shim is not put behind a second one", () => {
  const device = limited({});
  assert.equal(checkDevice(device), device);
});

test("a geometry that cannot be is a programmer's error", () => {
  for (const geometry of [
    { minimumBlockBytes: 3 },
    { minimumBlockBytes: 8192 },
    { minimumBlockBytes: 0 },
    { preferredBlockBytes: 1000 },
    { minimumBlockBytes: 512, maximumRequestBytes: 1000 },
    { maximumRequestBytes: 0 },
  ]) {
    assert.throws(() => checkDevice(new MemoryDevice({ sizeBytes: 4096, geometry })), {
      name: "AssertionFailed",
    });
  }
});
