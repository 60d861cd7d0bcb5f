/** A slice of the filesync scenario, and the bugs that it must find; `npm run sim` runs as many seeds as one likes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { plants } from "./plants.ts";
import { failuresOf } from "./run-seeds-in-test.ts";

test("replicated trees become equal, whatever happens to events, links and processes on the way", async () => {
  assert.deepEqual(await failuresOf({ scenario: "filesync", seeds: [1, 60] }), []);
});

test("a seed of file replication replays exactly: the same trace of changes and operations each time", async () => {
  assert.deepEqual(await failuresOf({ scenario: "filesync", seeds: [1001, 1006], twice: true }), []);
});

for (const { name, what } of plants.filter(({ scenario }) => scenario === "filesync"))
  test(`the planted bug ${name} is found: ${what}`, async () => {
    const failures = await failuresOf({
      scenario: "filesync",
      seeds: [1, 100],
      plants: [name],
      failuresMax: 1,
    });
    assert.ok(failures.length > 0);
  });
