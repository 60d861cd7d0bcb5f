import assert from "node:assert/strict";
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { lookAtPath } from "./look-at-path.ts";

test("a path is called by what it leads to, also where its end is missing", async () => {
  using folder = new TemporaryFolder();
  const top = realpathSync(folder.path);
  mkdirSync(`${top}/real/inner`, { recursive: true });
  symlinkSync("real", `${top}/link`);
  for (const [given, path, kind] of [
    ["real", "real", "directory"],
    ["link/inner", "real/inner", "directory"],
    ["link/inner/new/deep", "real/inner/new/deep", "absent"],
    ["real/../link/new", "real/new", "absent"],
  ] as const)
    assert.deepEqual(await lookAtPath(`${top}/${given}`), { path: `${top}/${path}`, kind }, given);
});

test("what is no directory, below one that is none, or a link that leads nowhere is something else", async () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file("file"), "");
  symlinkSync("nowhere", folder.file("dangling"));
  symlinkSync("circle", folder.file("circle"));
  for (const name of ["file", "file/below", "dangling", "circle"])
    assert.equal((await lookAtPath(folder.file(name))).kind, "other", name);
});
