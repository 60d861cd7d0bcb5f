import assert from "node:assert/strict";
import { readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { readConfiguredFile, readSmallFile, replaceSmallFile } from "./small-file.ts";

test("a small file is read wholly, one that is too large not at all", async () => {
  using folder = new TemporaryFolder();
  const [small, large] = [folder.file("small"), folder.file("large")];
  const text = "ä".repeat(2 ** 19);
  writeFileSync(small, text);
  writeFileSync(large, `${text}x`);
  assert.equal(await readSmallFile(small), text);
  await assert.rejects(readSmallFile(large), { code: "TOO_LARGE" });
  await assert.rejects(readSmallFile("/dev/zero"), { code: "TOO_LARGE" });
  await assert.rejects(readSmallFile(folder.file("none")), { code: "ENOENT" });
});

test("a file that the configuration names and that cannot be read is INVALID_CONFIG", async () => {
  using folder = new TemporaryFolder();
  for (const path of [folder.file("none"), folder.path])
    await assert.rejects(readConfiguredFile("certificate", path), {
      code: "INVALID_CONFIG",
      message: /^The certificate .* cannot be read: E[A-Z]+\.$/,
    });
});

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
