import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { DaemonDirectory } from "./daemon-directory.ts";

test("looking at an absent or empty directory makes nothing and finds no pool", async () => {
  using folder = new TemporaryFolder();
  const absent = await DaemonDirectory.look(folder.file("a/b/c"));
  assert.equal(absent.hasPool, false);
  assert.ok((await absent.freeBytes()) > 0);
  assert.deepEqual(readdirSync(folder.path), []);
  assert.equal((await DaemonDirectory.look(folder.path)).hasPool, false);
});

test("a file, a place under a file and a directory with other things are DATA_DIRECTORY", async () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file("file"), "");
  mkdirSync(folder.file("home"));
  writeFileSync(folder.file("home/letter.txt"), "");
  for (const [name, pattern] of [
    ["file", /is not a directory/],
    ["file/data", /is not a directory/],
    ["home", /holds no pool but other things, such as "letter\.txt"/],
    ["x".repeat(110), /too long a path/],
  ] as const)
    await assert.rejects(DaemonDirectory.look(folder.file(name)), {
      code: "DATA_DIRECTORY",
      message: pattern,
    });
});

test("a pool appears under its name when it was made whole", async () => {
  using folder = new TemporaryFolder();
  const directory = await DaemonDirectory.look(folder.file("data"));
  const disk = await directory.makePool(async (fresh) => {
    await (await fresh.create("first", 4096)).close();
    assert.deepEqual(readdirSync(directory.path), ["pool.new"]);
  });
  assert.deepEqual(await disk.list(), [{ name: "first", sizeBytes: 4096 }]);
  assert.deepEqual(readdirSync(directory.path), ["pool"]);
  assert.equal((await DaemonDirectory.look(directory.path)).hasPool, true);
});

test("a pool whose making failed leaves nothing, and the directory is gone if it was made for it", async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file("empty"));
  const failing = async (fresh: { create: (name: string, size: number) => Promise<unknown> }) => {
    await fresh.create("first", 4096);
    throw new Error("the disk is full");
  };
  for (const name of ["absent", "empty"]) {
    const directory = await DaemonDirectory.look(folder.file(name));
    await assert.rejects(directory.makePool(failing), /the disk is full/);
  }
  assert.ok(!existsSync(folder.file("absent")));
  assert.deepEqual(readdirSync(folder.file("empty")), []);
});

test("the rest of an interrupted making is no pool and is made anew", async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file("pool.new"));
  writeFileSync(folder.file("pool.new/half"), "");
  const directory = await DaemonDirectory.look(folder.path);
  assert.equal(directory.hasPool, false);
  const disk = await directory.makePool(async () => {});
  assert.deepEqual(await disk.list(), []);
});

test("the endpoints are written as a whole and removed at the end", async () => {
  using folder = new TemporaryFolder();
  const directory = await DaemonDirectory.look(folder.path);
  const endpoints = {
    pid: 5,
    nbd: ["127.0.0.1:1"],
    iscsi: [],
    http: ["127.0.0.1:2"],
    peer: ["127.0.0.1:3"],
    url: "http://127.0.0.1:2",
  };
  await directory.writeEndpoints(endpoints);
  assert.deepEqual(JSON.parse(readFileSync(folder.file("endpoints.json"), "utf8")), endpoints);
  await directory.removeEndpoints();
  await directory.removeEndpoints();
  assert.deepEqual(readdirSync(folder.path), []);
});
