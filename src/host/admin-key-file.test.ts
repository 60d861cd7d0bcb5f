import assert from "node:assert/strict";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { openAdminKey } from "./admin-key-file.ts";
import { hostRandom } from "./random.ts";

test("the first start makes a key of 256 random bits that only its owner reads, later ones read it", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("admin.key");
  const made = await openAdminKey(path, hostRandom);
  assert.match(made.key, /^[A-Za-z0-9_-]{43}$/);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(readFileSync(path, "utf8"), `${made.key}\n`);
  assert.deepEqual(await openAdminKey(path, hostRandom), { key: made.key, isExposed: false });
  const other = await openAdminKey(folder.file("other.key"), hostRandom);
  assert.notEqual(other.key, made.key);
});

test("a key that others may read is told", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("admin.key");
  writeFileSync(path, "my-own-key-0123456789\n");
  chmodSync(path, 0o644);
  assert.deepEqual(await openAdminKey(path, hostRandom), { key: "my-own-key-0123456789", isExposed: true });
});

test("what is no key is refused and stays as it is", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("admin.key");
  for (const text of ["", "short", "with spaces in the middle", "x".repeat(257), "ä".repeat(20)]) {
    writeFileSync(path, text);
    await assert.rejects(openAdminKey(path, hostRandom), { code: "INVALID_CONFIG" }, text);
    assert.equal(readFileSync(path, "utf8"), text);
  }
});

test("a place where no key can be made is DATA_DIRECTORY", async () => {
  using folder = new TemporaryFolder();
  await assert.rejects(openAdminKey(folder.file("none/admin.key"), hostRandom), { code: "DATA_DIRECTORY" });
  await assert.rejects(openAdminKey(folder.path, hostRandom), { code: "DATA_DIRECTORY" });
});
