import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { readUserFile, writeUserFile } from "./user-file.ts";

test("a file is written of pieces one behind the other, with its mode, and read back", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("token");
  await writeUserFile(path, [Buffer.from("ab"), Buffer.from("cde")], 0o600);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(Buffer.from(await readUserFile(path, 5)), Buffer.from("abcde"));
  await assert.rejects(readUserFile(path, 4), { code: "TOO_LARGE" });
});

test("a file whose pieces end in an error stays as it was, and nothing else is left", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("data");
  writeFileSync(path, "old");
  async function* pieces() {
    yield Buffer.from("new");
    throw new Error("cut off");
  }
  await assert.rejects(writeUserFile(path, pieces(), 0o644), /cut off/);
  assert.equal(readFileSync(path, "utf8"), "old");
  assert.deepEqual(readdirSync(folder.path), ["data"]);
});

test("a file that is not there is the system's error", async () => {
  using folder = new TemporaryFolder();
  await assert.rejects(readUserFile(folder.file("none"), 5), { code: "ENOENT" });
});
