import assert from "node:assert/strict";
import { readdirSync, statSync, symlinkSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { replaceSmallFile } from "./replaced-file.ts";
import { readSmallFile } from "./small-file.ts";

test("a replaced file is new as a whole, has its mode, and leaves nothing else behind", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("key");
  await replaceSmallFile(path, "one", { mode: 0o600 });
  await replaceSmallFile(path, "two", { mode: 0o600 });
  assert.equal(await readSmallFile(path), "two");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder.path), ["key"]);
});

test("a file that cannot be replaced leaves nothing behind", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("directory/file");
  await assert.rejects(replaceSmallFile(path, "x", { mode: 0o600 }), { code: "ENOENT" });
  symlinkSync(".", folder.file("directory"));
  await replaceSmallFile(path, "x", { mode: 0o600 });
  await assert.rejects(replaceSmallFile(folder.path, "x", { mode: 0o600 }));
  assert.deepEqual(readdirSync(folder.path).sort(), ["directory", "file"]);
});
