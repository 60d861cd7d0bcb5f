import assert from "node:assert/strict";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { checksumAt } from "../../base/checksum.ts";
import { temporaryDirectory } from "../testing/temporary-directory.ts";
import { HostPageThreads, openPageThreads } from "./page-threads.ts";

const PAGE = 4096;
const MIB = 2 ** 20;

async function threads(t: TestContext, count = 2): Promise<HostPageThreads> {
  const opened = new HostPageThreads({ count, memoryBytes: 8 * MIB });
  t.after(() => opened.close());
  await opened.ready;
  return opened;
}

/** Different bytes in every page, at no particular alignment. */
function filled(opened: HostPageThreads, lengthBytes: number): Uint8Array {
  const bytes = opened.allocate(lengthBytes + 28)!.subarray(28);
  for (let at = 0; at < bytes.length; at += 7) bytes[at] = at % 251;
  for (let page = 0; page < bytes.length / PAGE; page += 1) bytes[page * PAGE] = page % 256;
  return bytes;
}

const sumsOf = (bytes: Uint8Array) =>
  Uint32Array.from({ length: bytes.length / PAGE }, (_, page) => checksumAt(bytes, page * PAGE, PAGE));

function pagesFile(t: TestContext, bytes: Uint8Array, at = 0): number {
  const descriptor = openSync(join(temporaryDirectory(t), "pages"), "w+");
  t.after(() => closeSync(descriptor));
  writeSync(descriptor, bytes, 0, bytes.length, at);
  return descriptor;
}

test("checksums come from the threads, also of more pages than one job takes", async (t) => {
  const opened = await threads(t);
  for (const pages of [16, 32, 64, 65, 200]) {
    const bytes = filled(opened, pages * PAGE);
    assert.deepEqual(await opened.checksums(bytes), sumsOf(bytes));
  }
  assert.equal(opened.inWork, 0);
});

test("many jobs at once each get their own sums; what does not fit the board is not taken", async (t) => {
  const opened = await threads(t);
  const bytes = filled(opened, 4 * MIB);
  const expected = sumsOf(bytes);
  for (let round = 0; round < 20; round += 1) {
    let taken = 0;
    const jobs: Promise<void>[] = [];
    for (let index = 0; index < 300; index += 1) {
      const first = (index * 37) % 900;
      const sums = opened.checksums(bytes.subarray(first * PAGE, (first + 20) * PAGE));
      if (sums === undefined) continue;
      taken += 1;
      jobs.push(sums.then((got) => assert.deepEqual(got, expected.slice(first, first + 20))));
    }
    assert.ok(taken >= 200 && taken <= 256, `${taken} of 300 taken`);
    await Promise.all(jobs);
  }
  assert.equal(opened.inWork, 0);
});

test("few pages, foreign memory and a used-up memory are left to the caller", async (t) => {
  const opened = await threads(t, 1);
  assert.equal(opened.checksums(filled(opened, 15 * PAGE)), undefined);
  assert.equal(opened.checksums(new Uint8Array(64 * PAGE)), undefined);
  assert.equal(opened.allocate(9 * MIB), undefined);
  assert.ok(opened.allocate(MIB));
});

test("a read is compared with its sums, beyond 4 GiB too, and one wrong page is told", async (t) => {
  const opened = await threads(t);
  const place = 5 * 2 ** 30 + 512;
  const content = new Uint8Array(filled(opened, 100 * PAGE));
  const descriptor = pagesFile(t, content, place);
  const target = opened.allocate(100 * PAGE)!;
  const sums = sumsOf(content);
  assert.equal(await opened.read(descriptor, place, target, sums), true);
  assert.deepEqual(new Uint8Array(target), content);
  for (const page of [0, 63, 64, 99]) {
    const wrong = sums.slice();
    wrong[page]! ^= 1;
    assert.equal(await opened.read(descriptor, place, target, wrong), false, `page ${page}`);
  }
  assert.equal(await opened.read(descriptor, place + PAGE, target, sums), false, "the file ends before");
});

test("jobs that are long in coming end although the loop sleeps meanwhile", async (t) => {
  const opened = await threads(t, 1);
  const bytes = filled(opened, 64 * PAGE);
  for (let round = 0; round < 20; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    const waits = Array.from({ length: 30 }, () => opened.checksums(bytes)!);
    assert.equal((await Promise.all(waits)).length, 30);
  }
});

test("when the threads end, what is in work ends too and nothing more is taken", async (t) => {
  const opened = await threads(t);
  const bytes = filled(opened, 64 * PAGE);
  await opened.checksums(bytes);
  const waits = Array.from({ length: 100 }, () => opened.checksums(bytes)!);
  await opened.close();
  for (const sums of await Promise.all(waits)) if (sums !== undefined) assert.deepEqual(sums, sumsOf(bytes));
  assert.equal(opened.inWork, 0);
  assert.equal(opened.checksums(bytes), undefined);
});

test("a write stands in the file, all parts behind each other, far out too; what fails says why", async (t) => {
  const opened = await threads(t);
  const descriptor = pagesFile(t, new Uint8Array(1));
  const bytes = filled(opened, 40 * PAGE);
  const parts = [bytes.subarray(0, 10), bytes.subarray(5000, 5000 + 3 * PAGE), bytes.subarray(7, 8)];
  const place = 6 * 2 ** 30 + 13;
  assert.equal(await opened.write(descriptor, place, parts), undefined);
  const found = new Uint8Array(11 + 3 * PAGE);
  readSync(descriptor, found, 0, found.length, place);
  assert.deepEqual(found, new Uint8Array(Buffer.concat(parts)));
  assert.deepEqual(await opened.write(9999, 0, parts), { errno: constants.errno.EBADF });
  assert.equal(opened.write(descriptor, 0, [new Uint8Array(10)]), undefined, "foreign memory");
  assert.equal(opened.write(descriptor, 0, new Array(33).fill(parts[0])), undefined, "too many parts");
});

test("threads that are still starting take nothing, and end when they are told to", async () => {
  for (const pauseMs of [0, 5, 20, 40]) {
    const opened = new HostPageThreads({ count: 2, memoryBytes: MIB });
    assert.equal(opened.checksums(opened.allocate(MIB)!), undefined);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    await opened.close();
  }
});

test("no threads are opened when none are wanted", () => {
  assert.equal(openPageThreads(0), undefined);
});
