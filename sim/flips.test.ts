/** A slice of the flips. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { failuresOf } from "./run-seeds-in-test.ts";

test("a flipped bit yields an error or the right bytes, and scrub finds what reads find", async () => {
  assert.deepEqual(await failuresOf({ scenario: "flips", seeds: [1, 4] }), []);
});
