import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration } from "./pool-commands.ts";
import { formatBar } from "./progress.ts";
import { formatFields, formatTable, formatTime } from "./table.ts";

test("durations are said in their two largest units", () => {
  const durations: [number, string][] = [
    [0, "0 s"],
    [59, "59 s"],
    [60, "1 min 0 s"],
    [3725, "1 h 2 min"],
    [90_000, "1 d 1 h"],
  ];
  for (const [seconds, text] of durations) assert.equal(formatDuration(seconds), text);
});

test("a bar fills from nothing to all and stays within", () => {
  assert.equal(formatBar(0), "[------------------------]   0 %");
  assert.equal(formatBar(0.5), "[############------------]  50 %");
  assert.equal(formatBar(1), "[########################] 100 %");
  assert.equal(formatBar(-1), formatBar(0));
  assert.equal(formatBar(7), formatBar(1));
});

test("tables align their columns and end no line in spaces", () => {
  assert.equal(
    formatTable(
      ["A", "B"],
      [
        ["long", "1"],
        ["x", "22"],
      ],
      ["B"],
    ),
    "A      B\nlong   1\nx     22\n",
  );
  assert.equal(formatTable(["A", "B"], [["x", ""]]), "A  B\nx\n");
  assert.equal(
    formatFields([
      ["a", "1"],
      ["long", "2"],
    ]),
    "a:    1\nlong: 2\n",
  );
  assert.equal(formatTime("2026-11-21T14:03:05.123Z"), "2026-11-21 14:03:05Z");
});
