import assert from "node:assert/strict";
import { test } from "node:test";
import { checksum } from "./checksum.ts";

test("the checksum is the low word of XXH64 with seed 0, as the algorithm's own examples have it", () => {
  // XXH64 of nothing is ef46db3751d8e999, of "abc" 44bc2cf5ad770999.
  assert.equal(checksum(new Uint8Array(0)), 0x51d8_e999);
  assert.equal(checksum(Buffer.from("abc")), 0xad77_0999);
});

test("the checksum is of the bytes that a view shows, wherever they stand in memory", () => {
  const bytes = Uint8Array.from({ length: 10_000 }, (_, index) => index * 7);
  assert.equal(checksum(bytes.subarray(3, 4099)), checksum(bytes.slice(3, 4099)));
  assert.notEqual(checksum(bytes.subarray(3, 4099)), checksum(bytes.subarray(4, 4100)));
});
