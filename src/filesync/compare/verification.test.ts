import assert from "node:assert/strict";
import test from "node:test";
import type { FileFailure } from "../../ports/mod.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { KeptComparison } from "./kept-attributes.ts";
import { Verification } from "./verification.ts";

async function verified(source: MemoryTree, target: MemoryTree, keepsExtra = false) {
  const failures: FileFailure[] = [];
  const scan = (tree: MemoryTree) => (request: { paths: readonly string[]; withListings: boolean }) =>
    tree.scan({ ...request, excludes: { patterns: [] } });
  const result = await new Verification({
    source,
    scanSource: scan(source),
    scanTarget: scan(target),
    hashesOfTarget: (path, request) => target.hashes(path, request),
    kept: new KeptComparison(),
    keepsExtra,
    failed: (failure) => failures.push(failure),
    signal: new AbortController().signal,
  }).run();
  assert.equal(result.differences, result.different.length);
  assert.equal(source.openFiles, 0);
  return {
    ...result,
    told: result.different.map(({ path, what }) => `${what} ${path}`).toSorted(),
    failures,
  };
}

test("equal trees have no differences, and every byte was read", async () => {
  const paths = { d: "/", "d/f": "xyz", e: "" };
  const { told, files, bytes } = await verified(new MemoryTree(paths), new MemoryTree(paths));
  assert.deepEqual([told, files, bytes], [[], 2, 3]);
});

test("content that differs is found though all attributes are equal", async () => {
  const { told } = await verified(new MemoryTree({ f: "here" }), new MemoryTree({ f: "else" }));
  assert.deepEqual(told, ["content f"]);
});

test("what is missing, extra, or has other attributes is named", async () => {
  const source = new MemoryTree({ fresh: "x", f: "x", g: "longer" });
  source.nodes.get("f")!.mode = 0o600;
  const target = new MemoryTree({ f: "x", g: "x", old: "x" });
  assert.deepEqual((await verified(source, target)).told, [
    "attributes f",
    "content g",
    "extra old",
    "missing fresh",
  ]);
  assert.deepEqual((await verified(source, target, true)).told, [
    "attributes f",
    "content g",
    "missing fresh",
  ]);
});

test("what cannot be read on one side is a difference, as nobody knows it to be equal", async () => {
  const paths = { d: "/", "d/f": "x", e: "/", f: "x" };
  const [source, target] = [new MemoryTree(paths), new MemoryTree(paths)];
  source.unreadable.set("f", "EACCES");
  target.unreadable.set("d", "EACCES");
  const { told, failures } = await verified(source, target);
  assert.deepEqual([told, failures.length], [["unreadable d", "unreadable f"], 1]);
});
