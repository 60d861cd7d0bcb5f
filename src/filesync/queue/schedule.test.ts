import assert from "node:assert/strict";
import test from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { TestQueue, type TestQueueOptions } from "./testing/test-queue.ts";

const LARGE = 64 * 1024 * 1024;

const testQueue = (options: Omit<TestQueueOptions, "clock"> = {}) =>
  new TestQueue({ clock: new SteppedClock(), ...options });

test("the main thread processes every kind of command, copies too (F4)", () => {
  const queue = testQueue({ threads: 1 });
  const entries = [
    queue.append("sync-start"),
    ...queue.copies("a"),
    queue.append("create", "b"),
    queue.append("rename", "c", { from: "b" }),
    queue.append("link", "d", { existing: "c" }),
    queue.append("remove", "c"),
    queue.append("repair", ""),
    queue.append("mark"),
    queue.append("sync-finish"),
  ];
  const processed = [];
  for (let claim = queue.claim(0); claim !== undefined; claim = queue.claim(0)) {
    processed.push(...claim.entries);
    queue.done(claim);
  }
  assert.deepEqual(processed, entries);
  assert.ok(queue.queue.isEmpty);
});

test("a sync thread takes copies only (F4)", () => {
  const queue = testQueue();
  for (const kind of ["create", "write", "attribute", "rename", "link", "remove", "repair", "mark"] as const)
    queue.append(kind, kind);
  queue.append("sync-start");
  queue.waits(1);
});

test("the finish is processed when every copy before it is complete (F5)", () => {
  const queue = testQueue({ threads: 3 });
  const start = queue.append("sync-start");
  const [a, b] = queue.copies("a", "b");
  const finish = queue.append("sync-finish");
  queue.waits(1);
  queue.done(queue.claims(0, start));
  const first = queue.claims(1, a!);
  const second = queue.claims(2, b!);
  queue.waits(0);
  queue.done(first);
  queue.waits(0);
  queue.done(second);
  queue.done(queue.claims(0, finish));
});

test("the finish waits for a copy that was put back, and live commands behind the finish do not", () => {
  const queue = testQueue();
  const large = queue.append("sync-copy", "large", { sizeBytes: LARGE });
  queue.append("sync-finish");
  const write = queue.append("write", "x");
  queue.putBack(queue.claims(1, large));
  queue.done(queue.claims(0, write));
  queue.waits(0);
  queue.done(queue.claims(1, large));
  assert.equal(queue.claim(0)?.entries[0]?.kind, "sync-finish");
});

test("no copy behind an uncompleted finish is begun, not by the main thread either", () => {
  const queue = testQueue();
  const large = queue.append("sync-copy", "large", { sizeBytes: LARGE });
  queue.append("sync-finish");
  queue.copies("next");
  queue.putBack(queue.claims(1, large));
  queue.waits(0);
});

test("a sync thread goes forward to the first uncompleted command and waits there (F6)", () => {
  const queue = testQueue({ threads: 3 });
  const [a] = queue.copies("a");
  const write = queue.append("write", "w");
  const [b] = queue.copies("b");
  const main = queue.claims(0, a!);
  queue.waits(1);
  assert.deepEqual(queue.queue.schedule.standing(1), { doing: "waiting", number: write.number });
  queue.done(main);
  const writing = queue.claims(0, write);
  queue.waits(1);
  queue.done(writing);
  queue.done(queue.claims(1, b!));
});

test("a sync thread is ahead of the main thread among copies (F6)", () => {
  const queue = testQueue();
  const [a, b] = queue.copies("a", "b");
  queue.claims(0, a!);
  queue.done(queue.claims(1, b!));
});

test("the main thread takes a command once every running copy is finished (F7)", () => {
  const queue = testQueue({ threads: 3 });
  const [a, b] = queue.copies("a", "b");
  const write = queue.append("write", "w");
  const first = queue.claims(1, a!);
  const second = queue.claims(2, b!);
  queue.waits(0);
  queue.done(second);
  queue.waits(0);
  queue.done(first);
  queue.claims(0, write);
});

test("directly behind another command a command needs no rendezvous: they are one run (F7)", () => {
  const queue = testQueue();
  const commands = ["a", "b", "c"].map((name) => queue.append("write", name));
  const [copy] = queue.copies("d");
  const behind = queue.append("write", "e");
  queue.done(queue.claims(0, ...commands));
  const copying = queue.claims(1, copy!);
  queue.waits(0);
  queue.done(copying);
  queue.claims(0, behind);
});

test("a run of commands is bounded by entries and bytes", () => {
  const queue = testQueue({ settings: { runEntriesMax: 3, runBytesMax: 100 } });
  const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map((name, at) =>
    queue.append("write", name, { sizeBytes: at === 4 ? 1000 : at === 3 ? 10 : 1 }),
  );
  queue.done(queue.claims(0, a!, b!, c!));
  queue.done(queue.claims(0, d!));
  queue.done(queue.claims(0, e!));
});

test("no entry is processed before every connection has said hello (F8)", () => {
  const queue = testQueue({ threads: 3, silent: [2] });
  const start = queue.append("sync-start");
  queue.append("write", "a");
  queue.waits(0);
  queue.waits(1);
  queue.queue.schedule.saidHello(2);
  queue.claims(0, start);
});

test("after a connection died no entry is processed before it said hello again (F8)", () => {
  const queue = testQueue({ threads: 3 });
  const [a] = queue.copies("a", "b", "c", "d", "e", "f");
  const claim = queue.claim(1);
  queue.dies(1, claim);
  queue.waits(0);
  queue.waits(2);
  queue.queue.schedule.saidHello(1);
  assert.equal(queue.claim(0)?.entries[0], a);
});

test("sync connections that are closed for want of commands hold nothing back (F8, F11)", () => {
  const queue = testQueue({ threads: 3, silent: [1, 2] });
  queue.claims(0, queue.append("write", "a"));
});

test("a file that changes while it is copied is copied first and changed afterwards (F10)", () => {
  const queue = testQueue();
  const [copy] = queue.copies("a");
  const copying = queue.claims(1, copy!);
  const change = queue.append("write", "a");
  queue.waits(0);
  queue.done(copying);
  queue.claims(0, change);
});

test("a large copy that was put back gives way to the commands behind it, and goes on before later ones", () => {
  const queue = testQueue();
  const large = queue.append("sync-copy", "large", { sizeBytes: LARGE });
  const copying = queue.claims(1, large);
  const now = [queue.append("write", "a"), queue.append("write", "b")];
  assert.ok(queue.queue.schedule.commandWaits());
  queue.putBack(copying);
  const later = queue.append("write", "c");
  queue.waits(1);
  queue.done(queue.claims(0, ...now));
  queue.waits(0);
  const rest = queue.claims(1, large);
  queue.waits(0);
  queue.putBack(rest);
  queue.done(queue.claims(0, later));
  queue.done(queue.claims(1, large));
  assert.ok(queue.queue.isEmpty);
});

test("a large copy that was put back does not wait for commands behind further copies", () => {
  const queue = testQueue({ threads: 3 });
  const large = queue.append("sync-copy", "large", { sizeBytes: LARGE });
  const copying = queue.claims(1, large);
  const near = queue.append("write", "near");
  const [copy] = queue.copies("b");
  queue.append("write", "far");
  queue.putBack(copying);
  queue.done(queue.claims(0, near));
  queue.claims(2, copy!);
  queue.claims(1, large);
});

test("a put-back copy knows that a command touched its path, and what was sent is old (F10)", () => {
  const queue = testQueue();
  const large = queue.append("sync-copy", "d/large", { sizeBytes: LARGE });
  const copying = queue.claims(1, large);
  queue.append("write", "d/other");
  queue.putBack(copying);
  queue.done(queue.claim(0)!);
  const rest = queue.claims(1, large);
  assert.equal(large.isTouched, false);
  queue.append("write", "d/large");
  queue.putBack(rest);
  assert.equal(queue.queue.schedule.partOf("d/large"), large);
  queue.done(queue.claim(0)!);
  queue.claims(1, large);
  assert.equal(large.isTouched, true);
});

test("a directory's rename takes a put-back copy in it along", () => {
  const queue = testQueue();
  const large = queue.append("sync-copy", "d/x/large", { sizeBytes: LARGE });
  const copying = queue.claims(1, large);
  queue.append("rename", "e", { from: "d", isDirectory: true });
  queue.putBack(copying);
  queue.done(queue.claim(0)!);
  assert.equal(large.path, "e/x/large");
  assert.equal(large.isTouched, true);
});

test("the rename of a file whose copy was put back leaves the copy at its name, where another file may be by now", () => {
  const queue = testQueue();
  const large = queue.append("sync-copy", "large", { sizeBytes: LARGE });
  const copying = queue.claims(1, large);
  queue.append("rename", "other", { from: "large" });
  queue.putBack(copying);
  queue.done(queue.claim(0)!);
  assert.equal(large.path, "large");
  assert.equal(large.isTouched, true);
});

test("what was put back goes on in the thread that holds its file, and after its death in any", () => {
  const queue = testQueue({ threads: 3 });
  const large = queue.append("sync-copy", "large", { sizeBytes: LARGE });
  queue.putBack(queue.claims(1, large));
  queue.waits(0);
  queue.waits(2);
  queue.dies(1, undefined);
  queue.queue.schedule.saidHello(1);
  queue.done(queue.claims(2, large));
});

test("five seconds after the last command of a synchronization the sync threads are no longer wanted (F11)", async () => {
  const queue = testQueue();
  const { clock } = queue;
  const { schedule } = queue.queue;
  const [copy] = queue.copies("a");
  const claim = queue.claims(1, copy!);
  await clock.step(60_000);
  assert.ok(schedule.isWanted(1, clock.nowMs()), "never in mid-copy");
  queue.done(claim);
  await clock.step(4999);
  queue.append("write", "live");
  assert.ok(schedule.isWanted(1, clock.nowMs()));
  await clock.step(1);
  assert.equal(schedule.isWanted(1, clock.nowMs()), false);
  assert.ok(schedule.isWanted(0, clock.nowMs()), "the main thread stays");
  queue.copies("b");
  assert.ok(schedule.isWanted(1, clock.nowMs()), "they open with the next command");
});

test("a copy that was put back counts as a copy in work: its thread does not close (F11)", async () => {
  const queue = testQueue();
  const large = queue.append("sync-copy", "large", { sizeBytes: LARGE });
  queue.putBack(queue.claims(1, large));
  await queue.clock.step(60_000);
  assert.ok(queue.queue.schedule.isWanted(1, queue.clock.nowMs()));
});

test("a copy is claimed by one thread, and the others step over it (F12)", () => {
  const queue = testQueue({ threads: 4 });
  const [a, b, c, d] = queue.copies("a", "b", "c", "d");
  queue.claims(2, a!);
  queue.claims(0, b!);
  queue.claims(3, c!);
  queue.claims(1, d!);
});

test("the claim of a dead connection is freed, and another thread takes it (F12)", () => {
  const queue = testQueue();
  const [a, b] = queue.copies("a", "b");
  const dead = queue.claims(1, a!);
  const other = queue.claims(0, b!);
  queue.dies(1, dead);
  queue.done(other);
  queue.queue.schedule.saidHello(1);
  queue.done(queue.claims(0, a!));
});

test("commands of a main connection that died are taken again, in their order", () => {
  const queue = testQueue();
  const commands = [queue.append("write", "a"), queue.append("remove", "b")];
  queue.dies(0, queue.claims(0, ...commands));
  queue.queue.schedule.saidHello(0);
  queue.claims(0, ...commands);
});

test("waiting copies are shared out among the threads", () => {
  const queue = testQueue({ threads: 4 });
  queue.copies(..."abcdefghijklmnop");
  const sizes = [0, 1, 2, 3].map((thread) => queue.claim(thread)!.entries.length);
  assert.deepEqual(sizes, [4, 3, 3, 2]);
});

test("a thread works on several claims of small copies at the same time, on nothing else beside them", () => {
  const queue = testQueue({ threads: 1, settings: { copyRunEntriesMax: 4, copyRunsMax: 3 } });
  const copies = queue.copies("a", "b", "c", "d", "e", "f", "g", "h", "i");
  const large = queue.append("sync-copy", "large", { sizeBytes: LARGE });
  const command = queue.append("write", "z");
  const first = queue.claims(0, ...copies.slice(0, 4));
  const second = queue.claims(0, ...copies.slice(4, 8));
  queue.waits(0);
  queue.done(second);
  queue.waits(0);
  queue.done(first);
  const last = queue.claims(0, copies[8]!);
  queue.waits(0);
  queue.done(last);
  const alone = queue.claims(0, large);
  queue.copies("j", "k", "l", "m");
  queue.waits(0);
  queue.done(alone);
  queue.done(queue.claims(0, command));
});

test("a thread has no more claims than it may, and none of them takes what another one has", () => {
  const queue = testQueue({ threads: 2, settings: { copyRunEntriesMax: 2, copyRunsMax: 2 } });
  const copies = queue.copies("a", "b", "c", "d", "e", "f", "g", "h", "i", "j");
  const first = queue.claims(1, copies[0]!, copies[1]!);
  queue.claims(0, copies[2]!, copies[3]!);
  queue.claims(1, copies[4]!, copies[5]!);
  queue.waits(1);
  queue.dies(1, first);
  queue.queue.schedule.saidHello(1);
  queue.claims(1, copies[0]!, copies[1]!);
});

test("a mark orders nothing: copies behind it are begun, and it is reached when all before it is done", () => {
  const queue = testQueue({ threads: 3 });
  const [a] = queue.copies("a");
  const mark = queue.append("mark");
  const [b] = queue.copies("b");
  const copying = queue.claims(1, a!);
  queue.claims(2, b!);
  queue.waits(0);
  queue.done(copying);
  queue.claims(0, mark);
});

test("with the barrier over paths a command waits only for copies of what it touches", () => {
  const queue = testQueue({ threads: 3, settings: { barrier: "path" } });
  const [a] = queue.copies("d/a");
  const elsewhere = queue.append("write", "e/x");
  const above = queue.append("attribute", "d", { isDirectory: true });
  const copying = queue.claims(1, a!);
  queue.done(queue.claims(0, elsewhere));
  queue.waits(0);
  queue.done(copying);
  queue.claims(0, above);
});

test("with the barrier over paths a sync thread passes commands that its copy has nothing to do with", () => {
  const queue = testQueue({ settings: { barrier: "path" } });
  queue.append("rename", "d/new", { from: "e/old", isDirectory: true });
  queue.copies("e/old/x", "d", "d/new/y");
  const [free] = queue.copies("d/other");
  queue.claims(1, free!);
});

test("with the barrier over paths nothing passes the start and the finish", () => {
  const queue = testQueue({ settings: { barrier: "path" } });
  queue.append("sync-start");
  queue.copies("a");
  queue.waits(1);
});
