import assert from "node:assert/strict";
import test from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { DirectoryNode } from "../capture/directory-node.ts";
import { TestQueue, type TestQueueOptions } from "./testing/test-queue.ts";

const testQueue = (options: Omit<TestQueueOptions, "clock"> = {}) =>
  new TestQueue({ clock: new SteppedClock(), ...options });

test("waiting entries of one path are joined, and the stronger kind stays", () => {
  const queue = testQueue();
  const first = queue.append("attribute", "a");
  queue.append("write", "b");
  assert.equal(queue.append("write", "a"), first);
  assert.equal(queue.append("attribute", "a"), first);
  assert.equal(first.kind, "write");
  assert.equal([...queue.queue.entries()].length, 2);
});

test("an entry that is claimed takes nothing in", () => {
  const queue = testQueue();
  const first = queue.append("write", "a");
  queue.claims(0, first);
  assert.notEqual(queue.append("write", "a"), first);
});

test("nothing is joined over a command that touches the path", () => {
  const queue = testQueue();
  const first = queue.append("write", "a");
  queue.append("rename", "b", { from: "a" });
  const second = queue.append("write", "a");
  assert.notEqual(second, first);
  const other = queue.append("write", "b");
  queue.append("rename", "b", { from: "c" });
  assert.notEqual(queue.append("write", "b"), other);
  queue.append("remove", "a");
  assert.notEqual(queue.append("create", "a"), second);
});

test("a repair is not joined to one before a rename: that one sees what is yet to be moved", () => {
  const queue = testQueue();
  const first = queue.append("repair", "d", { isDirectory: true });
  assert.equal(queue.append("repair", "d", { isDirectory: true, depth: "all" }), first);
  queue.append("rename", "d", { from: "e/f", isDirectory: false });
  assert.notEqual(queue.append("repair", "d", { isDirectory: true, depth: "all" }), first);
});

test("it is known when the renames of directories that were appended are done", async () => {
  const queue = testQueue();
  queue.append("rename", "b", { from: "a", isDirectory: false });
  assert.equal(queue.queue.hasRenames, false);
  await queue.queue.renamed();
  queue.append("rename", "d", { from: "c", isDirectory: true });
  let isDone = false;
  const renamed = queue.queue.renamed().then(() => (isDone = true));
  await Promise.resolve();
  assert.deepEqual([queue.queue.hasRenames, isDone], [true, false]);
  queue.done(queue.claim(0)!);
  await renamed;
  assert.equal(queue.queue.hasRenames, false);
});

test("it is known whether directories are still to be compared", () => {
  const queue = testQueue();
  assert.equal(queue.queue.hasRepairs, false);
  queue.append("repair", "d", { isDirectory: true });
  assert.equal(queue.queue.hasRepairs, true);
  queue.done(queue.claim(0)!);
  assert.equal(queue.queue.hasRepairs, false);
});

test("a directory's rename ends joining below it", () => {
  const queue = testQueue();
  const first = queue.append("write", "d/a");
  queue.append("rename", "e", { from: "d", isDirectory: true });
  assert.notEqual(queue.append("write", "d/a"), first);
});

test("entries of one path in two directories, of which one came after the other, are not joined", () => {
  const queue = testQueue();
  const place = (directory: DirectoryNode) => ({ place: { directory, name: "a" } });
  const [before, after] = [new DirectoryNode("d"), new DirectoryNode("d")];
  const first = queue.append("write", "d/a", place(before));
  assert.notEqual(queue.append("write", "d/a", place(after)), first);
});

test("live entries beyond the limit become directories that are compared once there is room", () => {
  const queue = testQueue({ settings: { entriesMax: 8 } });
  const node = new DirectoryNode();
  queue.nodes.root.attach(node, "d");
  const place = (name: string) => ({ place: { directory: node, name } });
  for (let at = 0; at < 8; at++) queue.append("write", `f${at}`);
  for (let at = 0; at < 1000; at++) {
    const entry = { kind: "write", path: `d/${at}`, isDirectory: false, ...place(String(at)) } as const;
    assert.equal(queue.queue.append(entry), undefined);
  }
  assert.equal([...queue.queue.entries()].length, 8);
  assert.equal(queue.queue.figures.rescansWaiting, 1);
  queue.done(queue.claim(0)!);
  const repair = queue.claim(0)!.entries[0]!;
  assert.deepEqual(
    { kind: repair.kind, path: repair.path, depth: repair.depth },
    { kind: "repair", path: "d", depth: "one" },
  );
});

test("a renamed directory that has no room is compared with all below it, and where it was", () => {
  const queue = testQueue({ settings: { entriesMax: 4 } });
  const [from, to, moved] = [new DirectoryNode(), new DirectoryNode(), new DirectoryNode()];
  queue.nodes.root.attach(from, "from");
  queue.nodes.root.attach(to, "to");
  to.attach(moved, "x");
  for (let at = 0; at < 4; at++) queue.append("write", `f${at}`);
  queue.queue.append({
    kind: "rename",
    place: { directory: to, name: "x" },
    from: "from/x",
    path: "to/x",
    isDirectory: true,
  });
  queue.done(queue.claim(0)!);
  const repairs = [...queue.queue.entries()].map(({ path, depth }) => `${path} ${depth}`);
  while (queue.queue.figures.rescansWaiting > 0 || repairs.length < 3) {
    queue.done(queue.claim(0)!);
    repairs.push(...[...queue.queue.entries()].map(({ path, depth }) => `${path} ${depth}`));
  }
  assert.deepEqual([...new Set(repairs)].sort(), ["from one", "to one", "to/x all"]);
});

test("what is compared for a rename that had no room comes behind what stands in the queue already", () => {
  const queue = testQueue({ settings: { entriesMax: 4 } });
  const directory = new DirectoryNode();
  queue.nodes.root.attach(directory, "d");
  for (const name of ["f0", "f1"]) queue.append("write", name);
  const early = queue.append("repair", "d", { place: { directory, name: "" } });
  const late = queue.append("create", "d/x/inner");
  const place = { directory, name: "y" };
  const rename = { kind: "rename", place, from: "d/x", path: "d/y", isDirectory: true } as const;
  assert.equal(queue.queue.append(rename), undefined);
  queue.done(queue.claim(0)!);
  const entries = [...queue.queue.entries()];
  assert.deepEqual(entries.slice(0, 2), [early, late]);
  assert.equal(entries[2]?.kind, "repair");
  assert.equal(entries[2]?.path, "d");
});

test("too many directories become the whole tree", () => {
  const queue = testQueue({ settings: { entriesMax: 4, rescansMax: 10 } });
  for (let at = 0; at < 4; at++) queue.append("write", `f${at}`);
  for (let at = 0; at < 20; at++) {
    const directory = new DirectoryNode();
    queue.nodes.root.attach(directory, `d${at}`);
    queue.queue.append({ kind: "write", place: { directory, name: "x" }, path: `d${at}/x` });
  }
  queue.done(queue.claim(0)!);
  const repair = queue.claim(0)!.entries[0]!;
  assert.deepEqual(
    { kind: repair.kind, path: repair.path, depth: repair.depth },
    { kind: "repair", path: "", depth: "all" },
  );
});

test("a mark is reached after the whole tree was compared, when too much of it was to be", async () => {
  const queue = testQueue({ settings: { entriesMax: 4, rescansMax: 1 } });
  for (let at = 0; at < 4; at++) queue.append("write", `f${at}`);
  for (const name of ["d", "e", "f"]) {
    const directory = new DirectoryNode();
    queue.nodes.root.attach(directory, name);
    queue.queue.append({ kind: "write", place: { directory, name: "x" }, path: `${name}/x` });
  }
  const mark = queue.queue.mark(1);
  const kinds: string[] = [];
  for (let claim = queue.claim(0); claim !== undefined; claim = queue.claim(0)) {
    kinds.push(...claim.entries.map(({ kind, depth }) => (kind === "repair" ? `${kind} ${depth}` : kind)));
    queue.done(claim);
  }
  assert.deepEqual(kinds.slice(4), ["repair all", "mark"]);
  await mark;
});

test("a mark is reached after what must be compared again when it was made", async () => {
  const queue = testQueue({ settings: { entriesMax: 4 } });
  for (let at = 0; at < 4; at++) queue.append("write", `f${at}`);
  queue.queue.append({ kind: "write", place: { directory: queue.nodes.root, name: "x" }, path: "x" });
  let isReached = false;
  const mark = queue.queue.mark(7).then(() => {
    isReached = true;
  });
  const kinds: string[] = [];
  while (!queue.queue.isEmpty) {
    await queue.clock.step(1);
    assert.equal(isReached, false);
    const claim = queue.claim(0)!;
    kinds.push(...claim.entries.map(({ kind }) => kind));
    queue.done(claim);
  }
  await mark;
  assert.deepEqual(kinds, ["write", "write", "write", "write", "repair", "mark"]);
});

test("a bulk waits for room while what it has queued takes longer than live commands may wait", async () => {
  const queue = testQueue({ settings: { bulkAheadMs: 150, copyRunEntriesMax: 1 } });
  const copyOne = async () => {
    const claim = queue.claim(1)!;
    await queue.clock.step(100);
    queue.done(claim);
    await queue.clock.step(0);
  };
  queue.copies("a", "b");
  await copyOne();
  await copyOne();
  queue.copies("c", "d", "e", "f", "g", "h");
  let hasRoom = false;
  const room = queue.queue.room().then(() => {
    hasRoom = true;
  });
  await copyOne();
  assert.equal(hasRoom, false, "five entries are 500 ms");
  while (!hasRoom) await copyOne();
  await room;
  assert.equal(queue.queue.figures.bulkEntries, 3, "two entries for each thread may always wait");
});

test("copies that are claimed leave room for others, but not for more claims once they take as long as a bulk may be ahead", async () => {
  const settings = { bulkAheadMs: 150, copyRunEntriesMax: 1, copyRunsMax: 100 };
  const queue = testQueue({ threads: 1, settings });
  queue.copies("first");
  const first = queue.claim(0)!;
  await queue.clock.step(100);
  queue.done(first);
  queue.copies("a", "b", "c", "d");
  // Each takes 100 ms, as far as is known.
  const claims = [queue.claim(0)!, queue.claim(0)!];
  queue.waits(0);
  queue.done(claims[0]!);
  assert.ok(queue.claim(0) !== undefined);
});

test("a bulk has at most its half of the queue, however fast it is copied", async () => {
  const queue = testQueue({ settings: { entriesMax: 1024, bulkAheadMs: 1e9 } });
  queue.copies("first", "second");
  const claim = queue.claim(1)!;
  await queue.clock.step(1);
  queue.done(claim);
  let appended = 0;
  let isWaiting = false;
  while (!isWaiting) {
    isWaiting = true;
    void queue.queue.room().then(() => {
      isWaiting = false;
    });
    await queue.clock.step(0);
    if (!isWaiting) queue.copies(`f${appended++}`);
  }
  assert.equal(queue.queue.figures.bulkEntries, 512);
});

test("the lag is counted from the oldest live entry that is not done", async () => {
  const queue = testQueue();
  queue.copies("bulk");
  await queue.clock.step(1000);
  queue.append("write", "a", { sizeBytes: 5 });
  await queue.clock.step(2000);
  queue.append("write", "b", { sizeBytes: 7 });
  await queue.clock.step(500);
  assert.deepEqual(queue.queue.figures.lag, { entries: 2, bytes: 12, seconds: 2.5 });
  queue.done(queue.claim(0)!);
  queue.done(queue.claim(0)!);
  assert.deepEqual(queue.queue.figures.lag, { entries: 0, bytes: 0, seconds: 0 });
});

test("who waits for room, a mark or an entry hears that the queue was closed", async () => {
  const queue = testQueue({ settings: { entriesMax: 4 } });
  const [copy] = queue.copies("a", "b", "c", "d");
  const waiting = [queue.queue.room(), queue.queue.mark(1), queue.queue.whenDone(copy!)];
  queue.queue.close();
  for (const promise of waiting) await assert.rejects(promise, { code: "SHUTTING_DOWN" });
});

test("the observer hears of what was appended, had no room, was done, and that all is done", () => {
  const told: string[] = [];
  const queue = testQueue({
    settings: { entriesMax: 1 },
    observer: {
      appended: ({ kind }) => told.push(`appended ${kind}`),
      done: ({ kind }) => told.push(`done ${kind}`),
      collapsed: (directory) => told.push(`collapsed ${directory?.path}`),
      emptied: () => told.push("emptied"),
    },
  });
  queue.append("write", "a");
  queue.queue.append({ kind: "write", place: { directory: queue.nodes.root, name: "b" }, path: "b" });
  for (let claim = queue.claim(0); claim !== undefined; claim = queue.claim(0)) queue.done(claim);
  assert.deepEqual(told, [
    "appended write",
    "collapsed ",
    "done write",
    "appended repair",
    "done repair",
    "emptied",
  ]);
});
