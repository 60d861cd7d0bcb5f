/** The simulated tree does what Linux does, and tells what inotify tells. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedTree, type TreeNotice } from "./simulated-tree.ts";

function treeAt(time: { ms: number }): SimulatedTree {
  return new SimulatedTree({ nowMs: () => time.ms, tickMs: 10, device: 1 });
}

test("a rename replaces a file and an empty directory, and nothing of another kind", () => {
  const tree = treeAt({ ms: 0 });
  for (const path of ["d", "e", "e/in"]) tree.create(path, "directory", 0o755);
  for (const path of ["f", "g"]) tree.create(path, "file", 0o644);
  const f = tree.at("f");
  tree.rename("f", "g");
  assert.equal(tree.at("g"), f);
  assert.throws(() => tree.rename("g", "d"), { errno: "EISDIR" });
  assert.throws(() => tree.rename("d", "g"), { errno: "ENOTDIR" });
  assert.throws(() => tree.rename("d", "e"), { errno: "ENOTEMPTY" });
  assert.throws(() => tree.rename("e", "e/in/x"), { errno: "EINVAL" });
  assert.throws(() => tree.at("g/x"), { errno: "ENOTDIR" });
  tree.rename("e/in", "d");
  assert.deepEqual([...tree.walk()].map(([path]) => path).toSorted(), ["d", "e", "g"]);
});

test("two writes within one tick of the clock leave equal times, and a later one another", () => {
  const time = { ms: 11 };
  const tree = treeAt(time);
  const file = tree.create("f", "file", 0o644);
  tree.setContent("f", Buffer.from("one"));
  const { modified } = file;
  time.ms = 19;
  tree.setContent("f", Buffer.from("two"));
  assert.deepEqual(file.modified, modified);
  time.ms = 20;
  tree.setContent("f", Buffer.from("six"));
  assert.notDeepEqual(file.modified, modified);
});

test("what happens is told as inotify tells it: two halves of a rename with one cookie, then the directory itself", () => {
  const tree = treeAt({ ms: 0 });
  tree.create("from", "directory", 0o755);
  tree.create("from/d", "directory", 0o755);
  tree.create("to", "directory", 0o755);
  tree.create("to/d", "directory", 0o755);
  const replaced = tree.at("to/d");
  const notices: TreeNotice[] = [];
  tree.notify = (notice) => notices.push(notice);
  tree.rename("from/d", "to/d");
  assert.deepEqual(
    notices.map(({ kind, name, cookie }) => [kind, name, cookie]),
    [
      ["movedFrom", "d", 1],
      ["movedTo", "d", 1],
      ["deletedSelf", "", 0],
      ["watchGone", "", 0],
      ["movedSelf", "", 0],
    ],
  );
  assert.equal(notices[2]!.directory, replaced);
});

test("names of one file share content and attributes, and it lives as long as one of them", () => {
  const tree = treeAt({ ms: 0 });
  tree.create("a", "file", 0o644);
  tree.link("a", "b");
  tree.setContent("b", Buffer.from("shared"));
  assert.equal(Buffer.from(tree.at("a").content).toString(), "shared");
  assert.equal(tree.attributes(tree.at("a")).links, 2);
  tree.unlink("a");
  assert.equal(tree.attributes(tree.at("b")).links, 1);
});
