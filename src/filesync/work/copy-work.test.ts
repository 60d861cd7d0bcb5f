import assert from "node:assert/strict";
import test from "node:test";
import { RopewalkError } from "../../base/errors.ts";
import { connectTo, entryOf, workParts } from "../testing/local-target.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { CopyWork } from "./copy-work.ts";
import { sendPaths } from "./send-paths.ts";

const never = { mustEnd: () => false };

test("every item comes back once: sent, large, absent, or failed at the side that could not", async () => {
  const source = new MemoryTree({ a: "x", big: "y".repeat(2 ** 20 + 1), secret: "z", full: "x" });
  source.unreadable.set("secret", "EACCES");
  const target = new MemoryTree();
  target.refuse.set("full", "EACCES");
  for (const order of ["kept", "any"] as const) {
    const result = await sendPaths({
      source,
      connection: await connectTo(target),
      items: ["gone", "a", "secret", "big", "full"],
      pathOf: (path) => ({ source: path, target: path }),
      what: "content",
      order,
    });
    assert.deepEqual(
      result.sent.map(({ item }) => item),
      ["a"],
    );
    assert.deepEqual(
      result.large.map(({ item }) => item),
      ["big"],
    );
    assert.deepEqual(result.absent, ["gone"]);
    assert.deepEqual(
      result.failed.map(({ item, side }) => `${item} ${side}`),
      ["secret source", "full target"],
    );
  }
});

test("a path that is asked for twice and vanishes in between shifts no other's result", async () => {
  const source = new MemoryTree({ a: "x", b: "y" });
  let packs = 0;
  source.before = (call, path) => {
    if (call === "pack" && path === "a" && packs++ === 1) source.remove("a");
  };
  const target = new MemoryTree();
  target.refuse.set("b", "EACCES");
  const result = await sendPaths({
    source,
    connection: await connectTo(target),
    items: ["1", "2", "3"],
    pathOf: (item) => ({ source: item === "3" ? "b" : "a", target: item === "3" ? "b" : "a" }),
    what: "content",
    order: "kept",
  });
  assert.deepEqual(
    result.sent.map(({ item }) => item),
    ["1"],
  );
  assert.deepEqual(
    result.failed.map(({ item }) => item),
    ["3"],
  );
});

test("many paths go in bundles of 64, in their order where it is to be kept", async () => {
  const names = Array.from({ length: 130 }, (_, index) => `f${String(index).padStart(3, "0")}`);
  const source = new MemoryTree(Object.fromEntries(names.map((name) => [name, name])));
  const target = new MemoryTree();
  await sendPaths({
    source,
    connection: await connectTo(target),
    items: names,
    pathOf: (path) => ({ source: path, target: path }),
    what: "content",
    order: "kept",
  });
  assert.deepEqual(
    target.applied.map((operation) => "path" in operation && operation.path),
    names,
  );
  assert.equal(target.calls.filter((call) => call.startsWith("apply")).length, 3);
});

test("of an incremental copy a file that has the same content is not sent, a full one sends it", async () => {
  const [source, target] = [
    new MemoryTree({ a: "same", b: "here" }),
    new MemoryTree({ a: "same", b: "othr" }),
  ];
  const parts = workParts(source);
  const connection = await connectTo(target);
  const work = new CopyWork(parts);
  const entries = ["a", "b"].map((path) => entryOf(parts, "sync-copy", path));
  const result = await work.run(entries, connection, never);
  assert.deepEqual(
    [...result.done].sort((one, other) => one.number - other.number),
    entries,
  );
  assert.deepEqual(
    target.applied.map((operation) => "path" in operation && operation.path),
    ["b"],
  );
  await work.run([entryOf(parts, "sync-copy", "a", { mode: "full" })], connection, never);
  assert.equal(target.applied.length, 2);
});

test("of many files that are compared few are open at a time", async () => {
  const names = Array.from({ length: 200 }, (_, index) => `f${index}`);
  const files = Object.fromEntries(names.map((name) => [name, "x"]));
  const [source, target] = [new MemoryTree(files), new MemoryTree(files)];
  const parts = workParts(source);
  let most = 0;
  target.before = () => void (most = Math.max(most, source.openFiles));
  const entries = names.map((name) => entryOf(parts, "sync-copy", name));
  await new CopyWork(parts).run(entries, await connectTo(target, "sync"), never);
  assert.ok(most > 1 && most <= 32, `${most} were open`);
});

test("when one of several bundles finds the target full, the work stops", async () => {
  const source = new MemoryTree(
    Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`f${index}`, "x"])),
  );
  const target = new MemoryTree();
  target.refuse.set("f150", "ENOSPC");
  const parts = workParts(source);
  const entries = source.paths.map((path) => entryOf(parts, "sync-copy", path, { mode: "full" }));
  const connection = await connectTo(target, "sync");
  await assert.rejects(
    new CopyWork(parts).run(entries, connection, never),
    (error: unknown) => error instanceof RopewalkError && error.code === "NO_SPACE",
  );
});
