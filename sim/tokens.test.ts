/** A slice of the tokens scenario, and the bugs that it must find; `npm run sim` runs as many seeds as one likes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { plants } from "./plants.ts";
import { failuresOf } from "./run-seeds-in-test.ts";

test("tokens keep their word through changes of their sources, time, and crashes at any disk call", async () => {
  assert.deepEqual(await failuresOf({ scenario: "tokens", seeds: [1, 40] }), []);
});

test("a seed with tokens replays exactly: the same trace of disk calls each time", async () => {
  assert.deepEqual(await failuresOf({ scenario: "tokens", seeds: [1001, 1004], twice: true }), []);
});

for (const { name, what } of plants.filter(({ scenario }) => scenario === "tokens"))
  test(`the planted bug ${name} is found: ${what}`, async () => {
    const failures = await failuresOf({ scenario: "tokens", seeds: [1, 60], plants: [name], failuresMax: 1 });
    assert.ok(failures.length > 0);
  });
