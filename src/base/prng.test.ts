import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "./prng.ts";

test("a seed repeats its sequence, and another seed has another", () => {
  const words = (seed: number) => {
    const prng = new Prng(seed);
    return Array.from({ length: 50 }, () => prng.word());
  };
  assert.deepEqual(words(7), words(7));
  const seen = new Set(
    [0, 1, 2, 7, -1, 2 ** 32, 2 ** 32 + 7, Number.MAX_SAFE_INTEGER].map((seed) => words(seed).join()),
  );
  assert.equal(seen.size, 8);
});

test("the generator is xoshiro128**: a step agrees with arithmetic on unbounded integers", () => {
  const mask = 0xffff_ffffn;
  const rotate = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
  const seeded = (seed: number) => {
    const state: bigint[] = [];
    let mixed = BigInt(seed);
    for (let index = 0; index < 4; index++) {
      mixed = (mixed + 0x9e3779b9n) & mask;
      let word = ((mixed ^ (mixed >> 16n)) * 0x85ebca6bn) & mask;
      word = ((word ^ (word >> 13n)) * 0xc2b2ae35n) & mask;
      state.push(word ^ (word >> 16n));
    }
    return state as [bigint, bigint, bigint, bigint];
  };
  const prng = new Prng(12345);
  let [s0, s1, s2, s3] = seeded(12345);
  for (let step = 0; step < 1000; step++) {
    const expected = (rotate((s1 * 5n) & mask, 7n) * 9n) & mask;
    assert.equal(BigInt(prng.word()), expected, `step ${step}`);
    const t = (s1 << 9n) & mask;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= t;
    s3 = rotate(s3, 11n);
  }
});

test("chance never happens at 0, always at 1, and about as often as it says between", () => {
  const prng = new Prng(3);
  let happened = 0;
  for (let draw = 0; draw < 20_000; draw++) {
    assert.equal(prng.chance(0), false);
    assert.equal(prng.chance(1), true);
    if (prng.chance(0.25)) happened++;
  }
  assert.ok(Math.abs(happened - 5000) < 300, `${happened} of 20000`);
});
