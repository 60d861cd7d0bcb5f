import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../test/support/temporary-folder.ts";
import { textTable, writeMarkdown } from "./report.ts";
import { limitRow, plainRow, rateRow } from "./row.ts";

const rows = [
  rateRow({ name: "read", unit: "ops/s", ours: [150_000], peer: [100_000], peerName: "nbdkit", goal: 1.6 }),
  limitRow({ name: "stall", unit: "ms", ours: [0.5], limit: 1 }),
  plainRow({ name: "amplification", unit: "×", ours: [1.234] }),
];

test("the table says for each goal whether it was reached", () => {
  const [, read, stall, amplification] = textTable(rows).split("\n");
  assert.match(read!, /^read +ops\/s +150,000 +100,000 +nbdkit +1\.50 +1\.6 NO$/);
  assert.match(stall!, /0\.5 +1 +limit +2\.00 +1 yes$/);
  assert.match(amplification!, /1\.23$/);
});

test("a second run replaces its own part of the document and nothing else", () => {
  using folder = new TemporaryFolder();
  const file = folder.file("benchmarks.md");
  writeFileSync(file, "# Benchmarks\n");
  const report = { suite: "nbd", method: ["m"], machine: ["old machine"], rows };
  writeMarkdown(file, report);
  writeMarkdown(file, { ...report, suite: "pool", machine: ["other"] });
  writeMarkdown(file, { ...report, machine: ["new machine"] });
  const text = readFileSync(file, "utf8");
  assert.ok(text.startsWith("# Benchmarks\n"));
  assert.ok(text.includes("new machine") && text.includes("other") && !text.includes("old machine"));
  assert.equal(text.split("<!-- bench nbd -->").length, 2);
});
