import assert from "node:assert/strict";
import test from "node:test";
import { DirtyDirectories } from "./dirty-directories.ts";

test("directories in which something was done are taken deepest first, the root last", () => {
  const dirty = new DirtyDirectories();
  for (const path of ["f", "a/b/f", "a/f"]) dirty.touchedIn(path);
  assert.deepEqual(dirty.take(2), ["a/b", "a"]);
  assert.deepEqual([dirty.take(2), dirty.size], [[""], 0]);
});

test("they go with renames, whether they wait or are away", () => {
  const dirty = new DirtyDirectories();
  dirty.add("a/x");
  dirty.isAway("a/y");
  dirty.add("ab");
  dirty.renamed("a", "c");
  assert.deepEqual(dirty.take(9).toSorted(), ["ab", "c/x", "c/y"]);
});

test("those that are away are looked for again when it is said, and none that was removed", () => {
  const dirty = new DirtyDirectories();
  for (const path of ["a", "b", "b/c"]) dirty.isAway(path);
  assert.equal(dirty.size, 0);
  dirty.removed("b", true);
  dirty.retryAway();
  assert.deepEqual(dirty.take(9), ["a"]);
});

test("what was sent before a rename may have been another directory's, and is sent again where that went", () => {
  const dirty = new DirtyDirectories();
  dirty.wereSent(["a", "a/x", "b"]);
  dirty.renamed("a", "c");
  assert.deepEqual(dirty.take(9).toSorted(), ["c", "c/x"]);
});

test("what was sent is another directory's no more when it is confirmed", () => {
  const dirty = new DirtyDirectories();
  dirty.wereSent(["a"]);
  assert.equal(dirty.sendings, 1);
  dirty.confirmed();
  dirty.renamed("a", "c");
  assert.equal(dirty.size, 0);
});
