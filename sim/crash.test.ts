/** A slice of the crash scenario; `npm run sim` runs as many seeds as one likes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { failuresOf } from "./run-seeds-in-test.ts";

test("random work with crashes at any disk call breaks no guarantee", async () => {
  assert.deepEqual(await failuresOf({ scenario: "crash", seeds: [1, 240] }), []);
});

test("a seed replays exactly: the same trace of disk calls each time", async () => {
  assert.deepEqual(await failuresOf({ scenario: "crash", seeds: [1001, 1010], twice: true }), []);
});
