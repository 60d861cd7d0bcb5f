// Address and length in the CDBs of every length.
import assert from "node:assert/strict";
import { test } from "node:test";
import { blockRange, byteCheck } from "./mod.ts";

function cdb(digits: string): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set(Buffer.from(digits.replaceAll(" ", ""), "hex"));
  return bytes;
}

const CASES: readonly (readonly [command: string, cdb: string, lba: number, blocks: number])[] = [
  ["READ (6)", "08 1f1234 05", 0x1f1234, 5],
  ["READ (6) of no blocks, which are 256", "08 000001 00", 1, 256],
  ["READ (10)", "28 00 01020304 00 0506", 0x01020304, 0x0506],
  ["READ (12)", "a8 00 01020304 05060708", 0x01020304, 0x05060708],
  ["READ (16)", "88 00 0000010203040506 0708090a", 0x010203040506, 0x0708090a],
  ["COMPARE AND WRITE", "89 00 0000000000000007 000000 02", 7, 2],
  ["WRITE ATOMIC (16)", "9c 00 0000000000000007 0000 0102", 7, 0x102],
];

for (const [command, digits, lba, blocks] of CASES) {
  test(`${command} has its address and length where SBC-3 puts them`, () => {
    assert.deepEqual(blockRange(cdb(digits)), { lba, blocks });
  });
}

test("BYTCHK is two bits", () => {
  assert.equal(byteCheck(cdb("2f 06")), 3);
  assert.equal(byteCheck(cdb("2f 02")), 1);
});
