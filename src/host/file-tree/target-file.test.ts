import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { packOperation } from "../../wire/filesync/mod.ts";
import { fileOf, temporaryTarget } from "./testing/temporary-target.ts";

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
