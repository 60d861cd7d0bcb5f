import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { byteTable, tableBytes } from "../../test/support/byte-table.ts";
import { TokenBytes } from "./token-bytes.ts";
import {
  HASHED_BYTES_MAX,
  HASHES_MAX,
  type HashPayload,
  hashedBlockBytes,
  type TokenPayload,
} from "./token-payload.ts";

const KEY = new Uint8Array(32).fill(3);
const PAYLOAD_AT = 208;

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

const hashed: fc.Arbitrary<{ payload: HashPayload; lengthBytes: number }> = fc
  .integer({ min: 1, max: HASHED_BYTES_MAX })
  .chain((lengthBytes) => {
    const blockBytes = hashedBlockBytes(lengthBytes);
    const count = Math.ceil(lengthBytes / blockBytes);
    const payload = fc.record({
      kind: fc.constant("hash" as const),
      locator: bytes(16),
      offsetBytes: fc.nat({ max: Number.MAX_SAFE_INTEGER - lengthBytes }),
      blockBytes: fc.constant(blockBytes),
      hashes: fc.array(bytes(32), { minLength: count, maxLength: count }),
    });
    return fc.record({ payload, lengthBytes: fc.constant(lengthBytes) });
  });

const checksummed = fc.record({
  payload: fc.record({ kind: fc.constant("checksum" as const), primaryId: bytes(8), checksum: bytes(32) }),
  lengthBytes: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
});

function encode(payload: TokenPayload, lengthBytes: number): Uint8Array {
  return new TokenBytes(KEY).encode({
    id: new Uint8Array(8),
    nonce: new Uint8Array(16),
    unit: new Uint8Array(8),
    lengthBytes,
    policy: "invalidate",
    persistent: false,
    deleteOnUse: false,
    isProtected: true,
    createdAtMs: 1,
    expiresAtMs: 2,
    payload,
  });
}

/** What the document says stands in the payload. */
function parts(heading: string, token: Uint8Array): Record<string, Buffer> {
  const rows = byteTable("token.md", heading);
  assert.equal(tableBytes(rows), 272);
  const found: Record<string, Buffer> = {};
  for (const { offset, sizeBytes, field } of rows) {
    const part = Buffer.from(token.subarray(PAYLOAD_AT + offset, PAYLOAD_AT + offset + sizeBytes));
    if (field === "zero") assert.ok(part.equals(Buffer.alloc(sizeBytes)), `zeros at ${offset}`);
    else found[field] = part;
  }
  return found;
}

test("hashes stand in a token as docs/formats/token.md says", () =>
  fc.assert(
    fc.property(hashed, ({ payload, lengthBytes }) => {
      const token = encode(payload, lengthBytes);
      assert.equal(token[167], 1);
      const found = parts("Hash token", token);
      assert.deepEqual(new Uint8Array(found["locator"]!), payload.locator);
      assert.equal(found["offsetBytes"]!.readBigUInt64BE(), BigInt(payload.offsetBytes));
      assert.equal(2 ** found["blockExponent"]![0]!, payload.blockBytes);
      assert.equal(found["count"]![0], payload.hashes.length);
      const hashes = Buffer.concat([
        ...payload.hashes,
        Buffer.alloc(32 * (HASHES_MAX - payload.hashes.length)),
      ]);
      assert.deepEqual(found["hashes"], hashes);
    }),
    { numRuns: 50 },
  ));

test("a companion's checksum stands in it as docs/formats/token.md says", () =>
  fc.assert(
    fc.property(checksummed, ({ payload, lengthBytes }) => {
      const token = encode(payload, lengthBytes);
      assert.equal(token[167], 2);
      const found = parts("Companion", token);
      assert.deepEqual(new Uint8Array(found["primaryId"]!), payload.primaryId);
      assert.deepEqual(new Uint8Array(found["checksum"]!), payload.checksum);
    }),
    { numRuns: 50 },
  ));

test("what was encoded verifies to the same payload", () =>
  fc.assert(
    fc.property(fc.oneof(hashed, checksummed), ({ payload, lengthBytes }) => {
      const found = new TokenBytes(KEY).verify(encode(payload, lengthBytes))!.payload!;
      const plain = (value: TokenPayload) =>
        JSON.stringify(value, (_, part: unknown) => (part instanceof Uint8Array ? [...part] : part)).replace(
          /\{"type":"Buffer","data":(\[[^\]]*\])\}/g,
          "$1",
        );
      assert.deepEqual(JSON.parse(plain(found)), JSON.parse(plain(payload)));
    }),
    { numRuns: 50 },
  ));

test("bytes with a right MAC that this version would not write do not verify", () => {
  const hashes = [new Uint8Array(32), new Uint8Array(32)];
  const locator = new Uint8Array(16);
  const hash = encode({ kind: "hash", locator, offsetBytes: 0, blockBytes: 4096, hashes }, 5000);
  const checksum = new Uint8Array(32);
  const companion = encode({ kind: "checksum", primaryId: new Uint8Array(8).fill(1), checksum }, 5000);
  const cases: [Uint8Array, number, number][] = [
    [hash, 167, 3],
    [hash, 224, 0x80],
    [hash, 232, 11],
    [hash, 232, 24],
    [hash, 232, 255],
    [hash, 233, 0],
    [hash, 233, 1],
    [hash, 233, 3],
    [hash, 233, 255],
    [hash, 234, 1],
    [hash, 304, 1],
    [hash, 464, 1],
    [companion, 167, 0],
    [companion, 216, 1],
    [companion, 256, 1],
  ];
  for (const [token, at, value] of cases) {
    const other = token.slice();
    other[at] = value;
    other.set(createHmac("sha256", KEY).update(other.subarray(0, 480)).digest(), 480);
    assert.equal(new TokenBytes(KEY).verify(other), undefined, `${value} at ${at}`);
  }
});
