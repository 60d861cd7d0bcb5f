import assert from "node:assert/strict";
import { test } from "node:test";
import { costRow, limitRow, median, plainRow, rateRow } from "./row.ts";

const measured = { name: "n", unit: "u", peerName: "p", goal: 1.5 };

test("a ratio above 1 means that we are better, for rates and for costs", () => {
  assert.equal(rateRow({ ...measured, ours: [300], peer: [200] }).ratio, 1.5);
  assert.equal(costRow({ ...measured, ours: [200], peer: [300] }).ratio, 1.5);
});

test("the figures are medians over the rounds", () => {
  const row = rateRow({ ...measured, ours: [1, 9, 2], peer: [4, 8, 1, 1000] });
  assert.deepEqual([row.ours, row.peer], [2, 6]);
  assert.equal(median([]), null);
});

test("what was not measured is null", () => {
  const row = rateRow({ ...measured, ours: [5], peer: [] });
  assert.deepEqual([row.peer, row.ratio], [null, null]);
  assert.equal(plainRow({ name: "n", unit: "u", ours: [] }).ours, null);
});

test("a figure at its limit reaches the goal, one above it does not", () => {
  const at = limitRow({ name: "n", unit: "ms", ours: [5], limit: 5 });
  const above = limitRow({ name: "n", unit: "ms", ours: [6], limit: 5 });
  assert.ok(at.ratio! >= at.goal!);
  assert.ok(above.ratio! < above.goal!);
});
