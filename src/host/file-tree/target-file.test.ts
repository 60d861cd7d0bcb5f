import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Deferred } from "../../base/deferred.ts";
import { packOperation } from "../../wire/filesync/mod.ts";
import { OpenedTargetFile } from "./target-file.ts";
import type { TargetReference } from "./target-job.ts";
import type { TargetJobs } from "./target-thread.ts";
import { fileOf, temporaryTarget } from "./testing/temporary-target.ts";
import { TreeThreads } from "./tree-threads.ts";

const MIB = 2 ** 20;

function commitOf(path: string, sizeBytes: number): Uint8Array {
  return packOperation(fileOf(path, "", { attributes: { sizeBytes, mode: 0o640 } }));
}

test("a large file is seen only when it is whole, with what was kept of the old one", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  const old = Buffer.alloc(3 * MIB, 1);
  writeFileSync(join(path, "f"), old);
  const file = await tree.begin("f");
  await Promise.all([file.keep(0, MIB), file.write(2 * MIB, Buffer.alloc(MIB, 2))]);
  assert.deepEqual(readFileSync(join(path, "f")), old);
  assert.equal(await file.commit(commitOf("f", 3 * MIB)), undefined);
  const content = Buffer.concat([Buffer.alloc(MIB, 1), Buffer.alloc(MIB), Buffer.alloc(MIB, 2)]);
  assert.deepEqual(readFileSync(join(path, "f")), content);
  assert.equal(statSync(join(path, "f")).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(path), ["f"]);
  await assert.rejects(file.write(0, old), { code: "SHUTTING_DOWN" });
});

test("holes of a large file stay holes, written or kept", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  writeFileSync(join(path, "f"), "begin");
  truncateSync(join(path, "f"), 64 * MIB);
  const file = await tree.begin("f");
  await file.keep(0, 64 * MIB);
  assert.equal(await file.commit(commitOf("f", 128 * MIB)), undefined);
  const { size, blocks } = statSync(join(path, "f"));
  assert.equal(size, 128 * MIB);
  assert.ok(blocks * 512 < MIB);
});

test("an abort and a close leave nothing of a large file", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  const [aborted, left] = await Promise.all([tree.begin("a/f"), tree.begin("b/f")]);
  await Promise.all([aborted.write(0, Buffer.alloc(MIB)), left.write(0, Buffer.alloc(MIB))]);
  await aborted.abort();
  await tree.close();
  assert.deepEqual(readdirSync(path, { recursive: true }).sort(), ["a", "b"]);
});

test("a large file in the place of a directory goes by the policy", async (t) => {
  const kept = await temporaryTarget(t, { deletes: "keep" });
  const mirrored = await temporaryTarget(t);
  for (const { path } of [kept, mirrored]) mkdirSync(join(path, "f/inside"), { recursive: true });
  const refused = await (await kept.tree.begin("f")).commit(commitOf("f", 5));
  assert.equal(refused?.errno, "EEXIST");
  assert.deepEqual(readdirSync(kept.path, { recursive: true }).sort(), ["f", "f/inside"]);
  assert.equal(await (await mirrored.tree.begin("f")).commit(commitOf("f", 5)), undefined);
  assert.equal(statSync(join(mirrored.path, "f")).size, 5);
});

test("a file is not committed by an operation of another path", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  const file = await tree.begin("f");
  await assert.rejects(file.commit(commitOf("g", 5)), { code: "PROTOCOL_ERROR" });
  assert.deepEqual(readdirSync(path), []);
});

test("hashes of what stands at a path are the same whatever threads make them, and none of what is no file", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  writeFileSync(join(path, "f"), Buffer.alloc(20 * MIB, "content of blocks"));
  const request = { offset: 0, length: 24 * MIB, blockBytes: 128 * 1024, seed: 7 };
  const several = await tree.hashes("f", request);
  assert.equal(several.length, 160 * 16);
  const half = await tree.hashes("f", { ...request, offset: 10 * MIB, length: MIB });
  assert.deepEqual(half, several.slice(80 * 16, 88 * 16));
  mkdirSync(join(path, "d"));
  assert.deepEqual(
    [(await tree.hashes("d", request)).length, (await tree.hashes("no", request)).length],
    [0, 0],
  );
});

/** Its jobs do nothing, but take until they are told to end where that is asked. */
class RecordingThreads extends TreeThreads<TargetJobs> {
  readonly jobs: string[] = [];
  readonly holds = new Map<keyof TargetJobs, Deferred>();
  isPlaced = true;

  constructor() {
    super({ script: new URL("file:///none") });
  }

  hold(name: keyof TargetJobs): Deferred {
    const held = new Deferred();
    this.holds.set(name, held);
    return held;
  }

  override async run(name: keyof TargetJobs): Promise<never> {
    this.jobs.push(name);
    await this.holds.get(name)?.promise;
    const { isPlaced } = this;
    return (name === "commit" ? { failure: undefined, isPlaced, lost: [] } : undefined) as never;
  }
}

function recordedFile(durability: TargetReference["durability"]) {
  const threads = new RecordingThreads();
  const file = new OpenedTargetFile(
    { directory: -1, fd: -1, old: -1, temporary: "" },
    {
      threads,
      target: { durability } as TargetReference,
      path: "f",
      nowMs: () => 0,
      news: () => [],
      closed: () => undefined,
    },
  );
  return { threads, file };
}

test("the disk writes a large file while the rest comes, one call at a time, and the commit waits for it", async () => {
  const { threads, file } = recordedFile("batch");
  const writeback = threads.hold("writeback");
  await file.keep(0, 15 * MIB);
  assert.deepEqual(threads.jobs, ["keep"]);
  await file.keep(15 * MIB, MIB);
  await file.keep(16 * MIB, 32 * MIB);
  assert.deepEqual(threads.jobs.splice(0), ["keep", "keep", "writeback", "keep"]);
  const committed = file.commit(commitOf("f", 48 * MIB));
  await new Promise(setImmediate);
  assert.deepEqual(threads.jobs, []);
  writeback.resolve();
  await committed;
  await file.abort();
  assert.deepEqual(threads.jobs, ["commit", "end"]);
});

test("a commit waits until its temporary is removed, but not until what it replaced is freed", async () => {
  for (const isPlaced of [true, false]) {
    const { threads, file } = recordedFile("batch");
    threads.isPlaced = isPlaced;
    const end = threads.hold("end");
    let isCommitted = false;
    const committed = file.commit(commitOf("f", 1)).then(() => {
      isCommitted = true;
    });
    let isClosed = false;
    const closed = new Promise(setImmediate)
      .then(() => file.abort())
      .then(() => {
        isClosed = true;
      });
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual([isCommitted, isClosed], [isPlaced, false]);
    end.resolve();
    await Promise.all([committed, closed]);
  }
});

test("a target that need not be durable leaves writing to the kernel", async () => {
  const { threads, file } = recordedFile("none");
  await file.keep(0, 64 * MIB);
  assert.deepEqual(threads.jobs, ["keep"]);
});
