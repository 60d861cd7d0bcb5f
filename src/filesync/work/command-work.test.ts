import assert from "node:assert/strict";
import test from "node:test";
import type { NewEntry } from "../queue/entry.ts";
import { connectTo, entryOf, workParts } from "../testing/local-target.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { CommandWork } from "./command-work.ts";

const described = ({ kind, path, existing }: NewEntry) => [kind, path, existing].filter(Boolean).join(" ");

async function bothEnds(source: MemoryTree, target: MemoryTree) {
  const parts = workParts(source);
  return { parts, connection: await connectTo(target), work: new CommandWork(parts) };
}

test("what is sent is what the source has when the command is processed, and what is gone is skipped", async () => {
  const [source, target] = [new MemoryTree({ d: "/", "d/f": "new" }), new MemoryTree()];
  const { parts, connection, work } = await bothEnds(source, target);
  const entries = [
    entryOf(parts, "create", "d"),
    entryOf(parts, "write", "d/f"),
    entryOf(parts, "write", "d/gone"),
  ];
  const result = await work.run(entries, connection);
  assert.deepEqual([result.done, result.append, result.failures], [entries, [], []]);
  assert.equal(target.text("d/f"), "new");
  assert.deepEqual(parts.dirty.take(9).toSorted(), ["", "d"]);
});

test("a removal is carried out only if nothing is there at the source", async () => {
  const [source, target] = [new MemoryTree({ a: "again" }), new MemoryTree({ a: "old", b: "old" })];
  const { parts, connection, work } = await bothEnds(source, target);
  await work.run([entryOf(parts, "remove", "a"), entryOf(parts, "remove", "b")], connection);
  assert.deepEqual(target.paths, ["a"]);
  assert.equal(parts.counters.removed, 1);
});

test("what the target has not, it need not remove", async () => {
  const { parts, connection, work } = await bothEnds(new MemoryTree(), new MemoryTree());
  const result = await work.run([entryOf(parts, "remove", "b")], connection);
  assert.deepEqual([result.append, result.failures, parts.counters.removed], [[], [], 0]);
});

test("a rename moves what the target has, and nothing is sent again when it is the same file", async () => {
  const [source, target] = [new MemoryTree({ b: "x" }), new MemoryTree({ a: "x" })];
  const { parts, connection, work } = await bothEnds(source, target);
  const result = await work.run([entryOf(parts, "rename", "b", { from: "a" })], connection);
  assert.deepEqual([target.paths, result.append], [["b"], []]);
});

test("after a rename a file that is otherwise, or was sent from another one, is sent again", async () => {
  const [source, target] = [new MemoryTree({ b: "longer", d: "x" }), new MemoryTree({ a: "x", c: "x" })];
  const { parts, connection, work } = await bothEnds(source, target);
  parts.sent.sent("c", { ...(await source.root()), inode: 12_345 }, 4e12);
  const entries = [
    entryOf(parts, "rename", "b", { from: "a" }),
    entryOf(parts, "rename", "d", { from: "c" }),
  ];
  const result = await work.run(entries, connection);
  assert.deepEqual(result.append.map(described), ["create b", "create d"]);
});

test("what the target cannot rename because it has it not is sent; a directory with all that is in it", async () => {
  const source = new MemoryTree({ b: "x", e: "/" });
  const { parts, connection, work } = await bothEnds(source, new MemoryTree());
  const directory = entryOf(parts, "rename", "e", { from: "d", isDirectory: true });
  const result = await work.run([entryOf(parts, "rename", "b", { from: "a" }), directory], connection);
  assert.deepEqual(result.append.map(described), ["create b", "create e", "repair e"]);
  assert.equal(parts.counters.followUps, 2);
});

test("a directory that could not be renamed, and has moved on, is sent where it is", async () => {
  const source = new MemoryTree({ e: "/", g: "/", "g/x": "x" });
  const { parts, connection, work } = await bothEnds(source, new MemoryTree());
  const moved = parts.nodes.at("g")!;
  const entry = entryOf(parts, "rename", "e", { from: "d", isDirectory: true, moved });
  const result = await work.run([entry], connection);
  assert.deepEqual(result.append.map(described), ["create e", "repair e", "create g", "repair g"]);
  moved.detach();
  assert.deepEqual((await work.run([entry], connection)).append.map(described), ["create e", "repair e"]);
  assert.ok(moved.hasMissed, "it is compared when it has arrived");
});

test("what the target cannot rename for another reason is sent under the new name and removed under the old", async () => {
  const [source, target] = [new MemoryTree({ b: "x" }), new MemoryTree({ a: "x" })];
  target.refuse.set("rename b", "EXDEV");
  const { parts, connection, work } = await bothEnds(source, target);
  const result = await work.run([entryOf(parts, "rename", "b", { from: "a" })], connection);
  assert.deepEqual([target.paths, result.append.map(described), result.failures], [[], ["create b"], []]);
});

test("what could not be renamed is removed where later renames took it", async () => {
  const [source, target] = [new MemoryTree({ b: "x", e: "/" }), new MemoryTree({ d: "/", "d/a": "x" })];
  target.refuse.set("rename b", "ENOTDIR");
  const { parts, connection, work } = await bothEnds(source, target);
  const moved = entryOf(parts, "rename", "e", { from: "d", isDirectory: true });
  await work.run([entryOf(parts, "rename", "b", { from: "d/a" }), moved], connection);
  assert.deepEqual(target.paths, ["e"]);
});

test("a renamed name that is gone at the source by now is removed", async () => {
  const [source, target] = [new MemoryTree(), new MemoryTree({ a: "x" })];
  const { parts, connection, work } = await bothEnds(source, target);
  const result = await work.run([entryOf(parts, "rename", "b", { from: "a" })], connection);
  assert.deepEqual(result.append.map(described), ["remove b"]);
});

test("a renamed directory that is gone at the source by now is left to what is told of it", async () => {
  const [source, target] = [new MemoryTree({ b: "/" }), new MemoryTree({ a: "/", "a/f": "x" })];
  const { parts, connection, work } = await bothEnds(source, target);
  const moved = parts.nodes.at("b")!;
  source.rename("b", "c");
  const entry = entryOf(parts, "rename", "b", { from: "a", isDirectory: true, moved });
  assert.deepEqual((await work.run([entry], connection)).append, [], "it may be back there by now");
  assert.deepEqual(target.paths, ["b", "b/f"]);
});

test("names of one file are linked, and to nothing that is another file by now", async () => {
  const source = new MemoryTree({ a: "x", other: "y" });
  source.link("a", "b");
  const target = new MemoryTree({ a: "x" });
  const { parts, connection, work } = await bothEnds(source, target);
  const entries = [
    entryOf(parts, "link", "b", { existing: "a" }),
    entryOf(parts, "link", "other", { existing: "a" }),
    entryOf(parts, "link", "gone", { existing: "a" }),
  ];
  const result = await work.run(entries, connection);
  assert.equal(target.nodes.get("b"), target.nodes.get("a"));
  assert.deepEqual(target.paths, ["a", "b"]);
  assert.deepEqual(result.append.map(described), ["create other"]);
});

test("when content of a file with several names was sent, its other names are looked for", async () => {
  const source = new MemoryTree({ a: "x", alone: "y" });
  source.link("a", "b");
  const { parts, connection, work } = await bothEnds(source, new MemoryTree());
  await work.run([entryOf(parts, "write", "alone")], connection);
  assert.equal(parts.linkSearch.isWanted, false);
  await work.run([entryOf(parts, "write", "a")], connection);
  assert.equal(parts.linkSearch.isWanted, true);
});

test("a target that has no hard links gets the content under each name, and is not asked for ever", async () => {
  const source = new MemoryTree({ a: "x" });
  source.link("a", "b");
  const target = new MemoryTree({ a: "x" });
  target.refuse.set("link b", "EPERM");
  const { parts, connection, work } = await bothEnds(source, target);
  const result = await work.run([entryOf(parts, "link", "b", { existing: "a" })], connection);
  assert.equal(target.text("b"), "x");
  assert.deepEqual([result.append, result.failures], [[], []]);
});

test("a directory that is otherwise at the target is compared, until that helps no more", async () => {
  const source = new MemoryTree({ d: "/", "d/f": "x" });
  const target = new MemoryTree();
  target.refuse.set("d/f", "ENOTDIR");
  const { parts, connection } = await bothEnds(source, target);
  let may: "now" | "never" = "now";
  const work = new CommandWork({ ...parts, mayRepair: () => may });
  const first = await work.run([entryOf(parts, "write", "d/f")], connection);
  assert.deepEqual([first.append.map(described), first.failures], [["repair d"], []]);
  may = "never";
  const second = await work.run([entryOf(parts, "write", "d/f")], connection);
  assert.deepEqual([second.append, second.failures.map(({ errno }) => errno)], [[], ["ENOTDIR"]]);
});

test("one file that fails is told, a target that is full or broken stops the work", async () => {
  const source = new MemoryTree({ a: "x", b: "y" });
  const target = new MemoryTree();
  const { parts, connection, work } = await bothEnds(source, target);
  target.refuse.set("a", "EACCES");
  source.unreadable.set("b", "EACCES");
  const entries = [entryOf(parts, "write", "a"), entryOf(parts, "write", "b")];
  const result = await work.run(entries, connection);
  assert.deepEqual(result.failures.map(({ path, errno }) => `${path} ${errno}`).toSorted(), [
    "a EACCES",
    "b EACCES",
  ]);
  source.unreadable.clear();
  for (const [errno, code] of [
    ["ENOSPC", "NO_SPACE"],
    ["EROFS", "READ_ONLY"],
    ["EIO", "IO_ERROR"],
  ]) {
    target.refuse.set("a", errno!);
    await assert.rejects(work.run(entries, connection), { code });
    await assert.rejects(
      work.run([entryOf(parts, "remove", "gone"), entryOf(parts, "rename", "a", { from: "c" })], connection),
      { code },
    );
  }
});

test("a name that is too long to be sent fails alone", async () => {
  const source = new MemoryTree({ a: "x" });
  const { parts, connection, work } = await bothEnds(source, new MemoryTree());
  const long = "n".repeat(300);
  const result = await work.run([entryOf(parts, "remove", long), entryOf(parts, "write", "a")], connection);
  assert.deepEqual(result.failures, [{ path: long, errno: "ENAMETOOLONG", doing: "remove" }]);
});

test("attributes alone go without content", async () => {
  const source = new MemoryTree({ a: "new" });
  source.nodes.get("a")!.mode = 0o600;
  const target = new MemoryTree({ a: "old" });
  const { parts, connection, work } = await bothEnds(source, target);
  await work.run([entryOf(parts, "attribute", "a")], connection);
  assert.deepEqual([target.text("a"), target.nodes.get("a")!.mode], ["old", 0o600]);
});

test("attributes of a file that was written meanwhile, or by another name, come with its content", async () => {
  const [source, target] = [new MemoryTree({ f: "new", g: "x" }), new MemoryTree({ f: "old!", g: "x" })];
  source.nodes.get("g")!.mode = 0o600;
  const { parts, connection, work } = await bothEnds(source, target);
  const result = await work.run(
    [entryOf(parts, "attribute", "f"), entryOf(parts, "attribute", "g")],
    connection,
  );
  assert.deepEqual([result.append, result.failures], [[], []]);
  assert.deepEqual(
    [target.text("f"), target.nodes.get("g")!.mode, parts.counters.copiedFiles],
    ["new", 0o600, 1],
  );
});

test("a renamed file that has other names at the source, and none at the target, has them looked for", async () => {
  const [source, target] = [new MemoryTree({ b: "x", d: "y" }), new MemoryTree({ a: "x", c: "y" })];
  const { parts, connection, work } = await bothEnds(source, target);
  await work.run([entryOf(parts, "rename", "d", { from: "c" })], connection);
  assert.equal(parts.linkSearch.isWanted, false);
  source.link("b", "other");
  await work.run([entryOf(parts, "rename", "b", { from: "a" })], connection);
  assert.equal(parts.linkSearch.isWanted, true);
});

test("what was written by a name whose directory is gone is sent under the file's other names", async () => {
  const source = new MemoryTree({ d: "/", "d/a": "x" });
  source.link("d/a", "b");
  const { parts, connection, work } = await bothEnds(source, new MemoryTree({ d: "/", "d/a": "x", b: "x" }));
  const place = { directory: parts.nodes.at("d")!, name: "a" };
  for (const each of [place, { directory: parts.nodes.root, name: "b" }])
    parts.links.seen((await source.stat(["b"]))[0]!, each);
  const entry = entryOf(parts, "write", "d/a", { place });
  place.directory.detach();
  const result = await work.run([entry], connection);
  assert.deepEqual(result.append.map(described), ["write b"]);
});

test("what was written to a file of which another one took the name is sent under its other names", async () => {
  // The first one that is known is another file's by now, too.
  const source = new MemoryTree({ a: "new", other: "other", b: "written" });
  const { parts, connection, work } = await bothEnds(source, new MemoryTree({ a: "x", b: "x" }));
  const [old] = await source.stat(["b"]);
  const place = { directory: parts.nodes.root, name: "a" };
  for (const name of ["other", "a", "gone", "b"]) parts.links.seen({ ...old!, links: 2 }, { ...place, name });
  const result = await work.run([entryOf(parts, "write", "a")], connection);
  assert.deepEqual(result.append.map(described), ["write b"]);
  for (const name of ["a", "b"])
    assert.deepEqual((await work.run([entryOf(parts, "write", name)], connection)).append, []);
});
