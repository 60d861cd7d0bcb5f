import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { needs } from "../../../test/support/needs.ts";
import type { TreeEvent } from "../../ports/mod.ts";
import { temporaryDirectory, temporaryExt4 } from "../testing/temporary-directory.ts";
import { openSourceTree } from "./source-tree.ts";

/** Directories, and all that is none. */
async function walkedTree(t: TestContext, path: string) {
  for (const name of ["b", "b/inside", "a", "ä", "c", "c/cache", ".ropewalk-trash", ".hidden"])
    mkdirSync(join(path, name), { recursive: true });
  writeFileSync(join(path, "file"), "");
  symlinkSync("a", join(path, "link"));
  const tree = await openSourceTree(path, { threads: 2 });
  t.after(() => tree.close());
  const events: TreeEvent[] = [];
  const watch = await tree.watch((some) => events.push(...some));
  const walk = async (paths: readonly string[], patterns: readonly string[] = []) =>
    await tree.walk({ paths, excludes: { patterns } });
  return { walk, watch, events };
}

test("a walk names the directories in directories, but for excluded ones and Ropewalk's own", async (t) => {
  const { walk } = await walkedTree(t, temporaryDirectory(t));
  const { directories, failures } = await walk(["", "b", "b/inside", "c"], ["^c/cache$"]);
  assert.deepEqual(failures, []);
  assert.deepEqual(
    directories.map((each) => [each.path, each.directories]),
    [
      ["", [".hidden", "a", "b", "c", "\xc3\xa4"]],
      ["b", ["inside"]],
      ["b/inside", []],
      ["c", []],
    ],
  );
});

test("what is no directory, or not there, is a failure of its own", async (t) => {
  const { walk } = await walkedTree(t, temporaryDirectory(t));
  const { directories, failures } = await walk(["file", "b", "gone", "link"]);
  assert.deepEqual(
    directories.map(({ path }) => path),
    ["b"],
  );
  assert.deepEqual(
    failures.map(({ path, errno }) => `${path} ${errno}`),
    ["file ENOTDIR", "gone ENOENT", "link ENOTDIR"],
  );
});

test("what a walk does not name any more has an event of the watch that it gave", async (t) => {
  const path = temporaryDirectory(t);
  const { walk, watch, events } = await walkedTree(t, path);
  const { directories } = await walk([""]);
  renameSync(join(path, "a"), join(path, "z"));
  await watch.drained();
  assert.deepEqual(
    events.map(({ watch: number, kind, name }) => [number, kind, name]),
    [
      [directories[0]!.watch, "movedFrom", "a"],
      [directories[0]!.watch, "movedTo", "z"],
    ],
  );
  const again = await walk([""]);
  assert.equal(again.directories[0]!.watch, directories[0]!.watch, "one watch for each directory");
});

test(
  "where a file system does not tell kinds with the names they are looked at, and a name that went is none",
  needs("root", "loop", "mkfs.ext4"),
  async (t) => {
    const path = temporaryExt4(t, 4 * 2 ** 20, "^filetype");
    const { walk } = await walkedTree(t, path);
    mkdirSync(join(path, "goes"));
    const { directories } = await walk([""]);
    assert.deepEqual(directories[0]!.directories, [
      ".hidden",
      "a",
      "b",
      "c",
      "goes",
      "lost+found",
      "\xc3\xa4",
    ]);
    rmdirSync(join(path, "goes"));
    const names = await walk([""]);
    assert.equal(names.directories[0]!.directories.includes("goes"), false);
  },
);
