import assert from "node:assert/strict";
import { constants, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { groupAccess } from "../../../test/support/access-control-list.ts";
import { needs } from "../../../test/support/needs.ts";
import { temporaryDirectory } from "../testing/temporary-directory.ts";
import { applyBundle } from "./apply-bundle.ts";
import { extendedCalls } from "./extended-calls.ts";
import { GROUP_SYNC_BYTES } from "./group-sync.ts";
import { rootAttributes } from "./opened-root.ts";
import { stageBundle } from "./stage-bundle.ts";
import type { Durability, TargetReference } from "./target-job.ts";
import { bundleOf, directoryOf, fileOf } from "./testing/temporary-target.ts";
import { done } from "./testing/temporary-tree.ts";
import { AT_FDCWD, OPEN_DIRECTORY, treeCalls } from "./tree-calls.ts";

const EIO = 5;

function target(t: TestContext, durability: Durability = "batch"): TargetReference {
  const path = temporaryDirectory(t);
  const { device, inode } = rootAttributes(path);
  return {
    root: { path, device, inode },
    deletes: "mirror",
    durability,
    abilities: {
      extendedAttributes: true,
      accessControlLists: true,
      deviceNodes: true,
      ownership: true,
      foldsCase: false,
      modeBits: 0o7777,
      timeStepNanoseconds: 1,
      nameBytesMax: 255,
      freeBytes: 0,
    },
    session: "0123456789ab",
    sync: new SharedArrayBuffer(GROUP_SYNC_BYTES),
  };
}

function job(reference: TargetReference, bytes: Uint8Array, bundle = 1) {
  return { target: reference, bytes, bundle, nowMs: 0, live: [reference.session] };
}

/** The named calls from now on, in their order; `results` instead of those of the kernel. */
function recorded(t: TestContext, results: Partial<Record<"syncfs" | "fdatasync", number>> = {}): string[] {
  const calls: string[] = [];
  for (const name of ["pwrite", "syncfs", "fdatasync", "renameat2", "fchown", "fchmod"] as const) {
    const real = treeCalls[name] as (...values: unknown[]) => number;
    const given = results[name as "syncfs"];
    const recording = (...values: unknown[]): number => {
      calls.push(name);
      return given ?? real(...values);
    };
    Object.assign(treeCalls, { [name]: recording });
    t.after(() => Object.assign(treeCalls, { [name]: real }));
  }
  return calls;
}

function runsOf(calls: readonly string[]): string[] {
  return calls.filter((call, index) => call !== calls[index - 1]);
}

test("one sync stands between the content of many files and their names", (t) => {
  const calls = recorded(t);
  const files = Array.from({ length: 50 }, (_, n) => fileOf(`d${n % 3}/f${n}`, "content"));
  const { result } = applyBundle(job(target(t), bundleOf(directoryOf("d0"), ...files)));
  assert.equal(result.done, 51);
  const visible = calls.filter((call) => call !== "fchmod" && call !== "fchown");
  assert.deepEqual(runsOf(visible), ["pwrite", "syncfs", "renameat2"]);
  assert.equal(calls.filter((call) => call === "syncfs").length, 1);
});

test("content of few files is made durable file by file, before their names", (t) => {
  const calls = recorded(t);
  applyBundle(job(target(t), bundleOf(fileOf("a", "1"), fileOf("b", "2"))));
  assert.deepEqual(
    calls.filter((call) => call !== "fchmod" && call !== "fchown"),
    ["pwrite", "fdatasync", "pwrite", "fdatasync", "renameat2", "renameat2"],
  );
});

test("without durability nothing waits for the disk", (t) => {
  const calls = recorded(t);
  const files = Array.from({ length: 20 }, (_, n) => fileOf(`f${n}`, "content"));
  assert.equal(applyBundle(job(target(t, "none"), bundleOf(...files))).result.done, 20);
  assert.equal(calls.includes("syncfs") || calls.includes("fdatasync"), false);
});

test("owner and mode cost no call where creation gives them", (t) => {
  const calls = recorded(t);
  const files = Array.from({ length: 20 }, (_, n) => fileOf(`f${n}`, "", { attributes: { mode: 0o600 } }));
  applyBundle(job(target(t), bundleOf(...files)));
  assert.deepEqual(
    calls.filter((call) => call === "fchown"),
    [],
  );
  assert.ok(calls.filter((call) => call === "fchmod").length <= 1);
});

for (const [count, call] of [
  [3, "fdatasync"],
  [20, "syncfs"],
] as const)
  test(`files whose ${call} failed get no names, and leave nothing behind`, (t) => {
    const reference = target(t);
    const { path } = reference.root;
    writeFileSync(join(path, "f0"), "old");
    const calls = recorded(t, { syncfs: -EIO, fdatasync: -EIO });
    const files = Array.from({ length: count }, (_, n) => fileOf(`f${n}`, "new"));
    const { result } = applyBundle(job(reference, bundleOf(...files)));
    assert.deepEqual([result.done, result.failures.length], [0, count]);
    assert.deepEqual([...new Set(result.failures.map((failure) => failure.errno))], ["EIO"]);
    assert.deepEqual([calls.includes(call), calls.includes("renameat2")], [true, false]);
    assert.deepEqual(readdirSync(path), ["f0"]);
    assert.equal(readFileSync(join(path, "f0"), "latin1"), "old");
  });

/** A bundle of ten files, and what staging it as one part gave. */
function stagedPart(reference: TargetReference) {
  const bytes = new Uint8Array(
    bundleOf(...Array.from({ length: 10 }, (_, n) => fileOf(`d/f${n}`, "content"))),
  );
  const { staged } = stageBundle({ target: reference, bytes, bundle: 1, first: 0 }).result;
  return { bytes, staged };
}

test("staging a part shows nothing but directories, and the bundle then only gives names", (t) => {
  const reference = target(t);
  const { path } = reference.root;
  mkdirSync(join(path, "d"));
  const { bytes, staged } = stagedPart(reference);
  assert.deepEqual([...new Set(staged)], [1]);
  assert.equal(
    readdirSync(join(path, "d")).every((name) => name.startsWith(".ropewalk-")),
    true,
  );
  const calls = recorded(t);
  assert.equal(applyBundle({ ...job(reference, bytes), before: { staged, synced: 0 } }).result.done, 10);
  assert.deepEqual(runsOf(calls), ["renameat2"]);
  assert.equal(readdirSync(join(path, "d")).length, 10);
});

test("what was staged before a sync that failed is staged and synced again before it gets names", (t) => {
  const reference = target(t);
  const { bytes, staged } = stagedPart(reference);
  const calls = recorded(t);
  assert.equal(applyBundle({ ...job(reference, bytes), before: { staged, synced: -EIO } }).result.done, 10);
  const order = runsOf(calls);
  assert.deepEqual(order.slice(-2), ["syncfs", "renameat2"]);
  assert.deepEqual(order.indexOf("renameat2"), order.length - 1);
  assert.equal(calls.filter((call) => call === "pwrite").length, 10);
  assert.equal(readdirSync(join(reference.root.path, "d")).length, 10);
});

for (const [what, change] of [
  [
    "hands another group on",
    (directory: number) => {
      done(treeCalls.fchownat(directory, ".", 0, 7));
      done(treeCalls.fchmodat(directory, ".", 0o2755));
    },
  ],
  [
    "has a default ACL",
    (directory: number) =>
      done(extendedCalls.lsetxattr(directory, ".", "system.posix_acl_default", groupAccess(7))),
  ],
] as const)
  test(
    `a directory that ${what} while files are made in it gives them nothing of that`,
    needs("root"),
    (t) => {
      const reference = target(t);
      const { path } = reference.root;
      const { openat } = treeCalls;
      let made = 0;
      t.mock.method(treeCalls, "openat", (...[directory, name, flags, mode]: Parameters<typeof openat>) => {
        if ((flags & constants.O_CREAT) !== 0 && ++made === 2) change(directory);
        return openat(directory, name, flags, mode);
      });
      const { result } = applyBundle(
        job(reference, bundleOf(fileOf("a", "x"), fileOf("b", "x"), fileOf("c", "x"))),
      );
      assert.deepEqual([result.done, made], [3, 3]);
      for (const name of ["a", "b", "c"]) {
        const { gid, mode } = statSync(join(path, name));
        assert.deepEqual([gid, mode & 0o7777], [0, 0o644], name);
      }
      const fd = done(treeCalls.openat(AT_FDCWD, path, OPEN_DIRECTORY));
      for (const name of ["a", "b", "c"]) assert.deepEqual(extendedCalls.llistxattr(fd, name), [], name);
      treeCalls.close(fd);
    },
  );
