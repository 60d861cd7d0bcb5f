import assert from "node:assert/strict";
import { test } from "node:test";
import { Arrivals, percentile } from "./latencies.ts";

test("a percentile is a value that was measured, whatever the order", () => {
  const values = Array.from({ length: 200 }, (_, index) => 200 - index);
  assert.equal(percentile(values, 0.5), 100);
  assert.equal(percentile(values, 0.99), 198);
  assert.equal(percentile(values, 1), 200);
  assert.equal(percentile([7], 0.5), 7);
  assert.equal(percentile([], 0.5), undefined);
});

test("a content stands for the changes of its file that it replaced, not for those that follow", () => {
  const arrivals = new Arrivals();
  arrivals.written("a", 1, 100);
  arrivals.written("b", 2, 110);
  arrivals.written("a", 3, 120);
  arrivals.written("a", 4, 130);
  arrivals.seen("a", 3, 150);
  assert.deepEqual(arrivals.latenciesMs, [50, 30]);
  assert.deepEqual(arrivals.paths, ["a", "b"]);
  arrivals.seen("a", 4, 170);
  assert.deepEqual(arrivals.latenciesMs, [50, 30, 40]);
  assert.ok(!arrivals.isWaiting("a"));
});

test("a content that is seen twice, or was there before, counts once", () => {
  const arrivals = new Arrivals();
  arrivals.seen("a", 1, 90);
  arrivals.written("a", 2, 100);
  arrivals.seen("a", 1, 105);
  arrivals.seen("a", 2, 110);
  arrivals.seen("a", 2, 120);
  assert.deepEqual(arrivals.latenciesMs, [10]);
});
