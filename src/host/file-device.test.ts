import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { testBlockDevice } from "../../test/support/block-device-conformance.ts";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { checkDevice, RequestFlag } from "../device/mod.ts";
import { openFileDevice } from "./file-device.ts";
import { linuxCalls } from "./linux-calls.ts";

const folder = new TemporaryFolder();
process.on("exit", () => folder[Symbol.dispose]());
let files = 0;

function freshFile(sizeBytes: number): string {
  const path = folder.file(`disk${files++}`);
  writeFileSync(path, "");
  truncateSync(path, sizeBytes);
  return path;
}

testBlockDevice("a file", {
  runs: 20,
  open: async (sizeBytes) => checkDevice(await openFileDevice(freshFile(sizeBytes))),
});

const withoutRanges = {
  ...linuxCalls,
  punchHole: async () => -95,
  zeroRange: async () => -95,
};

test("zeros are written where the file system cannot punch holes, and trim is absent", async () => {
  const path = freshFile(8192);
  writeFileSync(path, Buffer.alloc(8192, 7));
  const device = await openFileDevice(path, { calls: withoutRanges });
  const { trim, zero, fastZero } = device.capabilities;
  assert.deepEqual([trim, zero, fastZero], ["absent", "emulated", "absent"]);
  await device.zero(512, 4096, RequestFlag.none);
  assert.deepEqual(
    readFileSync(path),
    Buffer.concat([Buffer.alloc(512, 7), Buffer.alloc(4096), Buffer.alloc(3584, 7)]),
  );
  await device.close();
});

test("a trim gives space back, and extents tell the hole", async () => {
  const path = freshFile(1 << 20);
  const device = await openFileDevice(path);
  await device.write(0, Buffer.alloc(1 << 20, 1), RequestFlag.fua);
  const before = statSync(path).blocks;
  await device.trim(65_536, 1 << 19, RequestFlag.none);
  assert.equal(before - statSync(path).blocks, (1 << 19) / 512);
  assert.deepEqual(await device.extents(0, 1 << 20, 10), [
    { offsetBytes: 0, lengthBytes: 65_536, kind: "data" },
    { offsetBytes: 65_536, lengthBytes: 1 << 19, kind: "hole" },
    { offsetBytes: 65_536 + (1 << 19), lengthBytes: (1 << 19) - 65_536, kind: "data" },
  ]);
  assert.equal(statSync(path).size, 1 << 20);
  await device.close();
});

test("a second opening for writing is refused, one for reading is not", async () => {
  const path = freshFile(4096);
  const device = await openFileDevice(path);
  await assert.rejects(openFileDevice(path), { code: "IN_USE" });
  const reading = await openFileDevice(path, { access: "read-only" });
  assert.equal(reading.capabilities.writable, false);
  await reading.close();
  await device.close();
  await (await openFileDevice(path)).close();
});

test("what is no file cannot be opened", async () => {
  await assert.rejects(openFileDevice(folder.file("absent")), { code: "NOT_FOUND" });
  mkdirSync(folder.file("folder"));
  await assert.rejects(openFileDevice(folder.file("folder")), { code: "INVALID_CONFIG" });
});

test("a file that was made shorter gives an error, not bytes", async () => {
  const path = freshFile(8192);
  const device = await openFileDevice(path);
  truncateSync(path, 4096);
  await assert.rejects(device.read(4096, new Uint8Array(512)) as Promise<void>, { code: "IO_ERROR" });
  await device.close();
});
