import assert from "node:assert/strict";
import { readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { needs } from "../../test/support/needs.ts";
import type { Disk, DiskFile } from "../ports/mod.ts";
import { openDirectoryDisk } from "./directory-disk.ts";
import { type LinuxCalls, linuxCalls } from "./linux-calls.ts";
import { temporaryDirectory, temporaryExt4 } from "./testing/temporary-directory.ts";

interface Opened {
  disk: Disk;
  file: DiskFile;
  path: string;
}

async function openFile(t: TestContext, sizeBytes: number, calls: Partial<LinuxCalls> = {}): Promise<Opened> {
  const directory = temporaryDirectory(t);
  return openFileIn(directory, sizeBytes, calls);
}

async function openFileIn(
  directory: string,
  sizeBytes: number,
  calls: Partial<LinuxCalls> = {},
): Promise<Opened> {
  const disk = await openDirectoryDisk(directory, { calls: { ...linuxCalls, ...calls } });
  const file = await disk.create("seg-1", sizeBytes);
  return { disk, file, path: join(directory, "seg-1") };
}

/** Bytes that tell their place. */
function pattern(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8) + seed) & 0xff);
}

test("one part and many parts stand one behind the other where they were written", async (t) => {
  const { file, path } = await openFile(t, 16384);
  file.write(100, [pattern(50)]);
  file.write(4096, [pattern(10, 1), new Uint8Array(0), pattern(4096, 2), pattern(1, 3)]);
  file.write(9000, []);
  const bytes = readFileSync(path);
  assert.deepEqual(bytes.subarray(100, 150), Buffer.from(pattern(50)));
  const expected = Buffer.concat([pattern(10, 1), pattern(4096, 2), pattern(1, 3)]);
  assert.deepEqual(bytes.subarray(4096, 4096 + expected.length), expected);
  assert.equal(bytes.length, 16384);
  await file.close();
});

test("more parts than one system call takes are all written", async (t) => {
  const parts = Array.from({ length: 2500 }, (_, index) => pattern(1 + (index % 7), index));
  const expected = Buffer.concat(parts);
  const { file, path } = await openFile(t, expected.length + 5);
  file.write(5, parts);
  assert.deepEqual(readFileSync(path).subarray(5), expected);
  await file.close();
});

test("a write past the file's end is a programmer's error", async (t) => {
  const { file } = await openFile(t, 4096);
  assert.throws(() => file.write(4000, [new Uint8Array(97)]), { name: "AssertionFailed" });
  assert.throws(() => file.write(-1, [new Uint8Array(1)]), { name: "AssertionFailed" });
  await file.close();
});

test("what was just written is read at once, into the middle of a buffer, and nothing beside it", async (t) => {
  const { file } = await openFile(t, 1 << 20);
  file.write(0, [pattern(1 << 20)]);
  for (const [position, targetOffset, length] of [
    [0, 0, 4096],
    [12345, 7, 5000],
    [(1 << 20) - 1, 3, 1],
    [4096, 0, 300_000],
    [4096, 9, 0],
  ] as const) {
    // A view into a larger buffer: the address must count the view's own offset.
    const target = new Uint8Array(new ArrayBuffer(length + 64), 16, length + 32).fill(0xee);
    assert.equal(file.readNow(position, target, targetOffset, length), true);
    const expected = new Uint8Array(length + 32).fill(0xee);
    expected.set(pattern(1 << 20).subarray(position, position + length), targetOffset);
    assert.deepEqual(target, expected);
  }
  await file.close();
});

test("a read to a small buffer that the engine holds inside its heap arrives", async (t) => {
  const { file } = await openFile(t, 4096);
  file.write(0, [pattern(64)]);
  const target = new Uint8Array(8);
  assert.equal(file.readNow(10, target, 0, 8), true);
  assert.deepEqual(target, pattern(64).subarray(10, 18));
  await file.close();
});

test("a read outside its buffer, or of no whole position, is a programmer's error", async (t) => {
  const { file } = await openFile(t, 4096);
  const target = new Uint8Array(100);
  for (const [position, targetOffset, length] of [
    [0, 1, 100],
    [0, -1, 10],
    [0, 0, -1],
    [0, 0.5, 10],
    [0, 0, Number.NaN],
    [-1, 0, 10],
    [Number.NaN, 0, 10],
  ] as const) {
    assert.throws(() => file.readNow(position, target, targetOffset, length), { name: "AssertionFailed" });
    await assert.rejects(file.read(position, target, targetOffset, length), { name: "AssertionFailed" });
  }
  const moved = new Uint8Array(100);
  structuredClone(moved.buffer, { transfer: [moved.buffer] });
  assert.throws(() => file.readNow(0, moved, 0, 100), { name: "AssertionFailed" });
  await file.close();
});

test("a read waits for what is not in memory", async (t) => {
  const { file } = await openFile(t, 1 << 20);
  file.write(0, [pattern(1 << 20)]);
  await file.sync();
  await file.dropCache();
  const target = new Uint8Array(70_000);
  await file.read(1000, target, 20, 60_000);
  assert.deepEqual(target.subarray(20, 60_020), pattern(1 << 20).subarray(1000, 61_000));
  assert.deepEqual(target.subarray(0, 20), new Uint8Array(20));
  await file.close();
});

test(
  "after dropCache the bytes are not in memory, and come from the device",
  needs("root", "loop", "mkfs.ext4"),
  async (t) => {
    const { file } = await openFileIn(temporaryExt4(t, 16 << 20), 1 << 20);
    file.write(0, [pattern(1 << 20)]);
    await file.sync();
    const target = new Uint8Array(1 << 20);
    assert.equal(file.readNow(0, target, 0, 1 << 20), true);
    await file.dropCache();
    assert.equal(file.readNow(0, target, 0, 1 << 20), false);
    await file.read(0, target, 0, 1 << 20);
    assert.deepEqual(target, pattern(1 << 20));
    assert.equal(file.readNow(0, target, 0, 1 << 20), true);
    await file.close();
  },
);

test("a partly or not at all cached range is not read now", async (t) => {
  const results = [4095, -11, -4];
  const { file } = await openFile(t, 8192, { readNowait: () => results.shift()! });
  const target = new Uint8Array(4096);
  assert.equal(file.readNow(0, target, 0, 4096), false);
  assert.equal(file.readNow(0, target, 0, 4096), false);
  assert.equal(file.readNow(0, target, 0, 4096), false);
  await file.close();
});

test("a failed read is IO_ERROR with the file, the call and the errno", async (t) => {
  const { file } = await openFile(t, 8192, { readNowait: () => -5 });
  assert.throws(() => file.readNow(0, new Uint8Array(10), 0, 10), {
    code: "IO_ERROR",
    message: /preadv2 of .*seg-1 failed with EIO/,
  });
  await file.close();
});

test("a file that became shorter is IO_ERROR, not zeros", async (t) => {
  const { file, path } = await openFile(t, 8192);
  truncateSync(path, 5000);
  const target = new Uint8Array(4096);
  const cut = { code: "IO_ERROR", message: /seg-1 found the file's end at \d+; it was 8192 bytes long/ };
  assert.throws(() => file.readNow(6000, target, 0, 10), cut);
  assert.equal(file.readNow(4096, target, 0, 4096), false);
  await assert.rejects(file.read(4096, target, 0, 4096), cut);
  await file.close();
});

test("where the kernel cannot read without waiting, a read waits, with the same results", async (t) => {
  let asked = 0;
  const readNowait = () => {
    asked++;
    return -95;
  };
  const { file, path } = await openFile(t, 8192, { readNowait });
  file.write(0, [pattern(8192)]);
  const target = new Uint8Array(5000);
  assert.equal(file.readNow(10, target, 100, 4096), true);
  assert.deepEqual(target.subarray(100, 4196), pattern(8192).subarray(10, 4106));
  assert.equal(file.readNow(0, target, 0, 5000), true);
  assert.equal(asked, 1);
  truncateSync(path, 100);
  assert.throws(() => file.readNow(0, target, 0, 5000), { code: "IO_ERROR" });
  await file.close();
});

test("a failed fadvise is IO_ERROR", async (t) => {
  const { file } = await openFile(t, 4096, { dropCache: async () => -22 });
  await assert.rejects(file.dropCache(), { code: "IO_ERROR", message: /posix_fadvise of .*seg-1.*EINVAL/ });
  await file.close();
});

test("close waits for the calls under way", async (t) => {
  let end: (result: number) => void = () => {};
  const { file } = await openFile(t, 4096, { dropCache: () => new Promise((resolve) => (end = resolve)) });
  const order: string[] = [];
  const dropped = file.dropCache().then(() => order.push("dropped"));
  const closed = file.close().then(() => order.push("closed"));
  await new Promise((resolve) => setTimeout(resolve, 20));
  end(0);
  await Promise.all([dropped, closed]);
  assert.deepEqual(order, ["dropped", "closed"]);
});

test("a closed file is not used again", async (t) => {
  const { file } = await openFile(t, 4096);
  await file.close();
  const target = new Uint8Array(1);
  assert.throws(() => file.write(0, [target]), { name: "AssertionFailed" });
  assert.throws(() => file.readNow(0, target, 0, 1), { name: "AssertionFailed" });
  await assert.rejects(file.read(0, target, 0, 1), { name: "AssertionFailed" });
  assert.throws(() => void file.sync(), { name: "AssertionFailed" });
  await assert.rejects(file.close(), { name: "AssertionFailed" });
});

test("what is written in a row begins its way to the device by the mebibyte; what jumps does not", async (t) => {
  const begun: [number, number][] = [];
  const beginWriteback = async (_fd: number, position: number, length: number) => {
    begun.push([position, position + length]);
    return begun.length === 1 ? 0 : -5;
  };
  const { file } = await openFile(t, 8 << 20, { beginWriteback });
  for (let at = 0; at < 4 << 20; at += 100_000) {
    if (at % 200_000 === 0) file.write(at, [pattern(100_000)]);
    else await file.writeAside(at, [pattern(60_000), pattern(40_000)]);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(begun.length >= 3, `${begun.length} ranges`);
  let end = 0;
  for (const [from, to] of begun) {
    assert.ok(from <= end && to > end, "no gap, and it goes on");
    assert.equal(to % 4096, 0);
    end = to;
  }
  assert.ok(end > 2.5 * (1 << 20));
  begun.length = 0;
  for (let count = 0; count < 100; count += 1) file.write(((count * 37) % 120) * 65_536, [pattern(40_000)]);
  assert.deepEqual(begun, []);
  await file.sync();
  await file.close();
});
