import assert from "node:assert/strict";
import { symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { isInFolder } from "./in-folder.ts";

test("a link into a folder leads into it, a path beside it does not", async () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file("file"), "");
  using other = new TemporaryFolder();
  symlinkSync(folder.file("file"), other.file("link"));
  assert.equal(await isInFolder(other.file("link"), folder.path), true);
  assert.equal(await isInFolder(folder.file("none"), folder.path), true);
  assert.equal(await isInFolder(`${other.path}/../${folder.path.split("/").at(-1)}/x`, folder.path), true);
  assert.equal(await isInFolder(other.file("x"), folder.path), false);
  assert.equal(await isInFolder(`${folder.path}x`, folder.path), false);
});
