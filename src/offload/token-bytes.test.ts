import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { byteTable, tableBytes } from "../../test/support/byte-table.ts";
import { TokenBytes, type TokenFields, zeroTokenBytes } from "./token-bytes.ts";

const key = new Uint8Array(32).map((_, at) => at);

const fields: fc.Arbitrary<TokenFields> = fc.record({
  id: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  nonce: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  unit: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  lengthBytes: fc.maxSafeNat(),
  policy: fc.constantFrom("preserve", "invalidate", "reference"),
  persistent: fc.boolean(),
  deleteOnUse: fc.boolean(),
  isProtected: fc.boolean(),
  createdAtMs: fc.maxSafeNat(),
  expiresAtMs: fc.maxSafeNat(),
});

const TYPES = { preserve: 0x0080_0000, invalidate: 0x0080_0001, reference: 0x0001_0000 };
const CONSTANTS: Record<string, string> = {
  length: "01f8",
  "creator.descriptor": "e4",
  "creator.codeSet": "01",
  "creator.designatorType": "03",
  "creator.designatorBytes": "08",
  "creator.blockBytes": "000200",
  "capacity.blockBytes": "00000200",
  "capacity.exponent": "03",
  "capacity.provisioning": "c0",
  "target.codeSet": "02",
  "target.designatorType": "21",
  "target.designatorBytes": "18",
  magic: "5277546b",
  version: "01",
};

test("a token stands in its bytes as docs/formats/token.md says", () => {
  const rows = byteTable("token.md", "Token");
  assert.equal(tableBytes(rows), 512);
  fc.assert(
    fc.property(fields, (token) => {
      const codec = new TokenBytes(key);
      const bytes = Buffer.from(codec.encode(token));
      const found: Record<string, Buffer> = {};
      for (const { offset, sizeBytes, field } of rows) {
        const part = bytes.subarray(offset, offset + sizeBytes);
        if (field === "zero") assert.ok(part.equals(Buffer.alloc(sizeBytes)), `zeros at ${offset}`);
        else found[field] = part;
      }
      for (const [field, text] of Object.entries(CONSTANTS))
        assert.equal(found[field]!.toString("hex"), text, field);
      const isPersistentCopy = token.persistent && token.policy === "preserve";
      assert.equal(found["type"]!.readUInt32BE(), isPersistentCopy ? 0x0080_0002 : TYPES[token.policy]);
      assert.deepEqual(new Uint8Array(found["id"]!), token.id);
      assert.deepEqual(new Uint8Array(found["nonce"]!), token.nonce);
      assert.deepEqual(new Uint8Array(found["creator.designator"]!), token.unit);
      assert.match(found["target.designator"]!.toString(), /^ROPEWALK[0-9a-f]{16}$/);
      assert.equal(found["policy"]![0], ["preserve", "invalidate", "reference"].indexOf(token.policy));
      assert.equal(found["kind"]![0], 0);
      assert.ok(found["payload"]!.equals(Buffer.alloc(272)));
      const flags = Number(token.persistent) + 2 * Number(token.deleteOnUse) + 4 * Number(token.isProtected);
      assert.equal(found["flags"]![0], flags);
      assert.deepEqual(found["generation"], Buffer.from(codec.generation));
      for (const field of ["lengthBytes", "createdAtMs", "expiresAtMs"] as const)
        assert.equal(found[field]!.readBigUInt64BE(), BigInt(token[field]));
      const mac = createHmac("sha256", key).update(bytes.subarray(0, 480)).digest();
      assert.deepEqual(found["mac"], mac);
    }),
    { numRuns: 50 },
  );
});

test("what was encoded verifies to the same fields, and only with its key", () =>
  fc.assert(
    fc.property(fields, (token) => {
      const bytes = new TokenBytes(key).encode(token);
      const found = new TokenBytes(key).verify(bytes)!;
      const plain = (bytes: Uint8Array) => new Uint8Array(bytes);
      assert.deepEqual(
        { ...found, id: plain(found.id), nonce: plain(found.nonce), unit: plain(found.unit) },
        { ...token },
      );
      assert.equal(new TokenBytes(new Uint8Array(32)).verify(bytes), undefined);
    }),
  ));

test("bytes with a right MAC that this version would not write do not verify", () => {
  const token = new TokenBytes(key).encode({
    id: new Uint8Array(8),
    nonce: new Uint8Array(16),
    unit: new Uint8Array(8),
    lengthBytes: 1,
    policy: "preserve",
    persistent: false,
    deleteOnUse: false,
    isProtected: true,
    createdAtMs: 1,
    expiresAtMs: 2,
  });
  for (const at of [
    0, 4, 6, 16, 20, 32, 48, 50, 56, 64, 96, 101, 103, 128, 140, 156, 160, 164, 165, 166, 168, 192, 208, 479,
  ]) {
    const other = token.slice();
    other[at]! ^= 0x80;
    other.set(createHmac("sha256", key).update(other.subarray(0, 480)).digest(), 480);
    assert.equal(new TokenBytes(key).verify(other), undefined, `byte ${at}`);
  }
});

test("the token of zeros is what SBC-3 says", () => {
  const zero = Buffer.from(zeroTokenBytes());
  assert.equal(zero.subarray(0, 8).toString("hex"), "ffff0001000001f8");
  assert.ok(zero.subarray(8).equals(Buffer.alloc(504)));
});
