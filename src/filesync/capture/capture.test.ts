import assert from "node:assert/strict";
import test from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { TreeEvent } from "../../ports/mod.ts";
import { compileExcludes, excludeTest } from "../exclude-rules.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { Capture } from "./capture.ts";
import type { Change } from "./change.ts";

class Captured {
  readonly clock = new SteppedClock();
  readonly tree: MemoryTree;
  readonly capture: Capture;
  readonly changes: Change[] = [];
  readonly failures: string[] = [];
  readonly lost: string[] = [];

  constructor(paths: Readonly<Record<string, string>>, patterns: readonly string[] = []) {
    this.tree = new MemoryTree(paths);
    const excludes = compileExcludes(patterns);
    this.capture = new Capture({
      tree: this.tree,
      clock: this.clock,
      excludes,
      isExcluded: excludeTest(excludes),
      listener: {
        changed: (change) => this.changes.push(change),
        failed: ({ path, errno }) => this.failures.push(`${path} ${errno}`),
        lost: ({ code }) => this.lost.push(code),
      },
    });
  }

  /** What was told since the last call. */
  told(): string[] {
    return this.changes.splice(0).map((change) => {
      if (change.kind === "rename") return `rename ${change.from} ${change.path}`;
      return change.kind === "repair"
        ? `repair ${change.path} ${change.depth}`
        : `${change.kind} ${change.path}`;
    });
  }

  /** These were told in this order, whatever else was looked at besides. */
  inOrder(...expected: readonly string[]): void {
    const told = this.told();
    assert.deepEqual(
      told.filter((each) => expected.includes(each)),
      expected,
      told.join(", "),
    );
  }

  /** Lets what was begun settle, and half renames wait in vain. */
  async pass(elapsedMs = 0): Promise<void> {
    for (let turns = 0; turns < 5; turns += 1) await this.clock.step(0);
    await this.clock.step(elapsedMs);
    await this.clock.step(0);
  }

  /** The halves of a rename that happened to the tree already. */
  half(kind: "movedFrom" | "movedTo", path: string, isDirectory = false, cookie = 1): void {
    this.tree.happened(kind, path, { cookie, isDirectory });
  }

  isWatched(path: string): boolean {
    const watch = this.tree.watchOf(path);
    return watch !== undefined && this.capture.nodes.ofWatch(watch)?.path === path;
  }
}

async function begun(
  paths: Readonly<Record<string, string>>,
  patterns?: readonly string[],
): Promise<Captured> {
  const captured = new Captured(paths, patterns);
  await captured.capture.begin();
  return captured;
}

test("what happens to a name is told with its path", async () => {
  const captured = await begun({ d: "/", "d/f": "x" });
  for (const kind of ["created", "written", "closed", "attributes", "deleted"] as const)
    captured.tree.happened(kind, "d/f");
  captured.tree.emit({ kind: "attributes", watch: captured.tree.watchOf("")! });
  assert.deepEqual(captured.told(), [
    "create d/f",
    "write d/f",
    "write d/f",
    "attribute d/f",
    "remove d/f",
    "attribute ",
  ]);
});

test("a rename is told as one, whichever half comes first", async () => {
  for (const order of [
    ["movedFrom", "movedTo"],
    ["movedTo", "movedFrom"],
  ] as const) {
    const captured = await begun({ a: "/", b: "/", "a/f": "x" });
    for (const kind of order) captured.half(kind, kind === "movedFrom" ? "a/f" : "b/g");
    assert.deepEqual(captured.told(), ["rename a/f b/g"]);
    await captured.pass(100);
    assert.deepEqual(captured.told(), []);
  }
});

test("a directory keeps its watch through a rename, and what happens in it then has the new path", async () => {
  const captured = await begun({ a: "/", "a/d": "/", b: "/" });
  captured.half("movedTo", "b/e", true);
  captured.half("movedFrom", "a/d", true);
  captured.tree.rename("a/d", "b/e");
  captured.tree.happened("created", "b/e/f");
  assert.deepEqual(captured.told(), ["rename a/d b/e", "create b/e/f"]);
});

test("half a rename that stays alone for 50 ms is a removal or an arrival", async () => {
  const captured = await begun({ f: "x", g: "y" });
  captured.half("movedFrom", "f", false, 1);
  captured.half("movedTo", "g", false, 2);
  await captured.pass(49);
  assert.deepEqual(captured.told(), []);
  await captured.pass(1);
  assert.deepEqual(captured.told(), ["remove f", "create g"]);
});

test("half a rename is not given up before all events were read", async () => {
  const captured = await begun({ f: "x", g: "y" });
  const drained = new Deferred();
  captured.tree.drained = () => drained.promise;
  captured.half("movedFrom", "f");
  await captured.pass(200);
  assert.deepEqual(captured.told(), []);
  captured.half("movedTo", "g");
  drained.resolve();
  await captured.pass(100);
  assert.deepEqual(captured.told(), ["rename f g"]);
});

test("a directory that leaves the tree is forgotten with all below, and its watches are given back", async () => {
  const captured = await begun({ d: "/", "d/e": "/" });
  const watches = ["d", "d/e"].map((path) => captured.tree.watchOf(path)!);
  captured.half("movedFrom", "d", true);
  await captured.pass(100);
  assert.deepEqual(captured.told(), ["remove d"]);
  assert.deepEqual(captured.tree.unwatched, watches);
  assert.equal(captured.capture.nodes.watches, 1);
});

test("a directory that comes from elsewhere is told, and compared when all in it is watched", async () => {
  const captured = await begun({});
  captured.tree.make("d", "directory");
  captured.tree.make("d/e", "directory");
  captured.half("movedTo", "d", true);
  await captured.pass(100);
  assert.deepEqual(captured.told().slice(0, 2), ["create d", "repair d all"]);
  assert.ok(captured.isWatched("d/e"));
});

test("what happens in a directory between two places is found by comparing it when it has arrived", async () => {
  const captured = await begun({ a: "/", "a/d": "/", b: "/" });
  captured.half("movedFrom", "a/d", true);
  captured.tree.happened("created", "a/d/f");
  captured.tree.rename("a/d", "b/d");
  captured.half("movedTo", "b/d", true);
  await captured.pass();
  captured.inOrder("rename a/d b/d", "repair b/d one");
});

test("what moves into a directory between two places is removed from where it was, and found there", async () => {
  const captured = await begun({ a: "/", "a/d": "/", b: "/", f: "x" });
  captured.half("movedFrom", "a/d", true, 1);
  captured.half("movedFrom", "f", false, 2);
  captured.half("movedTo", "a/d/f", false, 2);
  captured.tree.rename("a/d", "b/d");
  captured.half("movedTo", "b/d", true, 1);
  await captured.pass(100);
  captured.inOrder("rename a/d b/d", "repair b/d one", "remove f");
});

test("a directory that was not yet looked at when it was renamed is watched and compared under its new name", async () => {
  const captured = await begun({});
  captured.tree.make("d", "directory");
  captured.tree.before = () => {
    captured.tree.before = () => undefined;
    captured.tree.rename("d", "e");
  };
  captured.tree.happened("created", "d", { isDirectory: true });
  await captured.pass();
  captured.half("movedFrom", "d", true);
  captured.half("movedTo", "e", true);
  await captured.pass();
  assert.ok(captured.isWatched("e"));
  captured.inOrder("rename d e", "repair e all");
});

test("a directory that was away when everything was to be compared is compared when it has arrived", async () => {
  const captured = await begun({ a: "/", "a/d": "/", "a/d/x": "/", b: "/" });
  captured.half("movedFrom", "a/d", true);
  captured.tree.emit({ kind: "several", watch: captured.tree.watchOf("a/d/x")! });
  captured.tree.rename("a/d", "b/d");
  captured.half("movedTo", "b/d", true);
  await captured.pass();
  captured.inOrder("rename a/d b/d", "repair b/d/x one");
});

test("a watch that is gone while its directory is away is set again when it has arrived", async () => {
  const captured = await begun({ a: "/", "a/d": "/", b: "/" });
  captured.half("movedFrom", "a/d", true);
  captured.tree.emit({ kind: "watchGone", watch: captured.tree.watchOf("a/d")! });
  captured.tree.forgetWatch("a/d");
  captured.tree.rename("a/d", "b/d");
  captured.half("movedTo", "b/d", true);
  await captured.pass();
  assert.ok(captured.isWatched("b/d"));
  assert.match(captured.told().at(-1)!, /^repair b\/d/);
});

test("events of a directory that come before the scan that watches it is told wait for that", async () => {
  const captured = await begun({});
  const scanned = new Deferred();
  captured.tree.afterScan = () => scanned.promise;
  captured.tree.make("d", "directory");
  captured.tree.happened("created", "d", { isDirectory: true });
  await captured.pass();
  captured.tree.happened("created", "d/f");
  assert.deepEqual(captured.told(), ["create d"]);
  scanned.resolve();
  await captured.pass();
  assert.deepEqual(captured.told().toSorted(), ["create d/f", "repair d all"]);
});

test("a directory that came while its parent was read again is not lost", async () => {
  const captured = await begun({ d: "/" });
  const scanned = new Deferred();
  captured.tree.afterScan = () => scanned.promise;
  captured.tree.emit({ kind: "several", watch: captured.tree.watchOf("d")! });
  await captured.pass();
  captured.tree.make("d/new", "directory");
  captured.tree.happened("created", "d/new", { isDirectory: true });
  scanned.resolve();
  await captured.pass();
  assert.ok(captured.isWatched("d/new"), "its watch is not given back");
  assert.ok(captured.told().includes("repair d/new all"));
});

test("a watch that is taken away by others is set again, and its directory compared", async () => {
  const captured = await begun({ d: "/" });
  captured.tree.emit({ kind: "watchGone", watch: captured.tree.watchOf("d")! });
  captured.tree.forgetWatch("d");
  await captured.pass();
  assert.ok(captured.isWatched("d"));
  assert.deepEqual(captured.told(), ["repair d one"]);
});

test("another directory under a known name is compared with everything in it", async () => {
  const captured = await begun({ d: "/", "d/e": "/" });
  captured.tree.remove("d/e");
  captured.tree.make("d/e", "directory");
  captured.tree.make("d/e/x", "directory");
  captured.tree.emit({ kind: "several", watch: captured.tree.watchOf("d")! });
  await captured.pass();
  assert.deepEqual(captured.told().toSorted(), ["repair d one", "repair d/e all"]);
  assert.ok(captured.isWatched("d/e/x"));
});

test("after an overflow everything is looked at again, and halves of renames stay alone", async () => {
  const captured = await begun({ d: "/", "d/f": "x" });
  captured.half("movedFrom", "d/f");
  captured.tree.make("d/new", "directory");
  captured.tree.emit({ kind: "overflow", group: 0 });
  await captured.pass();
  assert.deepEqual(captured.told(), ["remove d/f", "repair  all"]);
  assert.ok(captured.isWatched("d/new"));
  assert.equal(captured.capture.overflows, 1);
});

test("what is passed over tells nothing, and half a rename of it leaves the other half alone", async () => {
  const captured = await begun({ f: "x", "f.tmp": "y" }, ["*.tmp"]);
  captured.tree.happened("written", "f.tmp");
  captured.half("movedFrom", "f.tmp", false, 1);
  captured.half("movedTo", "g", false, 1);
  captured.half("movedFrom", "f", false, 2);
  captured.half("movedTo", "g.tmp", false, 2);
  await captured.pass(100);
  assert.deepEqual(captured.told(), ["remove f", "create g"]);
});

test("when the root goes it is told once, and nothing afterwards", async () => {
  for (const kind of ["deletedSelf", "movedSelf", "unmounted", "watchGone"] as TreeEvent["kind"][]) {
    const captured = await begun({ f: "x" });
    const root = captured.tree.watchOf("")!;
    captured.tree.emit({ kind, watch: root }, { kind: "deleted", watch: root, name: "f" });
    captured.tree.happened("deleted", "f");
    assert.deepEqual([captured.lost, captured.told()], [["SOURCE_MISSING"], []], kind);
  }
});

test("a tree that cannot be watched rejects, one that cannot be read is lost", async () => {
  const unwatched = new Captured({});
  unwatched.tree.before = () => {
    throw new RopewalkError("WATCH_LIMIT", "no more");
  };
  await assert.rejects(unwatched.capture.begin(), { code: "WATCH_LIMIT" });
  assert.deepEqual(unwatched.lost, []);
  const unread = new Captured({ d: "/" });
  unread.tree.before = (call, path) => {
    if (call === "walk" && path === "d") throw new RopewalkError("WATCH_LIMIT", "no more");
  };
  await unread.capture.begin();
  assert.deepEqual(unread.lost, ["WATCH_LIMIT"]);
});

test("a directory that cannot be read is told, and the others are watched", async () => {
  const captured = new Captured({ a: "/", b: "/" });
  captured.tree.unreadable.set("a", "EACCES");
  await captured.capture.begin();
  assert.deepEqual(captured.failures, ["a EACCES"]);
  assert.ok(captured.isWatched("b"));
});

test("a directory that could not be read is compared when its attributes change, and watched from then on", async () => {
  const captured = new Captured({ a: "/" });
  captured.tree.unreadable.set("a", "EACCES");
  await captured.capture.begin();
  captured.tree.happened("attributes", "a", { isDirectory: true });
  await captured.pass();
  assert.deepEqual(captured.failures, ["a EACCES", "a EACCES"]);
  captured.told();
  captured.tree.unreadable.clear();
  captured.tree.happened("attributes", "a", { isDirectory: true });
  await captured.pass();
  assert.deepEqual(captured.told(), ["attribute a", "repair a all"]);
  assert.ok(captured.isWatched("a"));
});

test("all that happened before the call is told when it is drained", async () => {
  const captured = await begun({ f: "x" });
  captured.tree.drained = async () => {
    captured.tree.drained = () => Promise.resolve();
    captured.tree.make("d", "directory");
    captured.tree.happened("created", "d", { isDirectory: true });
    captured.half("movedFrom", "f");
  };
  const drained = captured.capture.drained();
  await captured.pass(200);
  await drained;
  assert.deepEqual(captured.told(), ["create d", "repair d all", "remove f"]);
});

test("after the end nothing is told, and no timer acts any more", async () => {
  const captured = await begun({ f: "x" });
  captured.half("movedFrom", "f");
  captured.tree.drained = () => Promise.reject(new RopewalkError("SHUTTING_DOWN", "closed"));
  await captured.capture.close();
  await captured.pass(200);
  assert.deepEqual([captured.told(), captured.lost], [[], []]);
  assert.equal(captured.clock.pending, 0);
});

test("a rename whose old directory was renamed between its halves leaves that where it is called now", async () => {
  const captured = await begun({ a: "/", "a/f": "x", b: "/" });
  captured.half("movedFrom", "a/f", false, 1);
  captured.half("movedFrom", "a", true, 2);
  captured.half("movedTo", "c", true, 2);
  captured.half("movedTo", "b/g", false, 1);
  captured.inOrder("rename a c", "rename c/f b/g");
});

test("a file that came before a directory of that name, and is told of late, takes the directory not away", async () => {
  const captured = await begun({ a: "/", b: "/", "a/f": "x" });
  captured.half("movedTo", "b/n");
  captured.tree.happened("deleted", "b/n");
  captured.tree.make("b/n", "directory");
  captured.tree.happened("created", "b/n", { isDirectory: true });
  await captured.pass();
  captured.half("movedFrom", "a/f");
  assert.ok(captured.isWatched("b/n"));
  captured.tree.happened("created", "b/n/x");
  captured.inOrder("rename a/f b/n", "create b/n/x");
});

test("a directory that nobody told of is compared with all in it, whatever stood there before", async () => {
  const captured = await begun({ a: "/", "a/b": "x" });
  captured.tree.remove("a/b");
  captured.tree.make("a/b", "directory");
  captured.tree.emit({ kind: "several", watch: captured.tree.watchOf("a")! });
  await captured.pass();
  captured.inOrder("repair a one", "repair a/b all");
  assert.ok(captured.isWatched("a/b"));
});

test("a directory that went and came back where events were joined is compared with all in it", async () => {
  for (const isMoveFirst of [true, false]) {
    const captured = await begun({ d: "/", "d/e": "/", "d/e/x": "/", "d/f": "/" });
    const { tree } = captured;
    const moved = { kind: "movedSelf", watch: tree.watchOf("d/e")! } as const;
    if (isMoveFirst) tree.emit(moved);
    tree.emit({ kind: "several", watch: tree.watchOf("d")! });
    if (!isMoveFirst) tree.emit(moved);
    await captured.pass();
    assert.deepEqual(captured.told().toSorted(), ["repair d one", "repair d/e all"]);
  }
});

test("a directory in which something was missed while it was away is compared when it has arrived", async () => {
  const captured = await begun({ a: "/", "a/b": "/" });
  const below = captured.capture.nodes.at("a/b")!;
  captured.half("movedFrom", "a", true);
  assert.equal(below.path, undefined);
  below.miss("one");
  captured.tree.rename("a", "c");
  captured.half("movedTo", "c", true);
  await captured.pass();
  captured.inOrder("rename a c", "repair c/b one");
});

test("a listing that is older than another one that was read beside it takes no directory away", async () => {
  const captured = await begun({ d: "/", "d/e": "/" });
  const { tree } = captured;
  const old = new Deferred();
  tree.afterScan = ({ paths }) => (paths.includes("d") ? old.promise : undefined);
  tree.remove("d/e");
  tree.emit({ kind: "several", watch: tree.watchOf("d")! });
  await captured.pass();
  // Its listing of d is still on the way when another directory comes, and is seen.
  tree.make("d/e", "directory");
  captured.capture.nodes.at("d/e")!.watch = undefined;
  tree.happened("created", "d/e", { isDirectory: true });
  captured.capture.nodes.at("d/e")!.attachedAt = 0;
  await captured.pass();
  assert.ok(captured.isWatched("d/e"));
  tree.afterScan = () => undefined;
  old.resolve();
  await captured.pass(100);
  assert.ok(captured.isWatched("d/e"));
});

test("what goes to another name and back is renamed twice, and its old name is looked at again", async () => {
  const captured = await begun({ d: "/", "d/e": "/", f: "x" });
  for (const [path, isDirectory] of [
    ["d", true],
    ["f", false],
  ] as const)
    for (const [from, to, cookie] of [
      [path, "other", 1],
      ["other", path, 2],
    ] as const) {
      captured.half("movedFrom", from, isDirectory, cookie);
      captured.half("movedTo", to, isDirectory, cookie);
    }
  captured.inOrder(
    "rename d other",
    "rename other d",
    "create other",
    "rename f other",
    "rename other f",
    "create other",
  );
  assert.ok(captured.isWatched("d/e"));
});

test("two directories that changed places are renamed and compared, and what may be left over is looked at", async () => {
  const captured = await begun({ a: "/", "a/x": "/", b: "/", "b/y": "/" });
  const { tree } = captured;
  tree.rename("a", "aside");
  tree.rename("b", "a");
  tree.rename("aside", "b");
  for (const [from, to, cookie] of [
    ["a", "b", 1],
    ["b", "a", 2],
  ] as const) {
    captured.half("movedFrom", from, true, cookie);
    captured.half("movedTo", to, true, cookie);
  }
  await captured.pass(100);
  captured.inOrder("rename a b", "create a", "remove b", "repair a all");
  assert.ok(captured.isWatched("b/x") && captured.isWatched("a/y"));
});
