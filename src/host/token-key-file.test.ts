import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { hostRandom } from "./random.ts";
import { openTokenKey } from "./token-key-file.ts";

test("the first start makes a token key of 32 random bytes that only its owner reads, later ones read it", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("token.key");
  const made = await openTokenKey(path, hostRandom);
  assert.equal(made.key.length, 32);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(readFileSync(path, "utf8"), `${Buffer.from(made.key).toString("hex")}\n`);
  assert.deepEqual(await openTokenKey(path, hostRandom), made);
});

test("what is no token key is refused and stays as it is", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("token.key");
  for (const text of ["", "00".repeat(31), "00".repeat(33), "zz".repeat(32)]) {
    writeFileSync(path, text);
    await assert.rejects(openTokenKey(path, hostRandom), { code: "INVALID_CONFIG" }, text);
    assert.equal(readFileSync(path, "utf8"), text);
  }
});
