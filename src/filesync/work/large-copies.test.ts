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

test("of a block that differs little is sent, and few hashes are asked for", async () => {
  const base = content(320);
  const changed = content(320);
  changed.fill(0xee, 1_000_001, 1_000_001 + 65_536);
  const ends = await bothEnds(changed, base);
  let hashes = 0;
  const asked = ends.target.hashes.bind(ends.target);
  ends.target.hashes = async (path, request) => {
    const reply = await asked(path, request);
    hashes += reply.length;
    return reply;
  };
  await (await ends.begin()).goOn("f", never);
  assert.ok(ends.isEqual());
  const from = 1_000_001 - (1_000_001 % 16_384);
  assert.deepEqual(ends.sent(), [`${from} ${5 * 16_384}`]);
  assert.ok(hashes <= (80 + 64) * 16, `${hashes} bytes of hashes for 40 MiB`);
});

test("of a file that grew what is behind the old end is sent without being compared", async () => {
  const ends = await bothEnds(content(20), content(10));
  let compared = 0;
  const asked = ends.target.hashes.bind(ends.target);
  ends.target.hashes = (path, request) => {
    compared = Math.max(compared, request.offset + request.length);
    return asked(path, request);
  };
  await (await ends.begin()).goOn("f", never);
  assert.ok(ends.isEqual());
  assert.equal(compared, 10 * 128 * 1024);
  assert.deepEqual(ends.sent().toSorted(), [
    `${10 * 128 * 1024} ${mebibyte}`,
    `${18 * 128 * 1024} ${2 * 128 * 1024}`,
  ]);
});

test("a file that is the same at both ends is not written, and has its attributes set", async () => {
  const ends = await bothEnds(content(200), content(200));
  ends.target.nodes.get("f")!.seconds = 5;
  ends.source.nodes.get("f")!.mode = 0o600;
  const copy = await ends.begin();
  assert.equal((await copy.goOn("f", always)).what, "putBack");
  const before = ends.target.nodes.get("f");
  assert.equal((await copy.goOn("f", never)).what, "done");
  assert.deepEqual([ends.target.nodes.get("f"), before?.mode], [before, 0o600]);
  assert.ok(!ends.target.calls.some((call) => call.startsWith("begin")));
  assert.equal(copy.bytes, 200 * 128 * 1024);
  assert.equal(ends.source.openFiles, 0);
});

test("a file of the same size and time with other content is sent", async () => {
  const base = content(200);
  base.fill(0xee, 128 * 1024 * 150, 128 * 1024 * 151);
  const ends = await bothEnds(content(200), base);
  ends.target.nodes.get("f")!.seconds = 5;
  assert.equal((await (await ends.begin()).goOn("f", never)).what, "done");
  assert.ok(ends.isEqual());
  assert.deepEqual(ends.sent(), [`${128 * 1024 * 150} ${128 * 1024}`]);
  assert.deepEqual([ends.source.openFiles, ends.target.openFiles], [0, 0]);
});

test("a file that becomes another at the target after it was compared is compared anew", async () => {
  const ends = await bothEnds(content(12), content(12));
  ends.target.nodes.get("f")!.seconds = 5;
  ends.target.before = (call) => {
    if (call === "apply") ends.target.write("f", content(3), 6);
  };
  assert.equal((await (await ends.begin()).goOn("f", never)).what, "done");
  assert.ok(ends.isEqual());
});

test("a file with several names gets a file of its own, also where its content is the same", async () => {
  const ends = await bothEnds(content(12), content(12));
  ends.target.nodes.get("f")!.seconds = 5;
  ends.target.link("f", "other");
  await (await ends.begin()).goOn("f", never);
  assert.notEqual(ends.target.nodes.get("f"), ends.target.nodes.get("other"));
});

test("where data ends is asked once for a file without holes", async () => {
  const ends = await bothEnds(content(80));
  const open = ends.source.open.bind(ends.source);
  let asked = 0;
  ends.source.open = async (path) => {
    const file = await open(path);
    return {
      ...file,
      dataAt: (offset) => {
        asked += 1;
        return file.dataAt(offset);
      },
    };
  };
  await (await ends.begin()).goOn("f", never);
  assert.ok(ends.isEqual());
  assert.equal(asked, 1);
});

test("at most six parts of a file are under way", async () => {
  const ends = await bothEnds(content(80));
  let [writing, most] = [0, 0];
  ends.target.before = async (call) => {
    if (call !== "write") return;
    writing += 1;
    most = Math.max(most, writing);
    await new Promise(setImmediate);
    writing -= 1;
  };
  await (await ends.begin()).goOn("f", never);
  assert.ok(ends.isEqual());
  assert.equal(most, 6);
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
