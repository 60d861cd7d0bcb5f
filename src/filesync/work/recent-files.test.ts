import assert from "node:assert/strict";
import test from "node:test";
import type { FileAttributes } from "../../ports/mod.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { RecentFiles } from "./recent-files.ts";

const [file] = await new MemoryTree({ file: "x" }).stat(["file"]);
const writtenAt = (modifiedMs: number): FileAttributes => ({
  ...file!,
  modifiedSeconds: Math.floor(modifiedMs / 1000),
  modifiedNanoseconds: (modifiedMs % 1000) * 1e6,
});

test("a file that was read right after it was written is known until it is read later", () => {
  const recent = new RecentFiles();
  recent.sent("d/now", writtenAt(5_001), 5_002);
  recent.sent("d/old", writtenAt(4_001), 5_002);
  recent.sent("d/e/meanwhile", writtenAt(5_004), 5_002);
  assert.deepEqual(recent.in("d", "one"), ["d/now"]);
  assert.deepEqual(recent.in("", "all"), ["d/now", "d/e/meanwhile"]);
  recent.sent("d/now", writtenAt(5_001), 6_000);
  assert.deepEqual(recent.in("d", "all"), ["d/e/meanwhile"]);
});

test("it goes with renames and removals, of itself and of a directory above it", () => {
  const recent = new RecentFiles();
  for (const path of ["d/a", "d/e/b", "c"]) recent.sent(path, writtenAt(5_000), 5_000);
  recent.renamed("d", "f", true);
  recent.renamed("c", "f/c", false);
  assert.deepEqual(recent.in("", "all").toSorted(), ["f/a", "f/c", "f/e/b"]);
  recent.removed("f/e", true);
  recent.removed("f/a", false);
  assert.deepEqual(recent.in("", "all"), ["f/c"]);
  recent.renamed("other", "f/c", false);
  assert.deepEqual(recent.in("f", "one"), []);
});

test("where the file system's clock is ahead a file is read again once, not for ever", () => {
  const recent = new RecentFiles();
  recent.sent("a", writtenAt(9_001), 5_000);
  recent.sent("a", writtenAt(9_001), 5_010);
  assert.deepEqual(recent.in("", "one"), ["a"]);
  recent.sent("a", writtenAt(9_001), 5_100);
  assert.deepEqual(recent.in("", "one"), []);
  recent.sent("a", writtenAt(9_200), 5_200);
  assert.deepEqual(recent.in("", "one"), ["a"]);
});

test("times without nanoseconds are those of a clock that ticks every two seconds", () => {
  const recent = new RecentFiles();
  recent.sent("a", writtenAt(4_000), 5_900);
  recent.sent("b", writtenAt(2_000), 5_900);
  assert.deepEqual(recent.in("", "one"), ["a"]);
  recent.sent("a", writtenAt(4_000), 6_100);
  assert.deepEqual(recent.in("", "one"), []);
});

test("those of longest ago are forgotten", () => {
  const recent = new RecentFiles();
  for (let at = 0; at < 100_000; at++) recent.sent(`d${at % 1000}/f${at}`, writtenAt(5_000), 5_000);
  assert.ok(recent.in("", "all").length <= 65_536);
});
