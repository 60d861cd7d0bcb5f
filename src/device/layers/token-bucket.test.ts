import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TokenBucket } from "./token-bucket.ts";

test("what is taken in any stretch of time stays within rate × time + burst + the last amount", () => {
  const takes = fc.array(
    fc.record({ amount: fc.integer({ min: 0, max: 5000 }), idleMs: fc.integer({ min: 0, max: 300 }) }),
    { minLength: 1, maxLength: 50, size: "max" },
  );
  const rates = fc.record({
    perSecond: fc.integer({ min: 1, max: 100_000 }),
    burst: fc.integer({ min: 1, max: 5000 }),
  });
  fc.assert(
    fc.property(rates, takes, ({ perSecond, burst }, steps) => {
      let nowMs = 50;
      const bucket = new TokenBucket({ perSecond, burst, nowMs });
      const taken: { atMs: number; amount: number }[] = [];
      for (const { amount, idleMs } of steps) {
        nowMs += idleMs;
        nowMs += bucket.waitMs(nowMs);
        assert.equal(bucket.waitMs(nowMs), 0);
        bucket.take(amount);
        taken.push({ atMs: nowMs, amount });
        for (let first = 0; first < taken.length; first++) {
          const sum = taken.slice(first).reduce((total, step) => total + step.amount, 0);
          const limit = ((nowMs - taken[first]!.atMs) * perSecond) / 1000 + burst + amount;
          assert.ok(sum <= limit * (1 + 1e-9) + 1e-3, `${sum} of ${limit}`);
        }
      }
    }),
  );
});

test("a bucket that is always asked in time gives its whole rate", () => {
  let nowMs = 0;
  const bucket = new TokenBucket({ perSecond: 1000, burst: 10, nowMs });
  let taken = 0;
  while (nowMs < 10_000) {
    nowMs += bucket.waitMs(nowMs);
    bucket.take(64);
    taken += 64;
  }
  assert.ok(Math.abs(taken - 10_000) <= 10 + 2 * 64, `${taken}`);
});

test("a rate of zero is no limit", () => {
  const bucket = new TokenBucket({ perSecond: 0, burst: 1, nowMs: 0 });
  for (let index = 0; index < 10; index++) {
    bucket.take(1e12);
    assert.equal(bucket.waitMs(0), 0);
  }
});
