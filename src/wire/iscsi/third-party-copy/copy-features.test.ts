// VPD page 8Fh and the operating parameters, read back by the standard's offsets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type CopyFeatures, encodeOperatingParameters, encodeVpdPage8F } from "./copy-features.ts";

const features: CopyFeatures = {
  rangesMax: 1024,
  inactivitySecondsDefault: 300,
  inactivitySecondsMax: 3600,
  tokenSecondsMax: 7200,
  tokenBlocksMax: 2 ** 33,
  tokenBlocksOptimal: 2 ** 20,
  cscdsMax: 64,
  segmentsMax: 256,
  segmentBytesMax: 2 ** 28,
  concurrentCopiesMax: 300,
  commands: new Map([
    [0x83, [0x00, 0x10, 0x11]],
    [0x84, [0x07]],
  ]),
};

function descriptors(): Map<number, Buffer> {
  const page = Buffer.from(encodeVpdPage8F(features));
  assert.equal(page[1], 0x8f);
  assert.equal(page.readUInt16BE(2), page.length - 4);
  const found = new Map<number, Buffer>();
  for (let at = 4; at < page.length; at += 4 + page.readUInt16BE(at + 2))
    found.set(page.readUInt16BE(at), page.subarray(at, at + 4 + page.readUInt16BE(at + 2)));
  return found;
}

test("the block device ROD token limits stand first and are exactly 20h bytes long", () => {
  const [type, limits] = descriptors().entries().next().value!;
  assert.equal(type, 0x0000);
  assert.equal(limits.readUInt16BE(2), 0x20);
  assert.equal(limits.length, 36);
  assert.equal(limits.readUInt16BE(10), 1024);
  assert.equal(limits.readUInt32BE(12), 3600);
  assert.equal(limits.readUInt32BE(16), 300);
  assert.equal(limits.readBigUInt64BE(20), 2n ** 33n);
  assert.equal(limits.readBigUInt64BE(28), 2n ** 20n);
});

test("every descriptor is there once, in the order of its type, with a length that is a multiple of four", () => {
  const found = descriptors();
  assert.deepEqual([...found.keys()], [0x0000, 0x0001, 0x0004, 0x0008, 0x000c, 0x0106, 0x0108, 0x8001]);
  for (const bytes of found.values()) assert.equal(bytes.length % 4, 0);
});

test("the supported commands are opcodes with their service actions", () => {
  const commands = descriptors().get(0x0001)!;
  assert.equal(commands[4], 8);
  assert.equal(commands.subarray(5, 13).toString("hex"), "8303001011" + "840107");
});

test("the parameter data, descriptor types, CSCD ids and general limits are those of EXTENDED COPY", () => {
  const found = descriptors();
  const parameters = found.get(0x0004)!;
  assert.deepEqual(
    [parameters.length, parameters.readUInt16BE(8), parameters.readUInt16BE(10), parameters.readUInt32BE(12)],
    [32, 64, 256, 64 * 32 + 256 * 32],
  );
  assert.equal(found.get(0x0008)!.subarray(4, 8).toString("hex"), "03020ae4");
  assert.equal(found.get(0x000c)!.subarray(4).toString("hex"), "0002ffff");
  const general = found.get(0x8001)!;
  assert.deepEqual([general.length, general.readUInt32BE(4), general.readUInt32BE(12)], [36, 300, 2 ** 28]);
});

test("the ROD types are those that POPULATE TOKEN takes, and the zero token, which only comes in", () => {
  const types = descriptors().get(0x0108)!;
  assert.equal(types.readUInt16BE(6), types.length - 8);
  const found = new Map<number, number>();
  for (let at = 8; at < types.length; at += 64) found.set(types.readUInt32BE(at), types[at + 4]!);
  assert.deepEqual(
    [...found].toSorted((a, b) => a[0] - b[0]),
    [
      [0x00010000, 3],
      [0x00800000, 3],
      [0x00800001, 3],
      [0x00800002, 3],
      [0x0080ffff, 3],
      [0xffff0001, 2],
    ],
  );
});

test("the token features tell how long tokens live", () => {
  const rod = descriptors().get(0x0106)!;
  assert.deepEqual([rod.readUInt32BE(20), rod.readUInt32BE(24)], [7200, 3600]);
  assert.equal(rod.readUInt16BE(46), rod.length - 48);
});

test("the operating parameters say the same limits in their own layout", () => {
  const bytes = Buffer.from(encodeOperatingParameters(features));
  assert.equal(bytes.readUInt32BE(0), bytes.length - 4);
  assert.deepEqual(
    [bytes[4], bytes.readUInt16BE(8), bytes.readUInt16BE(10), bytes.readUInt32BE(16), bytes.readUInt16BE(34)],
    [1, 64, 256, 2 ** 28, 300],
  );
  assert.equal(bytes[36], 255);
  assert.equal(bytes.subarray(43).toString("hex"), "03020ae4");
});
