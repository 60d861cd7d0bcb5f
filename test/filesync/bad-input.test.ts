// What is wrong from the start or goes wrong later: each is said clearly, nothing is lost, the rest goes on.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { AT_FDCWD, OPEN_DIRECTORY, treeCalls } from "../../src/host/file-tree/tree-calls.ts";
import { needs } from "../support/needs.ts";
import { runProgram } from "../support/run-program.ts";
import { SmallMount } from "../support/small-mount.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";
import { LocalReplica } from "./local-replica.ts";
import { treeDifferences } from "./tree-differences.ts";

const WAIT_MS_MAX = 40_000;

async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  while (!isSo()) {
    assert.ok(performance.now() < deadlineMs, `in time: ${what}`);
    await delay(50);
  }
}

function folders(folder: TemporaryFolder): { source: string; target: string } {
  const [source, target] = [folder.file("source"), folder.file("target")];
  for (const path of [source, target]) mkdirSync(path);
  return { source, target };
}

const tools = needs("rsync", "getfattr");
const mounts = needs("root", "mount", "rsync", "getfattr");

test(
  "a source that is missing, or a file, is said and removes nothing; it is taken when it comes",
  tools,
  async () => {
    for (const make of [() => undefined, (path: string) => writeFileSync(path, "a file")]) {
      using folder = new TemporaryFolder();
      const { source, target } = folders(folder);
      rmSync(source, { recursive: true });
      make(source);
      writeFileSync(`${target}/kept`, "1");
      await using replica = new LocalReplica({ source, target });
      await assert.rejects(replica.settled(), { code: "SOURCE_MISSING" });
      assert.equal(replica.synchronization.figures().state, "source-missing");
      assert.deepEqual(readdirSync(target), ["kept"]);
      rmSync(source, { force: true });
      mkdirSync(source);
      // Of another length: it may come in the same tick of the file system's clock.
      writeFileSync(`${source}/kept`, "new");
      await until("the source is taken", () => replica.synchronization.figures().state === "live");
      await replica.settled();
      assert.deepEqual(await treeDifferences(source, target), []);
    }
  },
);

test("a source that is unmounted removes nothing at the target", mounts, async () => {
  using folder = new TemporaryFolder();
  const { source, target } = folders(folder);
  await using _mount = await SmallMount.tmpfs(source, 2 ** 24);
  for (let index = 0; index < 20; index += 1) writeFileSync(`${source}/file${index}`, "content");
  await using replica = new LocalReplica({ source, target });
  await replica.settled();
  await runProgram("umount", [source]);
  await until("it is noticed", () => replica.synchronization.figures().state === "source-missing");
  await assert.rejects(replica.settled(), { code: "SOURCE_MISSING" });
  await delay(6000);
  assert.equal(
    replica.synchronization.figures().state,
    "source-missing",
    "the empty directory below is another one",
  );
  assert.equal(readdirSync(target).length, 20);
});

test(
  "a source that was emptied while nobody looked removes nothing before it is allowed",
  tools,
  async () => {
    using folder = new TemporaryFolder();
    const { source, target } = folders(folder);
    for (let index = 0; index < 300; index += 1) writeFileSync(`${source}/file${index}`, "content");
    {
      await using replica = new LocalReplica({ source, target });
      await replica.settled();
    }
    for (let index = 0; index < 300; index += 1) rmSync(`${source}/file${index}`);
    await using replica = new LocalReplica({ source, target });
    await assert.rejects(replica.settled(), { code: "MASS_DELETION" });
    assert.equal(replica.synchronization.figures().state, "held");
    assert.equal(readdirSync(target).length, 300);
    await replica.synchronization.sync({ allowDeletes: true });
    await replica.settled();
    assert.deepEqual(await treeDifferences(source, target), []);
  },
);

test("a target that is full says so, and goes on by itself when there is room", mounts, async () => {
  using folder = new TemporaryFolder();
  const { source, target } = folders(folder);
  await using _mount = await SmallMount.tmpfs(target, 2 ** 20);
  writeFileSync(`${source}/ballast`, Buffer.alloc(600_000));
  await using replica = new LocalReplica({ source, target });
  await replica.settled();
  writeFileSync(`${source}/large`, Buffer.alloc(700_000, 1));
  await until("it is said", () => replica.synchronization.figures().targets[0]?.error?.code === "NO_SPACE");
  assert.ok(!existsSync(`${target}/large`), "nobody sees half of it");
  await runProgram("mount", ["-o", "remount,size=8388608", target]);
  await replica.settled();
  assert.deepEqual(await treeDifferences(source, target), []);
});

test(
  "a target that has become read-only says so, and goes on by itself when it is writable",
  mounts,
  async () => {
    using folder = new TemporaryFolder();
    const { source, target } = folders(folder);
    await using _mount = await SmallMount.tmpfs(target, 2 ** 24);
    await using replica = new LocalReplica({ source, target });
    await replica.settled();
    await runProgram("mount", ["-o", "remount,ro", target]);
    writeFileSync(`${source}/file`, "1");
    await until(
      "it is said",
      () => replica.synchronization.figures().targets[0]?.error?.code === "READ_ONLY",
    );
    await runProgram("mount", ["-o", "remount,rw", target]);
    await replica.settled();
    assert.deepEqual(await treeDifferences(source, target), []);
  },
);

test("a path of more than 4,096 bytes holds nobody up: what a path can name is equal", tools, async () => {
  using folder = new TemporaryFolder();
  const { source, target } = folders(folder);
  let directory = treeCalls.openat(AT_FDCWD, source, OPEN_DIRECTORY);
  for (let depth = 0; depth < 20; depth += 1) {
    const name = "d".repeat(255);
    assert.equal(treeCalls.mkdirat(directory, name, 0o755), 0);
    const next = treeCalls.openat(directory, name, OPEN_DIRECTORY);
    treeCalls.close(directory);
    directory = next;
  }
  treeCalls.close(directory);
  writeFileSync(`${source}/${"n".repeat(255)}`, "beside it");
  await using replica = new LocalReplica({ source, target });
  await replica.settled();
  assert.equal(readFileSync(`${target}/${"n".repeat(255)}`, "utf8"), "beside it");
  writeFileSync(`${source}/later`, "live");
  await replica.settled();
  assert.equal(readFileSync(`${target}/later`, "utf8"), "live");
});
