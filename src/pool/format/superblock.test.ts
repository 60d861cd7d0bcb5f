// The superblock's bytes: pinned to a recorded slot and to the table in docs/formats/superblock.md.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { byteTable, readFields, tableBytes } from "../../../test/support/byte-table.ts";
import { flipEachBit, sealed } from "../../../test/support/damaged-bytes.ts";
import { decodeSuperblock, encodeSuperblock, SLOT_BYTES, type Superblock } from "./superblock.ts";

const block: Superblock = {
  poolLow: 0x1122_3344,
  poolHigh: 0x5566_7788,
  segmentBytes: 64 * 1024 * 1024,
  checkpoint: 0x1_0000_0002,
  incarnation: 7,
  cutSequence: 0x3_0000_0004,
  cutSegment: 90,
  cutPosition: 123_456,
  durable: 0x5_0000_0006,
  nextSegment: 95,
  root: { segment: 91, offset: 8192, length: 96, checksum: 0x89ab_cdef },
};

const CHECKSUM_AT = 4;

/** The used part of the slot above, as first written by format version 1. */
const RECORDED =
  "527753621bd729d0010000000000000444332211887766550200000001000000070000005a000000" +
  "040000000300000040e201005f00000006000000050000005b0000000020000060000000efcdab89";

test("a superblock slot is the recorded bytes and zeros behind them", () => {
  const bytes = encodeSuperblock(block);
  assert.equal(bytes.length, SLOT_BYTES);
  const used = RECORDED.length / 2;
  assert.equal(Buffer.from(bytes.subarray(0, used)).toString("hex"), RECORDED);
  assert.ok(bytes.subarray(used).every((byte) => byte === 0));
  assert.deepEqual(decodeSuperblock(bytes), block);
});

test("the slot's fields stand where docs/formats/superblock.md says", () => {
  const rows = byteTable("superblock.md", "Slot");
  assert.equal(tableBytes(rows), SLOT_BYTES);
  const { root, ...flat } = block;
  const bytes = encodeSuperblock(block);
  assert.deepEqual(readFields(rows, bytes), {
    magic: 0x6253_7752,
    checksum: new DataView(bytes.buffer).getUint32(4, true),
    version: 1,
    ...flat,
    ...Object.fromEntries(Object.entries(root).map(([name, value]) => [`root.${name}`, value])),
  });
});

test("a slot with any one bit flipped is none", () => {
  const bytes = encodeSuperblock(block);
  flipEachBit(bytes, (bit) => assert.equal(decodeSuperblock(bytes), undefined, `bit ${bit}`));
  assert.deepEqual(decodeSuperblock(bytes), block);
});

test("decoding a slot leaves the caller's bytes as they are, a Buffer's too", () => {
  const bytes = Buffer.from(encodeSuperblock(block));
  const before = bytes.toString("hex");
  assert.deepEqual(decodeSuperblock(bytes), block);
  assert.equal(bytes.toString("hex"), before);
});

test("a slot of a newer format version is refused as such", () => {
  const bytes = encodeSuperblock(block);
  new DataView(bytes.buffer).setUint32(8, 2, true);
  assert.equal(decodeSuperblock(bytes), undefined, "unsealed it is only damage");
  assert.throws(() => decodeSuperblock(sealed(bytes, CHECKSUM_AT)), { code: "POOL_NEWER" });
});

test("every superblock comes back from its bytes", () => {
  const word = fc.integer({ min: 0, max: 0xffff_ffff });
  const long = fc.maxSafeNat();
  const root = fc.record(
    { segment: word, offset: word, length: word, checksum: word },
    { noNullPrototype: true },
  );
  const fields = {
    poolLow: word,
    poolHigh: word,
    segmentBytes: word,
    checkpoint: long,
    incarnation: word,
    cutSequence: long,
    cutSegment: word,
    cutPosition: word,
    durable: long,
    nextSegment: word,
    root,
  };
  const blocks = fc.record(fields, { noNullPrototype: true });
  fc.assert(fc.property(blocks, (each) => assert.deepEqual(decodeSuperblock(encodeSuperblock(each)), each)));
});

test("garbage in a slot is no superblock, or one of a newer version", () => {
  const changes = fc.array(fc.tuple(fc.nat(SLOT_BYTES - 1), fc.nat(255)), { minLength: 1, maxLength: 20 });
  const garbage = fc.uint8Array({ minLength: SLOT_BYTES, maxLength: SLOT_BYTES });
  fc.assert(fc.property(garbage, (bytes) => decodeSuperblock(bytes) === undefined));
  fc.assert(
    fc.property(changes, (each) => {
      const bytes = encodeSuperblock(block);
      for (const [at, value] of each) bytes[at] = value;
      try {
        decodeSuperblock(sealed(bytes, CHECKSUM_AT));
      } catch (error) {
        assert.equal((error as { code?: string }).code, "POOL_NEWER");
      }
    }),
  );
});
