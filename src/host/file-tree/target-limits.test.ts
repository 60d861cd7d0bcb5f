import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "../../../test/support/needs.ts";
import { packOperation } from "../../wire/filesync/mod.ts";
import { temporaryExt4, temporaryFileSystem } from "../testing/temporary-directory.ts";
import { openTargetTree } from "./target-tree.ts";
import { bundleOf, fileOf, removalOf, temporaryTarget } from "./testing/temporary-target.ts";

const MIB = 2 ** 20;

test(
  "a full file system harms nothing that was there and leaves no temporaries",
  needs("root"),
  async (t) => {
    for (const durability of ["batch", "none"] as const) {
      const path = temporaryFileSystem(t, "size=1m");
      const { tree } = await temporaryTarget(t, { path, durability });
      writeFileSync(join(path, "old"), "old");
      const files = Array.from({ length: 40 }, (_, n) => fileOf(`f${n}`, Buffer.alloc(64 * 1024, n)));
      const result = await tree.apply(
        bundleOf(...files, fileOf("old", Buffer.alloc(2 * MIB)), removalOf("f0")),
      );
      assert.ok(result.failures.length > 20);
      assert.deepEqual([...new Set(result.failures.map((failure) => failure.errno))], ["ENOSPC"]);
      assert.equal(readFileSync(join(path, "old"), "latin1"), "old");
      const names = readdirSync(path);
      assert.deepEqual(
        names.filter((name) => name.startsWith(".")),
        [],
      );
      assert.ok(names.length > 8);
      assert.equal(existsSync(join(path, "f0")), false);
      for (const name of names) if (name !== "old") assert.equal(statSync(join(path, name)).size, 64 * 1024);

      const large = await tree.begin("old");
      await assert.rejects(large.write(0, Buffer.alloc(2 * MIB)), { code: "NO_SPACE" });
      await large.abort();
      assert.equal(readFileSync(join(path, "old"), "latin1"), "old");
      assert.deepEqual(readdirSync(path), names);
    }
  },
);

test("a file in the way of a full ext4 stays whole", needs("root", "loop", "mkfs.ext4"), async (t) => {
  const path = temporaryExt4(t, 4 * MIB);
  const { tree } = await temporaryTarget(t, { path });
  const files = Array.from({ length: 100 }, (_, n) => fileOf(`f${n}`, Buffer.alloc(64 * 1024, n)));
  assert.equal((await tree.apply(bundleOf(fileOf("f99", "old")))).done, 1);
  const result = await tree.apply(bundleOf(...files));
  assert.deepEqual([...new Set(result.failures.map((failure) => failure.errno))], ["ENOSPC"]);
  assert.equal(result.done + result.failures.length, 100);
  assert.equal(readFileSync(join(path, "f99"), "latin1"), "old");
  assert.deepEqual(
    readdirSync(path).filter((name) => name.startsWith(".")),
    [],
  );
  await tree.sync();
});

test("what the file system cannot keep is told once, and the files are there", needs("root"), async (t) => {
  const path = temporaryFileSystem(t, "size=4m");
  const { tree } = await temporaryTarget(t, { path });
  // No file system keeps attributes of a class that the kernel does not know.
  const extended = [{ name: "system.unknown", value: Buffer.from("1") }];
  const first = await tree.apply(bundleOf(fileOf("a", "1", { extended }), fileOf("b", "2", { extended })));
  assert.equal(first.done, 2);
  assert.deepEqual(
    first.failures.map(({ operation, errno, doing }) => [operation, errno, doing]),
    [[0, "EOPNOTSUPP", "set system.*"]],
  );
  const large = await tree.begin("c");
  assert.equal(await large.commit(packOperation(fileOf("c", "", { extended }))), undefined);
  assert.deepEqual((await tree.apply(bundleOf(fileOf("d", "3", { extended })))).failures, []);
  assert.deepEqual(readdirSync(path).sort(), ["a", "b", "c", "d"]);
});

test("abilities are found out at open", needs("root", "loop", "mkfs.ext4"), async (t) => {
  const { tree } = await temporaryTarget(t, { path: temporaryExt4(t, 4 * MIB) });
  const { freeBytes, ...abilities } = tree.abilities;
  assert.deepEqual(abilities, {
    extendedAttributes: true,
    accessControlLists: true,
    deviceNodes: true,
    ownership: true,
    foldsCase: false,
    modeBits: 0o7777,
    timeStepNanoseconds: 1,
    nameBytesMax: 255,
  });
  assert.ok(freeBytes > MIB && freeBytes < 4 * MIB);
});

test(
  "a file system that is read-only, and a root that is none, cannot be opened",
  needs("root"),
  async (t) => {
    const path = temporaryFileSystem(t, "ro");
    await assert.rejects(openTargetTree(path, { deletes: "mirror" }), { code: "READ_ONLY" });
    await assert.rejects(openTargetTree(join(path, "gone"), { deletes: "mirror" }), { code: "NOT_FOUND" });
  },
);

test("a recursive removal stops at what is mounted below", needs("root"), async (t) => {
  const path = temporaryFileSystem(t, "size=1m");
  const { tree, path: root } = await temporaryTarget(t);
  mkdirSync(join(root, "d/mounted"), { recursive: true });
  writeFileSync(join(path, "f"), "mounted");
  execFileSync("mount", ["--bind", path, join(root, "d/mounted")]);
  const { failures } = await tree.apply(bundleOf(removalOf("d")));
  execFileSync("umount", ["--lazy", join(root, "d/mounted")]);
  assert.equal(failures.length, 1);
  assert.equal(readFileSync(join(path, "f"), "latin1"), "mounted");
  assert.equal(lstatSync(join(root, "d")).isDirectory(), true);
});
