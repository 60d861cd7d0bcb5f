// Record headers: pinned to recorded bytes and to the table in docs/formats/record.md.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { byteTable, readFields, tableBytes } from "../../../test/support/byte-table.ts";
import { flipEachBit, sealed } from "../../../test/support/damaged-bytes.ts";
import { checksum } from "../../base/checksum.ts";
import { PAGE_BYTES, RECORD_PAYLOAD_BYTES_MAX, REQUEST_BYTES_MAX } from "./layout.ts";
import {
  decodeRecordHeader,
  headerBytesAt,
  RECORD_HEADER_BYTES,
  RECORD_PAGES_MAX,
  type RecordFields,
  RecordFlag,
  type RecordHeader,
  RecordKind,
  recordBytes,
  recordHeaderBytes,
  sealRecordHeader,
} from "./record.ts";

const KEY_LOW = 0x99aa_bbcc;
const KEY_HIGH = 0xddee_ff00;
const CHECKSUM_AT = 8;

const fields: RecordFields = {
  kind: RecordKind.write,
  flags: RecordFlag.tailEdge,
  sequence: 0x1_0000_0003,
  durable: 0x1_0000_0002,
  incarnation: 9,
  volume: 0x4_0000_0005,
  offset: 0x6_0000_0200,
  length: 0x1400,
  atMs: 1_795_000_000_123,
  dataPages: 2,
  payloadBytes: 5,
};
const pageChecksums = [0x0102_0304, 0x0506_0708];
const payload = Buffer.from("hello");

/** The header above, as first written by format version 1. */
const RECORDED =
  "52775263680000004e11ec5701020000ccbbaa9900ffeedd0300000001000000" +
  "0200000001000000090000000200000005000000040000000002000006000000" +
  "00140000000000007b5e56eea10100000500000000000000040302010807060568656c6c6f000000";

function encode(given: RecordFields, sums: readonly number[], load: Uint8Array): Uint8Array {
  const headerBytes = recordHeaderBytes(sums.length, load.length);
  const words = new Uint32Array(headerBytes / 4);
  const bytes = new Uint8Array(words.buffer);
  words.set(sums, RECORD_HEADER_BYTES / 4);
  bytes.set(load, RECORD_HEADER_BYTES + sums.length * 4);
  sealRecordHeader(words, bytes, 0, headerBytes, given, KEY_LOW, KEY_HIGH);
  return bytes;
}

function decode(bytes: Uint8Array): RecordHeader | undefined {
  return decodeRecordHeader(bytes, 4096, KEY_LOW, KEY_HIGH);
}

function mustHold(decoded: RecordHeader | undefined, given: RecordFields): void {
  assert.ok(decoded);
  const { position, headerBytes, pageChecksums: sums, payload: load, ...rest } = decoded;
  assert.deepEqual(rest, given);
  assert.equal(position, 4096);
  assert.equal(headerBytes, recordHeaderBytes(sums.length, load.length));
}

test("a record header is the recorded bytes", () => {
  const bytes = encode(fields, pageChecksums, payload);
  assert.equal(Buffer.from(bytes).toString("hex"), RECORDED);
  const decoded = decode(bytes)!;
  mustHold(decoded, fields);
  assert.deepEqual([...decoded.pageChecksums], pageChecksums);
  assert.deepEqual(Buffer.from(decoded.payload), payload);
  assert.equal(recordBytes(decoded), bytes.length + 2 * PAGE_BYTES);
});

test("a record header's fields stand where docs/formats/record.md says", () => {
  const rows = byteTable("record.md", "Header");
  assert.equal(tableBytes(rows), RECORD_HEADER_BYTES);
  const bytes = encode(fields, pageChecksums, payload);
  assert.deepEqual(readFields(rows, bytes), {
    magic: 0x6352_7752,
    headerBytes: bytes.length,
    checksum: new DataView(bytes.buffer).getUint32(CHECKSUM_AT, true),
    keyLow: KEY_LOW,
    keyHigh: KEY_HIGH,
    ...fields,
  });
});

test("a header's checksum covers page checksums, payload and padding: any one bit flipped makes it none", () => {
  const bytes = encode(fields, pageChecksums, payload);
  flipEachBit(bytes, (bit) => assert.equal(decode(bytes), undefined, `bit ${bit}`));
  mustHold(decode(bytes), fields);
});

test("the record of another segment, or of a file's earlier life, is none", () => {
  const bytes = encode(fields, pageChecksums, payload);
  assert.equal(decodeRecordHeader(bytes, 4096, KEY_LOW ^ 1, KEY_HIGH), undefined);
  assert.equal(decodeRecordHeader(bytes, 4096, KEY_LOW, KEY_HIGH ^ 1), undefined);
});

test("a header that is cut short is none, wherever it is cut", () => {
  const bytes = encode(fields, pageChecksums, payload);
  for (let length = 0; length < bytes.length; length += 1)
    assert.equal(decode(bytes.subarray(0, length)), undefined, `${length} bytes`);
  mustHold(decode(Uint8Array.from([...bytes, ...new Uint8Array(100).fill(0xff)])), fields);
});

test("the longest request makes the longest header, and nothing longer is believed", () => {
  assert.equal(RECORD_PAGES_MAX, REQUEST_BYTES_MAX / PAGE_BYTES + 1);
  const longest = encode(
    { ...fields, dataPages: RECORD_PAGES_MAX, payloadBytes: RECORD_PAYLOAD_BYTES_MAX },
    new Array(RECORD_PAGES_MAX).fill(7),
    new Uint8Array(RECORD_PAYLOAD_BYTES_MAX),
  );
  assert.equal(headerBytesAt(longest, KEY_LOW, KEY_HIGH), longest.length);
  assert.equal(decode(longest)?.pageChecksums.length, RECORD_PAGES_MAX);
  for (const [at, value] of [
    [44, RECORD_PAGES_MAX + 1],
    [44, 0xffff_ffff],
    [80, RECORD_PAYLOAD_BYTES_MAX + 1],
    [80, 0xffff_ffff],
    [4, longest.length - 8],
    [4, 0],
    [4, 0xffff_fff8],
  ] as const) {
    const bytes = longest.slice();
    new DataView(bytes.buffer).setUint32(at, value, true);
    assert.equal(headerBytesAt(sealed(bytes, CHECKSUM_AT), KEY_LOW, KEY_HIGH), undefined, `${at}: ${value}`);
    assert.equal(decode(bytes), undefined);
  }
});

test("every header comes back from its bytes", () => {
  const word = fc.integer({ min: 0, max: 0xffff_ffff });
  const long = fc.maxSafeNat();
  const given = fc.record(
    {
      kind: fc.constantFrom(...Object.values(RecordKind)),
      flags: fc.nat(7),
      sequence: long,
      durable: long,
      incarnation: word,
      volume: long,
      offset: long,
      length: long,
      atMs: long,
    },
    { noNullPrototype: true },
  );
  const sums = fc.array(word, { maxLength: 40 });
  const loads = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(given, sums, loads, (some, each, load) => {
      const whole = { ...some, dataPages: each.length, payloadBytes: load.length };
      const bytes = encode(whole, each, load);
      assert.equal(bytes.length % 8, 0);
      const decoded = decode(bytes)!;
      mustHold(decoded, whole);
      assert.deepEqual([...decoded.pageChecksums], each);
      assert.deepEqual([...decoded.payload], [...load]);
    }),
  );
});

test("decoding a record header leaves the caller's bytes as they are, a Buffer's too", () => {
  const bytes = Buffer.from(encode(fields, pageChecksums, payload));
  const before = bytes.toString("hex");
  assert.ok(decode(bytes) !== undefined);
  assert.equal(bytes.toString("hex"), before);
  assert.ok(decode(bytes) !== undefined);
});

test("garbage behind a right beginning crashes nothing and is believed only with its checksum", () => {
  const changes = fc.array(fc.tuple(fc.nat(RECORD_HEADER_BYTES - 1), fc.nat(255)), { maxLength: 30 });
  fc.assert(
    fc.property(changes, fc.uint8Array({ maxLength: 400 }), fc.boolean(), (each, tail, seal) => {
      const bytes = Uint8Array.from([...encode(fields, pageChecksums, payload), ...tail]);
      for (const [at, value] of each) bytes[at] = value;
      const length = headerBytesAt(bytes, KEY_LOW, KEY_HIGH);
      if (seal && length !== undefined && length <= bytes.length)
        sealed(bytes.subarray(0, length), CHECKSUM_AT);
      const decoded = decode(bytes);
      if (decoded === undefined) return;
      const header = bytes.slice(0, decoded.headerBytes);
      const sum = new DataView(header.buffer).getUint32(CHECKSUM_AT, true);
      header.fill(0, CHECKSUM_AT, CHECKSUM_AT + 4);
      assert.equal(checksum(header), sum);
      assert.equal(decoded.pageChecksums.length, decoded.dataPages);
      assert.equal(decoded.payload.length, decoded.payloadBytes);
    }),
  );
});
