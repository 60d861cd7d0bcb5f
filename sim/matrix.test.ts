/** A slice of the matrix: some single operations; `npm run sim` runs all sequences. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { failuresOf } from "./run-seeds-in-test.ts";
import { sequenceNumbered } from "./scenarios/matrix.ts";

/** The numbers of the sequences that are run here. */
const slice = [1, 2, 4, 8, 9];

for (const seed of slice)
  test(`a ${sequenceNumbered(seed)} survives a crash and a failure at every disk call`, async () => {
    assert.deepEqual(await failuresOf({ scenario: "matrix", seeds: [seed, seed] }), []);
  });

test("the seeds of the matrix are all sequences of up to three operations, each once", () => {
  const count = 10 + 100 + 1000;
  const sequences = new Set(Array.from({ length: count }, (_, at) => sequenceNumbered(at + 1).join(" ")));
  assert.equal(sequences.size, count);
  assert.throws(() => sequenceNumbered(count + 1), /there are 1110 sequences/);
});
