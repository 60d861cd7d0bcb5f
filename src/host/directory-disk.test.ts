import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "../../test/support/needs.ts";
import { openDirectoryDisk } from "./directory-disk.ts";
import { linuxCalls } from "./linux-calls.ts";
import { temporaryDirectory, temporaryFileSystem } from "./testing/temporary-directory.ts";

const MIB = 1024 * 1024;

test("a new file has all its blocks, reads as zeros, and is for its owner only", async (t) => {
  const directory = temporaryDirectory(t);
  const disk = await openDirectoryDisk(directory);
  const file = await disk.create("seg-1", MIB);
  const stats = statSync(join(directory, "seg-1"));
  assert.equal(stats.size, MIB);
  assert.ok(stats.blocks * 512 >= MIB, `${stats.blocks} blocks`);
  assert.equal(stats.mode & 0o777, 0o600);
  const bytes = new Uint8Array(MIB).fill(9);
  await file.read(0, bytes, 0, MIB);
  assert.ok(bytes.every((byte) => byte === 0));
  await file.close();
});

test("a taken name is not made again and keeps its content", async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "seg-1"), "kept");
  const disk = await openDirectoryDisk(directory);
  await assert.rejects(disk.create("seg-1", 4096), { code: "ALREADY_EXISTS", message: /seg-1/ });
  assert.equal(readFileSync(join(directory, "seg-1"), "utf8"), "kept");
});

test(
  "a full disk refuses a new file with NO_SPACE and nothing of it stays",
  needs("root", "mount"),
  async (t) => {
    const directory = temporaryFileSystem(t, "size=1m");
    const disk = await openDirectoryDisk(directory);
    await (await disk.create("seg-1", 512 * 1024)).close();
    await assert.rejects(disk.create("seg-2", 4 * MIB), {
      code: "NO_SPACE",
      message: /fallocate of .*seg-2/,
    });
    assert.deepEqual(readdirSync(directory), ["seg-1"]);
    await (await disk.create("seg-3", 256 * 1024)).close();
  },
);

test("a failed allocation of another kind is IO_ERROR and nothing of it stays", async (t) => {
  const directory = temporaryDirectory(t);
  const disk = await openDirectoryDisk(directory, { calls: { ...linuxCalls, allocate: async () => -5 } });
  await assert.rejects(disk.create("seg-1", 4096), {
    code: "IO_ERROR",
    message: /fallocate of .*seg-1.*EIO/,
  });
  assert.deepEqual(readdirSync(directory), []);
});

test("files are listed with their sizes, without folders and the lock", async (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, "folder"));
  const disk = await openDirectoryDisk(directory);
  await disk.lock();
  await (await disk.create("seg-1", 8192)).close();
  await (await disk.create("super.a", 4096)).close();
  const entries = (await disk.list()).sort((a, b) => (a.name < b.name ? -1 : 1));
  assert.deepEqual(entries, [
    { name: "seg-1", sizeBytes: 8192 },
    { name: "super.a", sizeBytes: 4096 },
  ]);
  await disk.unlock();
});

test("an opened file has its size and content, and can be written", async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "seg-1"), Buffer.alloc(8192, 3));
  const disk = await openDirectoryDisk(directory);
  const file = await disk.open("seg-1");
  assert.equal(file.name, "seg-1");
  assert.equal(file.sizeBytes, 8192);
  file.write(4096, [Uint8Array.of(1, 2, 3)]);
  await file.close();
  assert.deepEqual([...readFileSync(join(directory, "seg-1")).subarray(4095, 4100)], [3, 1, 2, 3, 3]);
});

test("what is not there is NOT_FOUND to open, rename and remove", async (t) => {
  const disk = await openDirectoryDisk(temporaryDirectory(t));
  await assert.rejects(disk.open("seg-1"), { code: "NOT_FOUND", message: /open of .*seg-1/ });
  await assert.rejects(disk.rename("seg-1", "seg-2"), { code: "NOT_FOUND" });
  await assert.rejects(disk.remove("seg-1"), { code: "NOT_FOUND" });
});

test("a renamed file replaces the one of that name, and a removed one is gone", async (t) => {
  const directory = temporaryDirectory(t);
  const disk = await openDirectoryDisk(directory);
  writeFileSync(join(directory, "a"), "new");
  writeFileSync(join(directory, "b"), "old");
  await disk.rename("a", "b");
  assert.equal(readFileSync(join(directory, "b"), "utf8"), "new");
  await disk.remove("b");
  await disk.syncDirectory();
  assert.deepEqual(await disk.list(), []);
});

test("a directory that disappeared is IO_ERROR to list and to sync", async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, "pool");
  const disk = await openDirectoryDisk(path);
  await (await openDirectoryDisk(directory)).rename("pool", "moved");
  await assert.rejects(disk.list(), { code: "IO_ERROR", message: /readdir of .*pool.*ENOENT/ });
  await assert.rejects(disk.syncDirectory(), { code: "IO_ERROR", message: /fsync of .*pool.*ENOENT/ });
});

test("a name that leaves the directory, or is the lock's, is a programmer's error", async (t) => {
  const disk = await openDirectoryDisk(temporaryDirectory(t));
  for (const name of ["../seg", "a/b", "", ".", "..", "lock", "a\0b", "x".repeat(256)]) {
    await assert.rejects(disk.create(name, 4096), { name: "AssertionFailed" }, name);
  }
});
