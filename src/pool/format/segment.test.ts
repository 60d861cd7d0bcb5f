// Segment headers and footers: pinned to recorded bytes and to the tables in docs/formats/segment.md.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { byteTable, readFields, tableBytes } from "../../../test/support/byte-table.ts";
import { flipEachBit, sealed } from "../../../test/support/damaged-bytes.ts";
import { SEGMENT_FOOTER_BYTES, SEGMENT_HEADER_BYTES } from "./layout.ts";
import {
  decodeSegmentFooter,
  decodeSegmentHeader,
  encodeSegmentFooter,
  encodeSegmentHeader,
  type SegmentFooter,
  type SegmentHeader,
  SegmentKind,
  segmentName,
  segmentNumberOf,
} from "./segment.ts";

const header: SegmentHeader = {
  kind: SegmentKind.log,
  number: 0x2a,
  segmentBytes: 64 * 1024 * 1024,
  poolLow: 0x1122_3344,
  poolHigh: 0x5566_7788,
  incarnation: 9,
  firstSequence: 0x1_0000_0003,
  begins: true,
  durable: 0x1_0000_0002,
  keyLow: 0x99aa_bbcc,
  keyHigh: 0xddee_ff00,
};

const footer: SegmentFooter = {
  number: header.number,
  end: 66_000_000,
  lastSequence: 0x2_0000_0005,
  blocks: 16_000,
  keyLow: header.keyLow,
  keyHigh: header.keyHigh,
};

const CHECKSUM_AT = 4;

/** The used parts of the two above, as first written by format version 1. */
const RECORDED_HEADER =
  "527753675f23ccbb01000000010100002a000000000000044433221188776655" +
  "090000000000000003000000010000000200000001000000ccbbaa9900ffeedd";
const RECORDED_FOOTER =
  "52775366a3204f652a0000008014ef030500000002000000803e000000000000" + "ccbbaa9900ffeedd";

function isRecorded(bytes: Uint8Array, recorded: string): void {
  const used = recorded.length / 2;
  assert.equal(Buffer.from(bytes.subarray(0, used)).toString("hex"), recorded);
  assert.ok(bytes.subarray(used).every((byte) => byte === 0));
}

test("a segment header is the recorded bytes and zeros behind them", () => {
  const bytes = encodeSegmentHeader(header);
  assert.equal(bytes.length, SEGMENT_HEADER_BYTES);
  isRecorded(bytes, RECORDED_HEADER);
  assert.deepEqual(decodeSegmentHeader(bytes), header);
});

test("a segment footer is the recorded bytes and zeros behind them", () => {
  const bytes = encodeSegmentFooter(footer);
  assert.equal(bytes.length, SEGMENT_FOOTER_BYTES);
  isRecorded(bytes, RECORDED_FOOTER);
  assert.deepEqual(decodeSegmentFooter(bytes, header), footer);
});

test("the header's fields stand where docs/formats/segment.md says", () => {
  const rows = byteTable("segment.md", "Header");
  assert.equal(tableBytes(rows), SEGMENT_HEADER_BYTES);
  const bytes = encodeSegmentHeader(header);
  const { begins, ...fields } = header;
  assert.deepEqual(readFields(rows, bytes), {
    magic: 0x6753_7752,
    checksum: new DataView(bytes.buffer).getUint32(CHECKSUM_AT, true),
    version: 1,
    flags: begins ? 1 : 0,
    ...fields,
  });
});

test("the footer's fields stand where docs/formats/segment.md says", () => {
  const rows = byteTable("segment.md", "Footer");
  assert.equal(tableBytes(rows), SEGMENT_FOOTER_BYTES);
  const bytes = encodeSegmentFooter(footer);
  assert.deepEqual(readFields(rows, bytes), {
    magic: 0x6653_7752,
    checksum: new DataView(bytes.buffer).getUint32(CHECKSUM_AT, true),
    ...footer,
  });
});

test("a header with any one bit flipped is none", () => {
  const bytes = encodeSegmentHeader(header);
  flipEachBit(bytes, (bit) => assert.equal(decodeSegmentHeader(bytes), undefined, `bit ${bit}`));
});

test("a footer with any one bit flipped is none", () => {
  const bytes = encodeSegmentFooter(footer);
  flipEachBit(bytes, (bit) => assert.equal(decodeSegmentFooter(bytes, header), undefined, `bit ${bit}`));
});

test("the footer of another segment, or of an older file of the same number, is none", () => {
  const bytes = encodeSegmentFooter(footer);
  for (const other of [{ number: 0x2b }, { keyLow: 1 }, { keyHigh: 1 }])
    assert.equal(decodeSegmentFooter(bytes, { ...header, ...other }), undefined);
});

test("a header of a newer format version is refused as such", () => {
  const bytes = encodeSegmentHeader(header);
  new DataView(bytes.buffer).setUint32(8, 2, true);
  assert.equal(decodeSegmentHeader(bytes), undefined, "unsealed it is only damage");
  assert.throws(() => decodeSegmentHeader(sealed(bytes, CHECKSUM_AT)), { code: "POOL_NEWER" });
});

test("a segment of an unknown kind is none", () => {
  for (const kind of [0, 4, 255]) {
    const bytes = encodeSegmentHeader(header);
    bytes[12] = kind;
    assert.equal(decodeSegmentHeader(sealed(bytes, CHECKSUM_AT)), undefined, `kind ${kind}`);
  }
});

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const long = fc.maxSafeNat();

test("every header comes back from its bytes", () => {
  const fields = {
    kind: fc.constantFrom(...Object.values(SegmentKind)),
    number: word,
    segmentBytes: word,
    poolLow: word,
    poolHigh: word,
    incarnation: word,
    firstSequence: long,
    begins: fc.boolean(),
    durable: long,
    keyLow: word,
    keyHigh: word,
  };
  fc.assert(
    fc.property(fc.record(fields, { noNullPrototype: true }), (each) =>
      assert.deepEqual(decodeSegmentHeader(encodeSegmentHeader(each)), each),
    ),
  );
});

test("every footer comes back from its bytes", () => {
  const fields = { number: word, end: word, lastSequence: long, blocks: word, keyLow: word, keyHigh: word };
  fc.assert(
    fc.property(fc.record(fields, { noNullPrototype: true }), (each) =>
      assert.deepEqual(decodeSegmentFooter(encodeSegmentFooter(each), { ...header, ...each }), each),
    ),
  );
});

test("decoding a header or footer leaves the caller's bytes as they are, a Buffer's too", () => {
  for (const [bytes, decode] of [
    [Buffer.from(encodeSegmentHeader(header)), decodeSegmentHeader],
    [Buffer.from(encodeSegmentFooter(footer)), (each: Buffer) => decodeSegmentFooter(each, header)],
  ] as const) {
    const before = bytes.toString("hex");
    assert.ok(decode(bytes) !== undefined);
    assert.equal(bytes.toString("hex"), before);
  }
});

test("garbage in the place of a header or footer is none, or of a newer version", () => {
  const garbage = fc.uint8Array({ minLength: SEGMENT_HEADER_BYTES, maxLength: SEGMENT_HEADER_BYTES });
  fc.assert(
    fc.property(
      garbage,
      (bytes) => decodeSegmentHeader(bytes) === undefined && decodeSegmentFooter(bytes, header) === undefined,
    ),
  );
  const changes = fc.array(fc.tuple(fc.nat(127), fc.nat(255)), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(changes, (each) => {
      const bytes = encodeSegmentHeader(header);
      for (const [at, value] of each) bytes[at] = value;
      try {
        decodeSegmentHeader(sealed(bytes, CHECKSUM_AT));
      } catch (error) {
        assert.equal((error as { code?: string }).code, "POOL_NEWER");
      }
      decodeSegmentFooter(bytes, header);
    }),
  );
});

test("a segment's file name is its number in eight hexadecimal digits, and no other name is a segment's", () => {
  assert.equal(segmentName(0x2a), "segment-0000002a");
  fc.assert(fc.property(word, (number) => segmentNumberOf(segmentName(number)) === number));
  for (const name of ["segment-2a", "segment-0000002A", "segment-0000002a.tmp", "spare-0000002a", ""])
    assert.equal(segmentNumberOf(name), undefined, name);
});
