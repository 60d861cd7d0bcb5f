import assert from "node:assert/strict";
import test from "node:test";
import type { SourcePlace } from "../capture/change.ts";
import { DirectoryNode } from "../capture/directory-node.ts";
import { SourceReads } from "./source-reads.ts";

function treeOf() {
  const root = new DirectoryNode();
  const [above, below] = [new DirectoryNode("a"), new DirectoryNode("b")];
  root.attach(above, "a");
  above.attach(below, "b");
  const told = new Set<() => void>();
  const stale: SourcePlace[] = [];
  const reads = new SourceReads({
    drained: () => new Promise((resolve) => void told.add(resolve)),
    stale: (place) => stale.push(place),
  });
  const tell = () => {
    for (const resolve of told) resolve();
    told.clear();
  };
  return { root, above, below, reads, stale, tell };
}

test("what was read below a directory that turns out to have moved is stale, and only that", async () => {
  const { root, above, below, reads, stale, tell } = treeOf();
  const since = reads.begin();
  reads.ended(since, [
    { directory: below, name: "f" },
    { directory: root, name: "g" },
  ]);
  above.detach();
  root.attach(above, "c");
  assert.deepEqual(stale, []);
  const checked = reads.checked();
  tell();
  await checked;
  assert.deepEqual(stale, [{ directory: below, name: "f" }]);
});

test("what moved before it was read is not stale, nor is what was read where nothing moved", async () => {
  const { root, above, below, reads, stale, tell } = treeOf();
  above.detach();
  root.attach(above, "c");
  reads.ended(reads.begin(), [{ directory: below, name: "f" }]);
  tell();
  await reads.checked();
  assert.deepEqual(stale, []);
});

test("what is read later is not waited for, and is looked at when the events behind it are told", async () => {
  const { root, below, reads, stale, tell } = treeOf();
  reads.ended(reads.begin(), [{ directory: root, name: "g" }]);
  const checked = reads.checked();
  reads.ended(reads.begin(), [{ directory: below, name: "f" }]);
  tell();
  await checked;
  below.detach();
  tell();
  await reads.checked();
  assert.deepEqual(stale, [{ directory: below, name: "f" }]);
});
