import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { readConfiguredFile, readSmallFile } from "./small-file.ts";

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
