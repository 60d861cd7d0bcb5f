import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RopewalkError } from "../../base/errors.ts";
import { encodeText, hexText, iscsiName, TextCollector, textBytes, textNumber } from "./mod.ts";

const LIMITS = { bytesMax: 1000, pairsMax: 10 };

function collect(...pieces: readonly Uint8Array[]) {
  const collector = new TextCollector(LIMITS);
  for (const piece of pieces) collector.add(piece);
  return collector.finish();
}

test("a list comes back in its order, however it is cut into pieces", () => {
  const key = fc.stringMatching(/^[A-Z][A-Za-z0-9]{0,20}$/);
  const value = fc.stringMatching(/^[ -~]{0,40}$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(key, value), { maxLength: 10 }), fc.nat(600), (pairs, cut) => {
      const bytes = encodeText(pairs);
      assert.deepEqual(collect(bytes.subarray(0, cut), bytes.subarray(cut)), pairs);
    }),
  );
});

test("arbitrary bytes are a list or a protocol error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1200 }), (bytes) => {
      try {
        collect(bytes);
      } catch (error) {
        assert.equal(error instanceof RopewalkError && error.code, "PROTOCOL_ERROR");
      }
    }),
  );
});

for (const [what, text] of [
  ["without an end", "A=1"],
  ["without an equals sign", "Abc\0"],
  ["with an empty key", "=1\0"],
  ["with a key in lower case", "abc=1\0"],
  ["with a long key", `A${"b".repeat(63)}=1\0`],
  ["with a control character", "A=\u0001\0"],
  ["with too many pairs", "A=1\0".repeat(11)],
  ["that is too long", `A=${"1".repeat(1000)}\0`],
] as const) {
  test(`a list ${what} is a protocol error`, () => {
    assert.throws(() => collect(Buffer.from(text)), { code: "PROTOCOL_ERROR" });
  });
}

test("a list that is no UTF-8 is a protocol error", () => {
  assert.throws(() => collect(Uint8Array.of(65, 61, 0xff, 0)), { code: "PROTOCOL_ERROR" });
});

test("numbers are decimal or hexadecimal and nothing else", () => {
  assert.equal(textNumber("262144"), 262144);
  assert.equal(textNumber("0x10"), 16);
  for (const value of ["", "-1", "1.5", "1e3", "010", " 1", "99999999999", "0x"])
    assert.equal(textNumber(value), undefined);
});

test("binary values are hexadecimal or base64 within their limit", () => {
  const bytes = Uint8Array.of(1, 2, 0xff);
  assert.deepEqual(textBytes(hexText(bytes), 3), Buffer.from(bytes));
  assert.deepEqual(textBytes("0bAQL/", 3), Buffer.from(bytes));
  for (const value of ["", "0x", "0x1", "0x01020304", "010203", "0b"])
    assert.equal(textBytes(value, 3), undefined);
});

test("names are compared in lower case and must be of one of the three kinds", () => {
  assert.equal(iscsiName("iqn.1993-08.org.Debian:01:ABC"), "iqn.1993-08.org.debian:01:abc");
  assert.equal(iscsiName("eui.0123456789ABCDEF"), "eui.0123456789abcdef");
  for (const name of [
    "",
    "host",
    "iqn.1993.x",
    "iqn.1993-08.a b",
    "eui.12",
    `iqn.1993-08.${"a".repeat(220)}`,
  ])
    assert.equal(iscsiName(name), undefined);
});

test("a collected piece is a copy, so the memory that it came in may be used again", () => {
  const collector = new TextCollector(LIMITS);
  const piece = Buffer.from("Abc=1\0");
  collector.add(piece);
  piece.fill(0xff);
  assert.deepEqual(collector.finish(), [["Abc", "1"]]);
});
