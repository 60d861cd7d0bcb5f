import assert from "node:assert/strict";
import test from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import { nextTurn } from "../../ports/mod.ts";
import { NO_MAC, PROTOCOL_VERSION, packOperation, type Request } from "../../wire/filesync/mod.ts";
import { CONFIGURATION, openAdmission } from "../testing/local-target.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { TargetSession } from "./target-session.ts";

const isCode = (code: string) => (error: unknown) => error instanceof RopewalkError && error.code === code;
const turn = () => nextTurn(new SteppedClock());

function hello(role: "main" | "sync"): Request {
  const { modes, deletes, synchronization, target } = CONFIGURATION;
  const connection = role === "main" ? 0 : 1;
  const about = { modes, deletes, synchronization, target, connection, connections: 2, role };
  const more = {
    version: PROTOCOL_VERSION,
    nonce: new Uint8Array(32),
    sourceHost: "",
    sourceDirectory: "",
    mac: NO_MAC,
  };
  return { type: "hello", hello: { ...about, ...more } };
}

async function sessionOf(tree: MemoryTree, role: "main" | "sync", left?: () => void): Promise<TargetSession> {
  const session = new TargetSession(openAdmission(tree, left));
  await session.handle(hello(role));
  return session;
}

function remove(path: string, isUnordered = false): Request {
  return { type: "apply", bundle: packOperation({ op: "remove", path, recursive: true }), isUnordered };
}

test("before HELLO is done nothing else is answered, and it comes once", async () => {
  const session = new TargetSession(openAdmission(new MemoryTree()));
  for (const type of ["keepAlive", "sync", "free"] as const)
    await assert.rejects(session.handle({ type }), isCode("PROTOCOL_ERROR"));
  assert.equal(session.isAdmitted, false);
  await session.handle(hello("main"));
  await assert.rejects(session.handle(hello("main")), isCode("PROTOCOL_ERROR"));
});

test("a main connection's requests are carried out one after another, a sync connection's beside each other", async () => {
  for (const [role, expected] of [
    ["main", ["apply a"]],
    ["sync", ["apply a", "apply b"]],
  ] as const) {
    const tree = new MemoryTree();
    const session = await sessionOf(tree, role);
    const busy = new Deferred();
    tree.before = () => busy.promise;
    const done = [session.handle(remove("a")), session.handle(remove("b"))];
    await turn();
    assert.deepEqual(tree.calls, expected);
    busy.resolve();
    await Promise.all(done);
    assert.deepEqual(tree.calls, ["apply a", "apply b"]);
  }
});

test("on a main connection copies, scans, hashes and keep-alives overtake what takes long", async () => {
  const tree = new MemoryTree();
  const session = await sessionOf(tree, "main");
  const busy = new Deferred();
  tree.before = (call) => (call === "sync" ? busy.promise : undefined);
  const long = session.handle({ type: "sync" });
  const late = session.handle({ type: "stat", paths: ["x"] });
  await turn();
  await session.handle(remove("a", true));
  await session.handle({ type: "keepAlive" });
  await session.handle({ type: "scan", paths: [""], withListings: false, excludes: { patterns: [] } });
  assert.deepEqual(tree.calls, ["sync", "apply a", "scan "]);
  busy.resolve();
  await Promise.all([long, late]);
});

test("on a main connection parts of a file that nobody sees yet are written beside what takes long, its commit is not", async () => {
  const tree = new MemoryTree({ f: "old" });
  const session = await sessionOf(tree, "main");
  await session.handle({ type: "begin", path: "f" });
  const busy = new Deferred();
  tree.before = (call) => (call === "sync" ? busy.promise : undefined);
  const long = session.handle({ type: "sync" });
  const { attributes } = await tree.open("f");
  const packed = packOperation({
    op: "file",
    path: "f",
    attributes,
    extended: new Uint8Array(),
    extents: [],
  });
  const commit = session.handle({ type: "commit", handle: 1, packed });
  await turn();
  const parts = [
    session.handle({ type: "write", handle: 1, offset: 0, bytes: Buffer.from("N") }),
    session.handle({ type: "keep", handle: 1, offset: 1, length: 2 }),
  ];
  await turn();
  assert.deepEqual(tree.calls.slice(-2), ["write 0 1", "keep 1 2"]);
  assert.equal(tree.text("f"), "old");
  busy.resolve();
  await Promise.all([long, commit, ...parts]);
  assert.equal(tree.text("f"), "Nld");
});

test("a request that fails holds up none behind it", async () => {
  const tree = new MemoryTree();
  const session = await sessionOf(tree, "main");
  tree.before = (call) => {
    if (call === "sync") throw new RopewalkError("IO_ERROR", "the disk");
  };
  const failed = assert.rejects(session.handle({ type: "sync" }), isCode("IO_ERROR"));
  assert.deepEqual(await session.handle({ type: "free" }), { type: "free", freeBytes: 1e9 });
  await failed;
});

test("files that were begun end with the connection, also one whose beginning was under way", async () => {
  const tree = new MemoryTree();
  const session = await sessionOf(tree, "main");
  await session.handle({ type: "begin", path: "a" });
  const busy = new Deferred();
  tree.before = () => busy.promise;
  const late = session.handle({ type: "begin", path: "b" });
  await turn();
  const closed = session.close();
  busy.resolve();
  await assert.rejects(late, isCode("SHUTTING_DOWN"));
  await closed;
  assert.equal(tree.openFiles, 0);
});

test("a connection has left only when nothing of it is under way, whatever runs beside what", async () => {
  for (const role of ["main", "sync"] as const) {
    const tree = new MemoryTree();
    let hasLeft = false;
    const session = await sessionOf(tree, role, () => (hasLeft = true));
    const busy = new Deferred();
    tree.before = () => busy.promise;
    const copy = session.handle(remove("a", true));
    const closed = session.close();
    await turn();
    assert.equal(hasLeft, false, role);
    busy.resolve();
    await Promise.all([copy, closed]);
    assert.equal(hasLeft, true);
  }
});

test("what waits for its turn when the connection ends is not carried out", async () => {
  const tree = new MemoryTree();
  const session = await sessionOf(tree, "main");
  const busy = new Deferred();
  tree.before = () => busy.promise;
  const first = session.handle(remove("a"));
  const second = assert.rejects(session.handle(remove("b")), isCode("SHUTTING_DOWN"));
  await turn();
  const closed = session.close();
  busy.resolve();
  await Promise.all([first, second, closed]);
  assert.deepEqual(tree.calls, ["apply a"]);
});

test("a handle that is not open breaks the protocol, but to give it up twice is no harm", async () => {
  const session = await sessionOf(new MemoryTree(), "main");
  await assert.rejects(
    session.handle({ type: "keep", handle: 5, offset: 0, length: 1 }),
    isCode("PROTOCOL_ERROR"),
  );
  assert.deepEqual(await session.handle({ type: "abort", handle: 5 }), { type: "abort" });
});

test("a connection may have 64 files open", async () => {
  const session = await sessionOf(new MemoryTree(), "sync");
  for (let file = 0; file < 64; file += 1) await session.handle({ type: "begin", path: `f${file}` });
  await assert.rejects(session.handle({ type: "begin", path: "one" }), isCode("TOO_MANY"));
});
