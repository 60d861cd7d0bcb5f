import assert from "node:assert/strict";
import test from "node:test";
import { RopewalkError } from "../../base/errors.ts";
import { connectTo, entryOf, workParts } from "../testing/local-target.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { CommandWork } from "./command-work.ts";
import { CopyWork } from "./copy-work.ts";
import { LargeCopy } from "./large-copies.ts";

const mebibyte = 2 ** 20;
const never = { mustEnd: () => false };
const always = { mustEnd: () => true };

/** Each block of 128 KiB is filled with its own number. */
function content(blocks: number): Buffer {
  return Buffer.concat(Array.from({ length: blocks }, (_, block) => Buffer.alloc(128 * 1024, block + 1)));
}

async function bothEnds(bytes: Uint8Array, base?: Uint8Array) {
  const [source, target] = [new MemoryTree(), new MemoryTree()];
  source.write("f", bytes, 5);
  if (base !== undefined) target.write("f", base);
  const parts = workParts(source);
  const connection = await connectTo(target);
  const begin = async (mode: "full" | "incremental" = "incremental") => {
    const copy = await LargeCopy.begin({ source, connection, sourcePath: "f", path: "f", mode });
    assert.ok(copy instanceof LargeCopy);
    return copy;
  };
  const isEqual = () => Buffer.compare(target.nodes.get("f")!.content, source.nodes.get("f")!.content) === 0;
  const sent = () => target.calls.filter((call) => call.startsWith("write")).map((call) => call.slice(6));
  return { source, target, parts, connection, begin, isEqual, sent };
}

test("nobody sees a large file before all of it is there, and nothing is open afterwards", async () => {
  const ends = await bothEnds(content(80));
  const copy = await ends.begin();
  assert.equal((await copy.goOn("f", always)).what, "putBack");
  assert.equal(ends.target.text("f"), undefined);
  assert.equal((await copy.goOn("f", never)).what, "done");
  assert.ok(ends.isEqual());
  assert.equal(ends.target.nodes.get("f")!.seconds, 5);
  assert.deepEqual([ends.source.openFiles, ends.target.openFiles], [0, 0]);
});

test("blocks that the target has are kept, the others are sent", async () => {
  const base = content(20);
  base.fill(0xee, 128 * 1024 * 3, 128 * 1024 * 4);
  const ends = await bothEnds(content(20), base);
  await (await ends.begin()).goOn("f", never);
  assert.ok(ends.isEqual());
  assert.deepEqual(ends.sent(), [`${128 * 1024 * 3} ${128 * 1024}`]);
});

test("a full copy does not look at what the target has", async () => {
  const ends = await bothEnds(content(10), content(10));
  await (await ends.begin("full")).goOn("f", never);
  assert.deepEqual(ends.sent(), [`0 ${mebibyte}`, `${mebibyte} ${2 * 128 * 1024}`]);
});

test("holes are not sent, with a base or without", async () => {
  const sparse = new Uint8Array(20 * mebibyte);
  sparse.fill(7, 15 * mebibyte, 15 * mebibyte + 4096);
  for (const base of [undefined, new Uint8Array(4096).fill(1)]) {
    const ends = await bothEnds(sparse, base);
    await (await ends.begin()).goOn("f", never);
    assert.ok(ends.isEqual());
    assert.deepEqual(ends.sent(), [`${15 * mebibyte} 4096`]);
  }
});

test("a file that shrinks while it is copied has its old length, and is told to be torn", async () => {
  const ends = await bothEnds(content(80));
  const copy = await ends.begin();
  await copy.goOn("f", always);
  ends.source.write("f", content(8));
  const outcome = await copy.goOn("f", never);
  assert.deepEqual([outcome.what, outcome.what === "done" && outcome.isTorn], ["done", true]);
  assert.equal(ends.target.nodes.get("f")!.content.length, 80 * 128 * 1024);
});

test("a large copy that is put back goes on where it was, and ends with its connection", async () => {
  const ends = await bothEnds(content(80));
  const work = new CopyWork(ends.parts);
  const entry = entryOf(ends.parts, "sync-copy", "f", { sizeBytes: 80 * 128 * 1024 });
  const first = await work.run([entry], ends.connection, always);
  assert.deepEqual([first.putBack, first.done], [[entry], []]);
  const second = await work.run([entry], ends.connection, never);
  assert.deepEqual([second.putBack, second.done], [[], [entry]]);
  assert.equal(ends.target.calls.filter((call) => call === "begin f").length, 1);
  await work.run(
    [entryOf(ends.parts, "sync-copy", "f", { sizeBytes: 80 * 128 * 1024, mode: "full" })],
    ends.connection,
    always,
  );
  assert.equal(ends.source.openFiles, 1);
  work.connectionEnded(ends.connection);
  await ends.connection.stat([]);
  assert.equal(ends.source.openFiles, 0);
});

test("a copy whose path was touched meanwhile is begun anew", async () => {
  const ends = await bothEnds(content(80));
  const work = new CopyWork(ends.parts);
  const entry = entryOf(ends.parts, "sync-copy", "f", { sizeBytes: 80 * 128 * 1024 });
  await work.run([entry], ends.connection, always);
  ends.source.write("f", content(8));
  Object.assign(entry, { isTouched: true });
  await work.run([entry], ends.connection, never);
  assert.ok(ends.isEqual());
  assert.deepEqual([ends.source.openFiles, ends.target.openFiles], [0, 0]);
});

test("a large file that cannot be read or written is told as a failure of that file", async () => {
  const troubles = [
    ["source", "open", "PERMISSION_DENIED", "f EACCES"],
    ["source", "read", "IO_ERROR", "f EIO"],
    ["target", "begin", "PERMISSION_DENIED", "f EACCES"],
    ["target", "keep", "PERMISSION_DENIED", "f EACCES"],
  ] as const;
  for (const [side, at, code, expected] of troubles) {
    const base = content(12);
    base.fill(0xee, 0, 128 * 1024);
    const ends = await bothEnds(content(12), base);
    ends[side].before = (call) => {
      if (call === at) throw new RopewalkError(code, at);
    };
    const entry = entryOf(ends.parts, "sync-copy", "f", { sizeBytes: 12 * 128 * 1024 });
    const copied = await new CopyWork(ends.parts).run([entry], ends.connection, never);
    const written = await new CommandWork(ends.parts).run(
      [entryOf(ends.parts, "write", "f")],
      ends.connection,
    );
    for (const { failures, done } of [copied, written]) {
      assert.deepEqual(
        failures.map(({ path, errno }) => `${path} ${errno}`),
        [expected],
        at,
      );
      assert.equal(done.length, 1);
    }
    assert.deepEqual([ends.source.openFiles, ends.target.openFiles], [0, 0], at);
  }
});

test("a large file in whose way something stands at the target is a repair, not a loss", async () => {
  const ends = await bothEnds(content(12));
  ends.target.before = (call) => {
    if (call === "begin") throw new RopewalkError("NOT_FOUND", "a file stands where its directory is to be");
  };
  const entry = entryOf(ends.parts, "sync-copy", "f", { sizeBytes: 12 * 128 * 1024 });
  const result = await new CopyWork(ends.parts).run([entry], ends.connection, never);
  assert.deepEqual(
    result.append.map(({ kind }) => kind),
    ["repair"],
  );
});

test("a large file that is gone at the source is done", async () => {
  const ends = await bothEnds(content(12));
  const entry = entryOf(ends.parts, "sync-copy", "f", { sizeBytes: 12 * 128 * 1024 });
  ends.source.remove("f");
  const result = await new CopyWork(ends.parts).run([entry], ends.connection, never);
  assert.deepEqual([result.done, result.failures, result.append], [[entry], [], []]);
});

test("a target that is full, or whose connection died, stops the work and leaves nothing open", async () => {
  for (const code of ["NO_SPACE", "UNREACHABLE"] as const) {
    const ends = await bothEnds(content(12));
    ends.target.before = (call) => {
      if (call === "write") throw new RopewalkError(code, "no");
    };
    const entry = entryOf(ends.parts, "sync-copy", "f", { sizeBytes: 12 * 128 * 1024 });
    await assert.rejects(new CopyWork(ends.parts).run([entry], ends.connection, never), { code });
    await ends.connection.stat(["f"]);
    assert.deepEqual([ends.source.openFiles, ends.target.openFiles], [0, 0]);
  }
});
