import assert from "node:assert/strict";
import test from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import { ScriptedTarget, type ScriptOptions } from "./testing/scripted-target.ts";

const scriptedTarget = (options: Omit<ScriptOptions, "clock"> = {}) =>
  new ScriptedTarget({ clock: new SteppedClock(), ...options });

test("with one connection the main thread does everything alone (F3)", async () => {
  const target = scriptedTarget({ threads: 1, works: true });
  const entries = [
    target.append("sync-start"),
    target.append("sync-copy", "a"),
    target.append("sync-finish"),
    target.append("write", "b"),
  ];
  await target.pass();
  assert.deepEqual(target.processed, entries);
  assert.equal(target.connection(0).configuration?.role, "main");
  await target.stop();
});

test("every connection says what it is before the first entry is processed (F8)", async () => {
  const target = scriptedTarget({ threads: 3, works: true });
  target.silentNumbers.add(2);
  target.append("sync-start");
  target.append("write", "a");
  await target.pass(1000);
  assert.deepEqual(target.processed, []);
  target.silentNumbers.clear();
  target.connection(2).die();
  await target.pass(1000);
  assert.equal(target.processed.length, 2);
  assert.deepEqual(
    [0, 1, 2].map((number) => target.connection(number).configuration?.role),
    ["main", "sync", "sync"],
  );
  await target.stop();
});

test("a connection that dies frees its claim, says hello again, and its entries are processed again", async () => {
  const target = scriptedTarget();
  target.append("sync-start");
  const [a, b] = [target.append("sync-copy", "a"), target.append("sync-copy", "b")];
  await target.pass();
  target.call(0).done();
  await target.pass();
  const first = target.call(1);
  target.call(0).done();
  const late = target.append("write", "c");
  await target.pass();
  assert.equal(target.calls.length, 1, "the main thread waits for the copy");
  target.connection(1).die();
  await target.pass();
  assert.equal(target.calls.length, 0, "nothing goes on before it said hello again (F8)");
  await target.pass(200);
  assert.deepEqual(target.call(0).entries, first.entries, "the main thread comes first here");
  target.call(0).done();
  await target.pass();
  target.call(0).done();
  await target.pass();
  assert.deepEqual(
    [...target.processed.slice(1)].sort((x, y) => x.number - y.number),
    [a, b, late],
  );
  assert.equal(target.ended.length, 1);
  await target.stop();
});

test("claims of small copies that run beside each other are all freed by the death of their connection, once none runs any more", async () => {
  const target = scriptedTarget({ threads: 1, queueSettings: { copyRunEntriesMax: 2, copyRunsMax: 3 } });
  const copies = ["a", "b", "c", "d", "e", "f"].map((path) => target.append("sync-copy", path));
  await target.pass();
  assert.deepEqual(
    target.calls.map(({ entries }) => entries),
    [copies.slice(0, 2), copies.slice(2, 4), copies.slice(4, 6)],
  );
  const command = target.append("write", "g");
  target.calls[1]!.done();
  await target.pass();
  assert.equal(target.calls.length, 2, "the command waits for every copy");
  target.connection(0).die();
  await target.pass(200);
  const again = target.calls.map(({ entries }) => entries);
  assert.deepEqual(again, [copies.slice(0, 2), copies.slice(4, 6)]);
  for (const call of [...target.calls]) call.done();
  await target.pass();
  target.call(0).done();
  await target.pass();
  assert.equal(target.processed.at(-1), command);
  assert.equal(target.processed.length, 7);
  await target.stop();
});

test("one of several claims that fails as a whole takes the others with it, and what was done stays done", async () => {
  const target = scriptedTarget({ threads: 1, queueSettings: { copyRunEntriesMax: 1, copyRunsMax: 3 } });
  const copies = ["a", "b", "c"].map((path) => target.append("sync-copy", path));
  await target.pass();
  target.calls[0]!.done();
  await target.pass();
  target.calls[1]!.fail(new RopewalkError("NO_SPACE", "full"));
  await target.pass(2000);
  const failed = target.events.filter((event) => event.type === "failed");
  assert.deepEqual(
    failed.map(({ error }) => error.code),
    ["NO_SPACE"],
    "told once, with its reason",
  );
  assert.deepEqual(
    target.calls.flatMap(({ entries }) => entries),
    copies.slice(1),
  );
  for (const call of [...target.calls]) call.done();
  await target.pass();
  assert.equal(target.threads.figures.error, undefined);
  assert.deepEqual(target.processed, copies);
  await target.stop();
});

test("a connection that hangs counts as dead after its time, one whose target works for long does not", async () => {
  const target = scriptedTarget({ threads: 1 });
  target.append("write", "a");
  await target.pass();
  await target.pass(300_000);
  assert.equal(target.connections.length, 1, "keep-alives are answered");
  target.connection(0).hangs = true;
  await target.pass(59_000);
  assert.equal(target.connections.length, 1);
  await target.pass(15_000);
  assert.equal(target.connections.length, 2);
  assert.ok(target.events.some((event) => event.type === "failed" && event.error.code === "TIMEOUT"));
  target.call(0).done();
  await target.pass();
  assert.equal(target.processed.length, 1);
  await target.stop();
});

test("a connect and a hello that hang are given up and tried again", async () => {
  const target = scriptedTarget({ threads: 1, works: true });
  target.silentNumbers.add(0);
  target.append("write", "a");
  await target.pass(1000);
  target.silentNumbers.clear();
  await target.pass(80_000);
  assert.equal(target.processed.length, 1);
  await target.stop();
});

test("a target that cannot be reached is tried later and later, up to every 30 s, and nothing is dropped", async () => {
  const refusal = new RopewalkError("UNREACHABLE", "down");
  const target = scriptedTarget({ threads: 1, works: true, refusal });
  target.append("write", "a");
  await target.pass(600_000);
  const waits = target.tries.slice(1).map((atMs, at) => atMs - target.tries[at]!);
  for (const [at, waitMs] of waits.entries()) {
    const fullMs = Math.min(100 * 2 ** at, 30_000);
    assert.ok(waitMs >= fullMs / 2 && waitMs <= fullMs, `wait ${at} was ${waitMs} ms of ${fullMs}`);
  }
  assert.equal(target.threads.figures.state, "waiting");
  assert.equal(target.threads.figures.error?.code, "UNREACHABLE");
  target.refusal = undefined;
  await target.pass(30_000);
  assert.equal(target.processed.length, 1);
  assert.equal(target.threads.figures.state, "running");
  await target.stop();
});

test("work that fails as a whole is tried again later, over a new connection", async () => {
  const target = scriptedTarget({ threads: 1 });
  target.append("write", "a");
  await target.pass();
  target.call(0).fail(new RopewalkError("SOURCE_MISSING", "gone"));
  await target.pass();
  assert.equal(target.calls.length, 0);
  await target.pass(200);
  target.call(0).done();
  await target.pass();
  assert.equal(target.connections.length, 2);
  assert.ok(target.connections[0]!.isClosed);
  assert.equal(target.threads.figures.error, undefined);
  await target.stop();
});

test("five seconds without a command of a synchronization the sync threads close, and the next one opens them (F11)", async () => {
  const target = scriptedTarget({ threads: 3, works: true });
  await target.pass(10_000);
  assert.deepEqual(target.open(), [0], "the main thread alone, as no synchronization was asked for");
  target.append("sync-start");
  target.append("sync-finish");
  await target.pass();
  assert.deepEqual(target.open(), [0, 1, 2]);
  await target.pass(4000);
  target.append("write", "live");
  await target.pass(990);
  assert.deepEqual(target.open(), [0, 1, 2]);
  await target.pass(20);
  assert.deepEqual(target.open(), [0]);
  target.append("sync-start");
  await target.pass();
  assert.deepEqual(target.open(), [0, 1, 2]);
  assert.equal(target.events.filter(({ type }) => type === "failed").length, 0, "closing is no failure");
  await target.stop();
});

test("nothing closes in mid-copy, however long it takes (F11)", async () => {
  const target = scriptedTarget({ threads: 3 });
  target.append("sync-copy", "a");
  await target.pass();
  await target.pass(600_000);
  assert.deepEqual(target.open(), [0, 1, 2]);
  target.calls[0]!.done();
  await target.pass(5001);
  assert.deepEqual(target.open(), [0]);
  await target.stop();
});

test("a copy that comes while the sync threads close waits until they are open again", async () => {
  const target = scriptedTarget({ threads: 2, works: true });
  target.append("sync-start");
  await target.pass();
  target.closing = new Deferred();
  await target.pass(5001);
  const copy = target.append("sync-copy", "a");
  await target.pass(100);
  assert.equal(target.processed.includes(copy), false);
  target.closing.resolve();
  target.closing = undefined;
  await target.pass();
  assert.ok(target.processed.includes(copy));
  assert.deepEqual(target.open(), [0, 1]);
  await target.stop();
});

test("a pause ends between entries, nothing is begun in it, and resuming goes on", async () => {
  const target = scriptedTarget({ threads: 1 });
  const large = target.append("sync-copy", "a", { sizeBytes: 2 ** 30 });
  await target.pass();
  const call = target.call(0);
  assert.equal(call.budget.mustEnd(), false);
  let isPaused = false;
  const paused = target.threads.pause().then(() => {
    isPaused = true;
  });
  assert.equal(call.budget.mustEnd(), true);
  await target.pass();
  assert.equal(isPaused, false);
  call.done({ putBack: [large], done: [] });
  await paused;
  target.append("write", "b");
  await target.pass(10_000);
  assert.equal(target.calls.length, 0);
  assert.equal(target.threads.figures.state, "paused");
  target.threads.resume();
  await target.pass();
  assert.deepEqual(target.call(0).entries, [large]);
  await target.stop();
});

test("a large copy is to end after its slice when a command waits, and not before", async () => {
  const target = scriptedTarget({ threads: 1 });
  target.append("sync-copy", "a", { sizeBytes: 2 ** 30 });
  await target.pass();
  const { budget } = target.call(0);
  await target.pass(1000);
  assert.equal(budget.mustEnd(), false);
  target.append("write", "b");
  assert.equal(budget.mustEnd(), true);
  target.call(0).done();
  await target.pass();
  target.call(0).done();
  target.append("sync-copy", "c", { sizeBytes: 2 ** 30 });
  await target.pass();
  target.append("write", "d");
  assert.equal(target.call(0).budget.mustEnd(), false, "its slice has just begun");
  await target.pass(100);
  assert.equal(target.call(0).budget.mustEnd(), true);
  await target.stop();
});

test("what a repair found stands in the queue before the repair is done", async () => {
  const target = scriptedTarget({ threads: 1 });
  target.append("repair", "d");
  await target.pass();
  target.call(0).done({ append: [{ kind: "write", path: "d/x" }] });
  await target.pass();
  assert.equal(target.call(0).entries[0]?.path, "d/x");
  await target.stop();
});

test("the main thread settles what is unsettled when it has nothing else to do", async () => {
  const target = scriptedTarget({ threads: 1 });
  target.append("write", "a");
  await target.pass();
  target.isUnsettled = true;
  await target.pass();
  assert.equal(target.settled, 0);
  target.call(0).done();
  await target.pass();
  assert.equal(target.settled, 1);
  await target.stop();
});

test("the connections of a target keep to one bandwidth together", async () => {
  const target = scriptedTarget({ threads: 2, bytesPerSecond: 1_000_000 });
  target.append("sync-copy", "a");
  target.append("sync-copy", "b");
  await target.pass();
  const beganMs = target.clock.nowMs();
  for (const { connection } of [...target.calls])
    for (let part = 0; part < 10; part++) void connection.apply(new Uint8Array(100_000), 1);
  for (let at = 0; at < 30; at++) await target.pass(100);
  assert.equal(target.applied.length, 20);
  assert.equal(target.threads.figures.sentBytes, 2_000_000);
  for (const [at, { atMs }] of target.applied.entries()) {
    const allowed = ((atMs - beganMs) / 1000) * 1_000_000 + 200_000;
    assert.ok((at + 1) * 100_000 <= allowed + 1, `${at + 1} bundles after ${atMs - beganMs} ms`);
  }
  assert.ok(target.applied.at(-1)!.atMs - beganMs <= 2000, "and use it");
  await target.stop();
});

test("who waits for bandwidth on a connection that dies hears of it at once", async () => {
  const target = scriptedTarget({ threads: 1, bytesPerSecond: 1 });
  target.append("write", "a");
  await target.pass();
  const { connection } = target.call(0);
  void connection.apply(new Uint8Array(1000), 1);
  const waiting = assert.rejects(connection.apply(new Uint8Array(1000), 1), { code: "UNREACHABLE" });
  await target.pass();
  target.connection(0).die();
  await waiting;
  await target.stop();
});

test("what is appended in the very moment in which a thread found nothing is not missed", async () => {
  for (let moment = 0; moment < 20; moment++) {
    const target = scriptedTarget({ threads: 1 });
    target.append("write", "a");
    await target.pass();
    target.call(0).done();
    for (let at = 0; at < moment; at++) await undefined;
    const entry = target.append("write", "b");
    await target.pass();
    assert.deepEqual(target.call(0).entries, [entry], `moment ${moment}`);
    await target.stop();
  }
});

test("failures of single files are counted, and the last hundred are kept", async () => {
  const target = scriptedTarget({ threads: 1 });
  target.append("write", "a");
  await target.pass();
  const failures = Array.from({ length: 250 }, (_, at) => ({
    path: `f${at}`,
    errno: "EACCES",
    doing: "open",
  }));
  target.call(0).done({ failures });
  await target.pass();
  assert.equal(target.threads.figures.failureCount, 250);
  assert.deepEqual(target.threads.figures.failures, failures.slice(150));
  await target.stop();
});

test("stopping ends at the next entry and closes all connections; one that hangs is cut", async () => {
  const target = scriptedTarget({ threads: 2 });
  target.append("sync-copy", "a");
  await target.pass();
  target.connection(0).hangs = true;
  target.connection(1).hangs = true;
  let isStopped = false;
  const stopped = target.threads.stop().then(() => {
    isStopped = true;
  });
  await target.pass(4000);
  assert.equal(isStopped, false);
  await target.pass(2000);
  await stopped;
  assert.deepEqual(target.open(), []);
  assert.equal(target.threads.figures.state, "stopped");
  assert.equal(target.clock.pending, 0, "no timer is left");
});
