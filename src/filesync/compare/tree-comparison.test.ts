import assert from "node:assert/strict";
import test from "node:test";
import { MemoryTree } from "../testing/memory-tree.ts";
import { type ComparisonOptions, TreeComparison, type TreeDifference } from "./tree-comparison.ts";

const scanOf = (tree: MemoryTree) => (request: { paths: readonly string[]; withListings: boolean }) =>
  tree.scan({ ...request, excludes: { patterns: [] } });

async function compared(source: MemoryTree, target: MemoryTree, more: Partial<ComparisonOptions> = {}) {
  const failures: string[] = [];
  const comparison = new TreeComparison({
    source: scanOf(source),
    target: scanOf(target),
    path: "",
    depth: "all",
    mode: "attributes",
    failed: ({ path, errno, doing }) => failures.push(`${path} ${errno} ${doing}`),
    ...more,
  });
  const differences: TreeDifference[] = [];
  for await (const some of comparison.differences()) differences.push(...some);
  const told = differences.map(({ kind, path }) => `${kind} ${path}`);
  return { told, differences, failures, progress: comparison.progress };
}

test("equal trees are compared by their digests alone, and nothing is told", async () => {
  const paths = { d: "/", "d/e": "/", "d/e/f": "x", g: "y" };
  const [source, target] = [new MemoryTree(paths), new MemoryTree(paths)];
  const { told, progress } = await compared(source, target);
  assert.deepEqual(told, []);
  assert.deepEqual(target.calls, ["scan ", "scan d", "scan d/e"]);
  assert.deepEqual(
    [progress.directories, progress.sourceEntries, progress.sourceBytes, progress.targetEntries],
    [3, 4, 2, 4],
  );
});

test("extended attributes are asked for where they are compared, not in what the target has nothing of", async () => {
  const source = new MemoryTree({ d: "/", "d/f": "x", new: "/", "new/below": "/", "new/below/f": "x" });
  const asked: string[] = [];
  const { told } = await compared(source, new MemoryTree({ d: "/", "d/f": "y" }), {
    source: (request) => {
      asked.push(`${request.paths.join(" ")}: ${request.withExtended ?? true}`);
      return scanOf(source)(request);
    },
  });
  assert.deepEqual(told, ["copy new", "copy new/below", "copy new/below/f"]);
  assert.deepEqual(asked, [": true", ": true", "d: true", "new: false", "new/below: false"]);
});

test("what differs is told by its name: content, attributes, what is missing and what is extra", async () => {
  const source = new MemoryTree({ same: "x", longer: "xx", touched: "x", fresh: "x", d: "/", "d/f": "x" });
  const target = new MemoryTree({
    same: "x",
    longer: "x",
    touched: "x",
    d: "/",
    "d/f": "y",
    old: "/",
    "old/f": "x",
  });
  source.nodes.get("touched")!.mode = 0o600;
  source.write("d/f", "x", 2);
  source.nodes.get("d")!.mode = 0o700;
  const { told } = await compared(source, target);
  assert.deepEqual(told.toSorted(), [
    "attributes d",
    "attributes touched",
    "copy d/f",
    "copy fresh",
    "copy longer",
    "extra old",
  ]);
});

test("a directory that the target has not is told before what stands in it", async () => {
  const source = new MemoryTree({ d: "/", "d/e": "/", "d/e/f": "x" });
  const { told } = await compared(source, new MemoryTree());
  assert.deepEqual(told, ["copy d", "copy d/e", "copy d/e/f"]);
});

test("the directory that is compared is told itself, if the target has it not or something else there", async () => {
  for (const target of [new MemoryTree(), new MemoryTree({ d: "a file" })]) {
    const { told } = await compared(new MemoryTree({ d: "/" }), target, { path: "d" });
    assert.deepEqual(told, ["copy d"]);
  }
});

test("what changed its kind is copied, with all that is in it", async () => {
  const source = new MemoryTree({ a: "/", "a/f": "x", b: "x" });
  const { told } = await compared(source, new MemoryTree({ a: "x", b: "/", "b/f": "x" }));
  assert.deepEqual(told.toSorted(), ["copy a", "copy a/f", "copy b"]);
});

test("a symbolic link with another target is copied", async () => {
  const [source, target] = [new MemoryTree(), new MemoryTree()];
  source.make("l", "symlink").target = "here";
  target.make("l", "symlink").target = "else";
  assert.deepEqual((await compared(source, target)).told, ["copy l"]);
});

test("the root's own attributes are compared too", async () => {
  const source = new MemoryTree();
  source.nodes.get("")!.mode = 0o700;
  assert.deepEqual((await compared(source, new MemoryTree())).told, ["attributes "]);
});

test("one level is one level, but for directories that the target has not", async () => {
  const source = new MemoryTree({ known: "/", "known/f": "x", fresh: "/", "fresh/e": "/", "fresh/e/f": "x" });
  const { told } = await compared(source, new MemoryTree({ known: "/" }), { depth: "one" });
  assert.deepEqual(told, ["copy fresh", "copy fresh/e", "copy fresh/e/f"]);
});

test("where attributes prove nothing every file is told", async () => {
  const paths = { d: "/", "d/f": "x", g: "x" };
  for (const mode of ["full", "incremental"] as const) {
    const { told } = await compared(new MemoryTree(paths), new MemoryTree(paths), { mode });
    assert.deepEqual(told.toSorted(), ["copy d/f", "copy g"]);
  }
});

test("each name of a file with several is told, with what the target has there", async () => {
  const source = new MemoryTree({ a: "x" });
  source.link("a", "b");
  const target = new MemoryTree({ a: "x" });
  const { differences } = await compared(source, target);
  const links = differences.flatMap((each) =>
    each.kind === "linked" ? [[each.path, each.target?.inode]] : [],
  );
  assert.deepEqual(links, [
    ["a", target.nodes.get("a")!.inode],
    ["b", undefined],
  ]);
});

test("what cannot be read on one side is told and left alone", async () => {
  const paths = { a: "/", "a/f": "x", b: "/", "b/f": "x" };
  const [source, target] = [
    new MemoryTree(paths),
    new MemoryTree({ a: "/", "a/extra": "x", b: "/", "b/extra": "x" }),
  ];
  source.unreadable.set("a", "EACCES");
  target.unreadable.set("b", "EIO");
  const { told, failures } = await compared(source, target);
  assert.deepEqual([told, failures.toSorted()], [[], ["a EACCES open", "b EIO open at the target"]]);
});

test("what goes away meanwhile is no failure", async () => {
  const source = new MemoryTree({ d: "/" });
  source.before = (_, path) => {
    if (path === "d") source.remove("d");
  };
  const { told, failures } = await compared(source, new MemoryTree({ d: "/" }));
  assert.deepEqual([told, failures], [[], []]);
});

test("at most four requests of 64 directories are under way, and a comparison that is cancelled ends", async () => {
  const paths = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`d${index}`, "/"]));
  const [source, target] = [new MemoryTree(paths), new MemoryTree(paths)];
  const abort = new AbortController();
  let running = 0;
  let most = 0;
  target.afterScan = async ({ paths: asked }) => {
    assert.ok(asked.length <= 64);
    most = Math.max(most, ++running);
    await Promise.resolve();
    running -= 1;
  };
  await compared(source, target);
  assert.ok(most <= 4);
  target.afterScan = () => abort.abort();
  await assert.rejects(compared(source, target, { signal: abort.signal }), { code: "CANCELLED" });
});
