import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bucketOf, LATENCY_BUCKETS, METERED_REQUESTS, MeteredRequest } from "./volume-meter.ts";

test("a latency stands in the smallest bucket that holds it", () => {
  const latencyMs = fc.double({ min: 0, max: 60_000, noNaN: true });
  fc.assert(
    fc.property(latencyMs, (latency) => {
      const bucket = bucketOf(latency);
      assert.ok(latency * 1000 <= 2 ** bucket);
      assert.ok(bucket === 0 || Math.ceil(latency * 1000) > 2 ** (bucket - 1));
    }),
  );
});

test("latencies beyond all bounds stand in the last bucket", () => {
  for (const latency of [70_000, 1e9, Infinity]) assert.equal(bucketOf(latency), LATENCY_BUCKETS - 1);
});

test("kinds of request and their names are in the same order", () => {
  for (const [name, index] of Object.entries(MeteredRequest)) assert.equal(METERED_REQUESTS[index], name);
});
