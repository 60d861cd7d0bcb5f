import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { byteTable, readFields, tableBytes } from "../../test/support/byte-table.ts";
import { flipEachBit } from "../../test/support/damaged-bytes.ts";
import { checksum } from "../base/checksum.ts";
import {
  CHECKSUM_FILE_BLOCKS_MAX,
  CHECKSUM_FILE_BYTES_MAX,
  decodeChecksumFile,
  encodeChecksumFile,
} from "./checksum-file.ts";

const BLOCK = 16_384;
const IDENTITY = new Uint8Array(32).fill(9);
const SMALL = {
  sizeBytes: 3 * BLOCK,
  sums: new Map([
    [2, 0xffff_ffff],
    [0, 7],
  ]),
};

/** With other bytes at a place, and the checksum made right for them. */
function changed(at: number, ...bytes: number[]): Uint8Array {
  const file = encodeChecksumFile(IDENTITY, SMALL);
  file.set(bytes, at);
  new DataView(file.buffer, file.byteOffset).setUint32(12, checksum(file.subarray(16)), true);
  return file;
}

test("what was written is read back in its order", () => {
  const blocks = fc.uniqueArray(fc.integer({ min: 0, max: 2 ** 38 }), { maxLength: 40 });
  fc.assert(
    fc.property(blocks, fc.infiniteStream(fc.integer({ min: 0, max: 2 ** 32 - 1 })), (numbers, random) => {
      const sums = new Map(numbers.map((number) => [number, random.next().value as number]));
      const sizeBytes = (2 ** 38 + 1) * BLOCK;
      const read = decodeChecksumFile(IDENTITY, encodeChecksumFile(IDENTITY, { sizeBytes, sums }));
      assert.deepEqual([...read!.sums], [...sums]);
      assert.equal(read!.sizeBytes, sizeBytes);
    }),
    { numRuns: 50 },
  );
});

test("any flipped bit and any other length of a file of kept checksums is refused", () => {
  const file = encodeChecksumFile(IDENTITY, SMALL);
  assert.ok(decodeChecksumFile(IDENTITY, file));
  flipEachBit(file, (bit) => assert.equal(decodeChecksumFile(IDENTITY, file), undefined, `bit ${bit}`));
  for (let length = 0; length < file.length; length++)
    assert.equal(decodeChecksumFile(IDENTITY, file.subarray(0, length)), undefined);
  assert.equal(decodeChecksumFile(IDENTITY, new Uint8Array(CHECKSUM_FILE_BYTES_MAX + 1)), undefined);
});

test("what has a good checksum and makes no sense is refused", () => {
  assert.ok(decodeChecksumFile(IDENTITY, changed(72, 8)));
  for (const [at, ...bytes] of [
    [16, 8], // another identity
    [48, 0, 0xbf], // the device ends within the block
    [55, 0xff], // a size that is no number
    [56, 0, 0x20], // another block size
    [60, 1],
    [60, 3],
    [76, 2], // the same block twice
    [82, 1], // a block past the device's end
  ] as const)
    assert.equal(decodeChecksumFile(IDENTITY, changed(at, ...bytes)), undefined, `${bytes} at ${at}`);
});

test("of more than a file has room for, the newest are in it", () => {
  const sums = new Map<number, number>();
  for (let number = 0; number < CHECKSUM_FILE_BLOCKS_MAX + 2; number++) sums.set(number, 5);
  const file = encodeChecksumFile(IDENTITY, { sizeBytes: 2 ** 40, sums });
  assert.equal(file.length, CHECKSUM_FILE_BYTES_MAX);
  const read = decodeChecksumFile(IDENTITY, file)!.sums;
  assert.deepEqual([read.size, read.has(1), read.has(2)], [CHECKSUM_FILE_BLOCKS_MAX, false, true]);
});

test("docs/formats/kept-checksums.md draws what is written", () => {
  const header = byteTable("kept-checksums.md", "File");
  const entry = byteTable("kept-checksums.md", "Entry");
  const file = encodeChecksumFile(IDENTITY, SMALL);
  assert.equal(file.length, tableBytes(header) + 2 * tableBytes(entry));
  const numbers = header.filter(({ field }) => field !== "magic" && field !== "identity");
  const { version, checksum: sum, sizeBytes, blockBytes, count } = readFields(numbers, file);
  assert.deepEqual([version, sizeBytes, blockBytes, count], [1, 3 * BLOCK, BLOCK, 2]);
  const identity = header.find(({ field }) => field === "identity")!;
  assert.equal(sum, checksum(file.subarray(identity.offset)));
  const digest = file.subarray(identity.offset, identity.offset + identity.sizeBytes);
  assert.deepEqual(new Uint8Array(digest), IDENTITY);
  assert.equal(Buffer.from(file.subarray(0, 8)).toString(), "RWCHKSUM");
  const first = readFields(entry, file.subarray(tableBytes(header)));
  assert.deepEqual([first["block"], first["sum"]], [2, 0xffff_ffff]);
});
