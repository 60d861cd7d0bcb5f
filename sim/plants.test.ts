/** The checks find bugs: some that are planted, each within a few seeds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { plants } from "./plants.ts";
import { failuresOf } from "./run-seeds-in-test.ts";

const cheap = ["skip-sync", "early-ack", "lost-trim", "lying-disk", "lying-directory"];

for (const name of cheap)
  test(`the planted bug ${name} is found`, async () => {
    const { scenario } = plants.find((plant) => plant.name === name)!;
    const failures = await failuresOf({ scenario, seeds: [1, 60], plants: [name], failuresMax: 1 });
    assert.ok(failures.length > 0);
  });
