import assert from "node:assert/strict";
import { test } from "node:test";
import { xxh3 } from "@node-rs/xxhash";
import { digest128, writeDigest128 } from "./digest.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

test("the digest is XXH3-128 in its canonical form, as the algorithm's own examples have it", () => {
  assert.equal(hex(digest128(new Uint8Array(0))), "99aa06d3014798d86001c324468d497f");
  assert.equal(hex(digest128(Buffer.from("abc"))), "06b05ab6733a618578af5f94892f3950");
});

test("digests of one content differ by their seed and not by where they are written", () => {
  const bytes = Uint8Array.from({ length: 5000 }, (_, index) => index * 7);
  const seeds = [0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
  const memory = new Uint8Array(16 * seeds.length + 2).fill(0xee);
  for (const [index, seed] of seeds.entries())
    writeDigest128(bytes, { into: memory.subarray(1), at: 16 * index, seed });
  const digests = seeds.map((seed) => hex(digest128(bytes, seed)));
  assert.equal(hex(memory), `ee${digests.join("")}ee`);
  assert.equal(new Set(digests).size, seeds.length);
});

test("a content of any length has the digest of its seed, whatever seed was used before", () => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => (index * 31) ^ (index >> 8));
  const seeds = [0, 7, 2 ** 32 - 1, Number.MAX_SAFE_INTEGER];
  for (const length of [1, 16, 17, 128, 240, 241, 512, 1024, 1025, 70_000])
    for (const seed of [...seeds, ...seeds]) {
      const expected = xxh3.xxh128(bytes.subarray(0, length), BigInt(seed)).toString(16).padStart(32, "0");
      assert.equal(
        hex(digest128(bytes.subarray(0, length), seed)),
        expected,
        `${length} bytes, seed ${seed}`,
      );
    }
});
