import assert from "node:assert/strict";
import { chmodSync, existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openDataDirectory } from "./data-directory.ts";
import { temporaryDirectory, temporaryFileSystem } from "./testing/temporary-directory.ts";

test("an absent directory is made with its parents, for its owner only", async (t) => {
  const path = join(temporaryDirectory(t), "a", "b", "pool");
  assert.equal(await openDataDirectory(path), path);
  assert.equal(statSync(path).mode & 0o777, 0o700);
});

test("a directory that is there is used as it is", async (t) => {
  const path = temporaryDirectory(t);
  chmodSync(path, 0o750);
  assert.equal(await openDataDirectory(path), path);
  assert.equal(statSync(path).mode & 0o777, 0o750);
});

test("a file in the directory's place is DATA_DIRECTORY and stays", async (t) => {
  const path = join(temporaryDirectory(t), "pool");
  writeFileSync(path, "mine");
  await assert.rejects(openDataDirectory(path), {
    code: "DATA_DIRECTORY",
    message: /pool is not a directory/,
  });
  assert.ok(existsSync(path));
});

test("a file in the place of a parent is DATA_DIRECTORY", async (t) => {
  const path = join(temporaryDirectory(t), "file");
  writeFileSync(path, "mine");
  await assert.rejects(openDataDirectory(join(path, "pool")), { code: "DATA_DIRECTORY", message: /ENOTDIR/ });
});

test("a directory that cannot be written is DATA_DIRECTORY", async (t) => {
  // Permissions do not stop root, a read-only file system does.
  const root = process.getuid?.() === 0;
  const path = root ? temporaryFileSystem(t, "size=64k,ro") : temporaryDirectory(t);
  if (!root) chmodSync(path, 0o500);
  const message = root ? /read-only file system/ : /not readable and writable/;
  await assert.rejects(openDataDirectory(path), { code: "DATA_DIRECTORY", message });
  await assert.rejects(openDataDirectory(join(path, "new")), {
    code: "DATA_DIRECTORY",
    message: /cannot be made/,
  });
});
