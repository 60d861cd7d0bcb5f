import assert from "node:assert/strict";
import { test } from "node:test";
import { Checks } from "./checks.ts";
import { forgeries } from "./forgeries.ts";

test("of twenty thousand forged tokens none is accepted, and all are refused alike, also in time", async () => {
  const said: string[] = [];
  const checks = new Checks((line) => said.push(line));
  // Other tests run beside this one; what a comparison of bytes that ends early would show is told by the long run.
  await forgeries({ count: 20_000, seed: 1, timedRounds: 200, timeSpreadMax: 0.5 }, checks);
  assert.equal(checks.failed, 0, said.join("\n"));
  assert.equal(checks.passed, 5);
});
