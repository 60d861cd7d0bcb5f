/** The checks find bugs: some that are planted, each within a few seeds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { plants } from "./plants.ts";
import { failuresOf } from "./run-seeds-in-test.ts";

const cheap = [
  "skip-sync",
  "early-ack",
  "no-round",
  "shared-parent-writable",
  "foreign-of-foreign",
  "pointer-before-nodes",
  "graft-count",
  "undurable-cursor",
  "skip-directory-sync",
  "lost-trim",
  "lying-disk",
];

for (const name of cheap)
  test(`the planted bug ${name} is found`, async () => {
    const { scenario } = plants.find((plant) => plant.name === name)!;
    const failures = await failuresOf({ scenario, seeds: [1, 250], plants: [name], failuresMax: 1 });
    assert.ok(failures.length > 0);
  });
