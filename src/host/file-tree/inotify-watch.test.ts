import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { needs } from "../../../test/support/needs.ts";
import { type TreeEvent, type TreePath, type TreeWatch, WATCH_GROUP_SPAN } from "../../ports/mod.ts";
import { temporaryDirectory } from "../testing/temporary-directory.ts";
import { done, type TemporaryTree, temporaryTree } from "./testing/temporary-tree.ts";
import { AT_FDCWD, OPEN_DIRECTORY, treeCalls } from "./tree-calls.ts";
import { decodeEvents, decodeJoined, JoinedEvents } from "./tree-events.ts";
import { createGroups, groupOf, watchDirectory } from "./watch-groups.ts";

interface WatchedTree extends TemporaryTree {
  readonly watch: TreeWatch;
  readonly events: TreeEvent[];
  /** Sets watches; their numbers. */
  add(...paths: TreePath[]): Promise<number[]>;
}

async function watchedTree(t: TestContext, onEvents: () => void = () => {}): Promise<WatchedTree> {
  const opened = await temporaryTree(t, { threads: 2 });
  const events: TreeEvent[] = [];
  const watch = await opened.tree.watch((batch) => {
    events.push(...batch);
    onEvents();
  });
  const add = async (...paths: TreePath[]) => {
    const { directories, failures } = await opened.tree.walk({ paths, excludes: { patterns: [] } });
    assert.deepEqual(failures, []);
    return directories.map(({ watch }) => watch);
  };
  return { ...opened, watch, events, add };
}

const shortOf = (events: readonly TreeEvent[]) =>
  events.map((event) => `${event.kind} ${event.name}${event.isDirectory ? "/" : ""}`);

test("events come in their order, with the number of the watch that the walk gave", async (t) => {
  const { path, watch, events, add } = await watchedTree(t);
  const [root] = await add("");
  const file = join(path, "file");
  writeFileSync(file, "x");
  appendFileSync(file, "y");
  renameSync(file, join(path, "renamed"));
  mkdirSync(join(path, "directory"));
  unlinkSync(join(path, "renamed"));
  rmdirSync(join(path, "directory"));
  await watch.drained();
  assert.deepEqual(shortOf(events), [
    "created file",
    "written file",
    "closed file",
    "written file",
    "closed file",
    "movedFrom file",
    "movedTo renamed",
    "created directory/",
    "deleted renamed",
    "deleted directory/",
  ]);
  assert.ok(events.every((event) => event.watch === root));
});

test("a name of any bytes comes as it is, and Ropewalk's own names do not come", async (t) => {
  const { fd, watch, events, add } = await watchedTree(t);
  await add("");
  const name = "\xff\xfe\n".padEnd(255, "\x80");
  done(treeCalls.mkdirat(fd, name, 0o700));
  done(treeCalls.mkdirat(fd, ".ropewalk-1", 0o700));
  done(treeCalls.renameat2(fd, ".ropewalk-1", fd, "given"));
  await watch.drained();
  assert.deepEqual(shortOf(events), [`created ${name}/`, "movedTo given/"]);
});

test("the two halves of a rename between directories of different groups have one cookie", async (t) => {
  const { path, watch, events, add } = await watchedTree(t);
  const names = Array.from({ length: 30 }, (_, index) => `top-${index}`);
  for (const name of names) mkdirSync(join(path, name));
  const watches = await add(...names);
  const groups = new Set(watches.map((number) => Math.floor(number / WATCH_GROUP_SPAN)));
  assert.ok(groups.size > 3);
  assert.equal(new Set(watches).size, 30);
  for (let index = 1; index < 30; index += 1) {
    writeFileSync(join(path, `top-0/file-${index}`), "");
    renameSync(join(path, `top-0/file-${index}`), join(path, `top-${index}/file`));
  }
  await watch.drained();
  const from = events.filter((event) => event.kind === "movedFrom");
  const to = events.filter((event) => event.kind === "movedTo");
  assert.equal(from.length, 29);
  assert.equal(new Set(from.map((event) => event.cookie)).size, 29);
  for (const event of from) {
    const index = Number(event.name.slice("file-".length));
    assert.equal(to.find((other) => other.cookie === event.cookie)!.watch, watches[index]);
  }
});

test("what happened before `drained` was called was handed over when it resolves", async (t) => {
  const { path, watch, events, add } = await watchedTree(t);
  mkdirSync(join(path, "a"));
  mkdirSync(join(path, "b"));
  await add("a", "b");
  for (let index = 0; index < 300; index += 1) {
    mkdirSync(join(path, index % 2 === 0 ? "a" : "b", `${index}`));
    await watch.drained();
    assert.equal(events.at(-1)!.name, `${index}`);
  }
});

test("a write and the close that soon follows it come together", async (t) => {
  let batches = 0;
  const { path, events, add } = await watchedTree(t, () => (batches += 1));
  await add("");
  const file = join(path, "file");
  writeFileSync(file, "");
  let apart = 0;
  for (let round = 0; round < 50; round += 1) {
    await setTimeout(5);
    [events.length, batches] = [0, 0];
    const opened = openSync(file, "r+");
    writeSync(opened, "x");
    for (const untilMs = performance.now() + 0.3; performance.now() < untilMs; );
    closeSync(opened);
    while (events.length < 2) await setTimeout(1);
    assert.deepEqual(shortOf(events), ["written file", "closed file"]);
    if (batches > 1) apart += 1;
  }
  assert.ok(apart < 10, `${apart} of 50 apart`);
});

test("a removed watch says that it is gone, and so does a removed directory", async (t) => {
  const { path, watch, events, add } = await watchedTree(t);
  mkdirSync(join(path, "a"));
  mkdirSync(join(path, "b"));
  const [a, b] = await add("a", "b");
  watch.remove([a!]);
  writeFileSync(join(path, "a/unseen"), "");
  rmdirSync(join(path, "b"));
  await watch.drained();
  assert.deepEqual(shortOf(events.filter((event) => event.watch === a)), ["watchGone /"]);
  assert.deepEqual(shortOf(events.filter((event) => event.watch === b)), ["deletedSelf /", "watchGone /"]);
});

test("200,000 events are not lost while the listener is slow: they are joined for each directory", async (t) => {
  let slow = true;
  const { path, fd, watch, events, add } = await watchedTree(t, () => {
    // As if every batch meant work.
    if (slow) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
  });
  const names = ["a", "b", "c", "d"];
  for (const name of names) mkdirSync(join(path, name));
  const watches = await add(...names);
  const directories = names.map((name) => done(treeCalls.openat(fd, name, OPEN_DIRECTORY)));
  for (const directory of directories) done(treeCalls.mkdirat(directory, "one", 0o700));
  // Two events each, by the thread that should take them: it takes none meanwhile.
  const made = 101_000;
  for (let index = 0; index < made; index += 1) {
    const directory = directories[index % 4]!;
    const isOne = index % 8 < 4;
    done(treeCalls.renameat2(directory, isOne ? "one" : "other", directory, isOne ? "other" : "one"));
  }
  await watch.drained();
  assert.deepEqual(
    events.filter((event) => event.kind === "overflow"),
    [],
  );
  assert.ok(events.length < made, `${events.length} events`);
  for (const [index, directory] of directories.entries()) {
    const own = events.filter((event) => event.watch === watches[index]);
    assert.equal(own.filter((event) => event.kind === "several").length >= 1, true);
    assert.equal(own.at(-1)!.kind, "several");
    treeCalls.close(directory);
  }

  slow = false;
  events.length = 0;
  await watch.drained();
  writeFileSync(join(path, "c/after"), "");
  await watch.drained();
  assert.deepEqual(shortOf(events), ["created after", "closed after"]);
});

test("an overflow of the kernel's queue is told with its group", (t) => {
  const path = temporaryDirectory(t);
  const directory = done(treeCalls.openat(AT_FDCWD, path, OPEN_DIRECTORY));
  const groups = createGroups(2);
  t.after(() => {
    for (const fd of [...groups, directory]) treeCalls.close(fd);
  });
  const top = Array.from({ length: 20 }, (_, index) => `${index}`).find((name) => groupOf(name, 2) === 1)!;
  const watch = watchDirectory(groups, `${top}/sub`, directory);
  assert.ok(watch > WATCH_GROUP_SPAN);
  const queued = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "latin1"));
  for (let index = 0; index <= queued / 2; index += 1) {
    done(treeCalls.mkdirat(directory, "x", 0o700));
    done(treeCalls.rmdirat(directory, "x"));
  }
  const memory = Buffer.alloc(64 * queued);
  const length = done(treeCalls.read(groups[1]!, memory));
  const bytes = new Uint8Array(memory.subarray(0, length));
  const events = decodeEvents({ group: 1, bytes, count: 0 });
  assert.equal(events.length, queued + 1);
  assert.deepEqual(events[0], { watch, name: "x", kind: "created", isDirectory: true, cookie: 0 });
  const overflow = { watch: -1, name: "", kind: "overflow", isDirectory: false, cookie: 0, group: 1 };
  assert.deepEqual(events.at(-1), overflow);
  // Joined, it stays an overflow.
  const joined = new JoinedEvents();
  joined.add(1, memory, length);
  const several = { watch, name: "", kind: "several", isDirectory: true, cookie: 0 };
  assert.deepEqual(decodeJoined(joined.take()), [several, overflow]);
});

/** Watches two directories in a user namespace of its own, where limits can be lowered; what comes of it. */
function watchWithin(t: TestContext, limit: string): string {
  const path = temporaryDirectory(t);
  for (const name of ["one", "other"]) mkdirSync(join(path, name));
  const program = join(import.meta.dirname, "testing/watch-two.ts");
  const command = `echo ${limit}; exec "$0" "$1" "$2"`;
  const parameters = ["--user", "--map-root-user", "sh", "-c", command, process.execPath, program, path];
  return execFileSync("unshare", parameters, { encoding: "utf8" });
}

test(
  "the kernel's limits of watches and of instances are said with their names",
  needs("root", "unshare"),
  (t) => {
    assert.match(watchWithin(t, "2 > /proc/sys/user/max_inotify_watches"), /^watched/m);
    assert.match(
      watchWithin(t, "1 > /proc/sys/user/max_inotify_watches"),
      /^WATCH_LIMIT .*fs\.inotify\.max_user_watches is \d+/m,
    );
    assert.match(
      watchWithin(t, "3 > /proc/sys/user/max_inotify_instances"),
      /^WATCH_LIMIT .*needs 8, and fs\.inotify\.max_user_instances is \d+/m,
    );
  },
);
