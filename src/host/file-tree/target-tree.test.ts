import assert from "node:assert/strict";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { groupAccess } from "../../../test/support/access-control-list.ts";
import { needs } from "../../../test/support/needs.ts";
import { extendedCalls } from "./extended-calls.ts";
import {
  attributesOf,
  bundleOf,
  directoryOf,
  fileOf,
  linkOf,
  removalOf,
  specialOf,
  temporaryTarget,
} from "./testing/temporary-target.ts";
import { whileAgain } from "./testing/temporary-tree.ts";
import { AT_FDCWD, OPEN_DIRECTORY, treeCalls } from "./tree-calls.ts";

function read(...path: string[]): string {
  return readFileSync(join(...path), "latin1");
}

test("a bundle makes directories, files, links and special files with their attributes", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  const result = await tree.apply(
    bundleOf(
      directoryOf("d", { attributes: { mode: 0o710 } }),
      fileOf("d/f", "content", { attributes: { mode: 0o4751 } }),
      fileOf("d/empty", ""),
      linkOf("d/l", "../to nowhere"),
      specialOf("d/p", "fifo", { attributes: { mode: 0o620 } }),
      { op: "link", path: "d/second", existing: "d/f" },
      attributesOf("d", "directory", { attributes: { mode: 0o710, modifiedNanoseconds: 7 } }),
    ),
  );
  assert.deepEqual(result, { done: 7, failures: [] });
  assert.equal(read(path, "d/f"), "content");
  assert.equal(lstatSync(join(path, "d/f")).mode & 0o7777, 0o4751);
  assert.equal(lstatSync(join(path, "d/p")).isFIFO(), true);
  assert.equal(lstatSync(join(path, "d/p")).mode & 0o7777, 0o620);
  assert.equal(readlinkSync(join(path, "d/l")), "../to nowhere");
  assert.equal(statSync(join(path, "d/second")).ino, statSync(join(path, "d/f")).ino);
  for (const name of ["f", "empty", "l", "p"])
    assert.equal(lstatSync(join(path, "d", name), { bigint: true }).mtimeNs, 1_700_000_000_123_456_789n);
  assert.equal(statSync(join(path, "d"), { bigint: true }).mtimeNs, 1_700_000_000_000_000_007n);
  assert.deepEqual(readdirSync(join(path, "d")).sort(), ["empty", "f", "l", "p", "second"]);
});

test("a file replaces what has its name, its second names keep the old content", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  writeFileSync(join(path, "f"), "old");
  linkSync(join(path, "f"), join(path, "second"));
  assert.equal((await tree.apply(bundleOf(fileOf("f", "new")))).done, 1);
  assert.equal(read(path, "f"), "new");
  assert.equal(read(path, "second"), "old");
  const again = bundleOf({ op: "link", path: "second", existing: "f" });
  assert.equal((await tree.apply(again)).done, 1);
  assert.equal((await tree.apply(again)).done, 1);
  assert.equal(read(path, "second"), "new");
  assert.deepEqual(readdirSync(path).sort(), ["f", "second"]);
});

test("operations are seen in their order, also where content is staged ahead", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  const result = await tree.apply(
    bundleOf(
      fileOf("a/f", "1"),
      { op: "rename", from: "a", to: "b" },
      fileOf("b/g", "2"),
      fileOf("a/f", "3"),
      removalOf("b/f"),
      { op: "rename", from: "b/g", to: "b/f" },
      fileOf("b/f/x", "no directory"),
      fileOf("x", "one"),
      { op: "rename", from: "x", to: "y" },
      fileOf("x", "two"),
    ),
  );
  assert.deepEqual(
    result.failures.map(({ operation, errno }) => [operation, errno]),
    [[6, "ENOTDIR"]],
  );
  assert.equal(result.done, 9);
  assert.equal(read(path, "a/f"), "3");
  assert.equal(read(path, "b/f"), "2");
  assert.deepEqual([read(path, "x"), read(path, "y")], ["two", "one"]);
  assert.deepEqual(readdirSync(path).sort(), ["a", "b", "x", "y"]);
  assert.deepEqual(readdirSync(join(path, "b")), ["f"]);
});

test("a long bundle of files is staged by several threads, and all of it is there", async (t) => {
  for (const durability of ["batch", "none"] as const) {
    const { path, tree } = await temporaryTarget(t, { durability });
    const files = Array.from({ length: 600 }, (_, n) => fileOf(`d${n % 7}/f${n % 500}`, `content ${n}`));
    const bundle = bundleOf(...files, fileOf(".ropewalk-x", "own"));
    const result = await tree.apply(bundle);
    assert.equal(result.done, 600);
    assert.deepEqual(
      result.failures.map(({ operation, errno }) => [operation, errno]),
      [[600, "EPERM"]],
    );
    const last = new Map(files.map((file) => [file.path, Buffer.from(file.extents[0]!.bytes).toString()]));
    for (const [name, content] of last) assert.equal(read(path, name), content);
    assert.equal(
      readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length,
      last.size,
    );
  }
});

test("another kind in the way goes by the policy", async (t) => {
  for (const deletes of ["mirror", "keep", "trash"] as const) {
    const { path, tree } = await temporaryTarget(t, { deletes });
    mkdirSync(join(path, "d/inside"), { recursive: true });
    writeFileSync(join(path, "d/inside/f"), "old");
    writeFileSync(join(path, "f"), "old");
    const { done, failures } = await tree.apply(bundleOf(fileOf("d", "file"), directoryOf("f")));
    if (deletes === "keep") {
      assert.deepEqual([done, failures.map((failure) => failure.errno)], [0, ["EEXIST", "EEXIST"]]);
      assert.deepEqual([read(path, "d/inside/f"), read(path, "f")], ["old", "old"]);
      assert.deepEqual(readdirSync(path).sort(), ["d", "f"]);
      continue;
    }
    assert.deepEqual([done, failures], [2, []]);
    assert.equal(read(path, "d"), "file");
    assert.equal(statSync(join(path, "f")).isDirectory(), true);
    if (deletes === "mirror") continue;
    const times = readdirSync(join(path, ".ropewalk-trash"));
    assert.equal(read(path, ".ropewalk-trash", times[0]!, "d/inside/f"), "old");
    assert.equal(read(path, ".ropewalk-trash", times.at(-1)!, "f"), "old");
  }
});

test("a removal goes by the policy, and a full directory only when it is asked for", async (t) => {
  for (const deletes of ["mirror", "keep", "trash"] as const) {
    const { path, tree } = await temporaryTarget(t, { deletes });
    mkdirSync(join(path, "full/a/b"), { recursive: true });
    writeFileSync(join(path, "full/a/b/f"), "");
    const one = await tree.apply(
      bundleOf(removalOf("full", "one"), removalOf("gone"), removalOf("gone/too")),
    );
    assert.deepEqual(
      one.failures.map((failure) => failure.errno),
      deletes === "keep" ? [] : ["ENOTEMPTY"],
    );
    const all = await tree.apply(bundleOf(removalOf("full")));
    assert.deepEqual(all, { done: 1, failures: [] });
    assert.equal(existsSync(join(path, "full")), deletes === "keep");
    assert.equal(existsSync(join(path, ".ropewalk-trash")), deletes === "trash");
  }
});

test("the trash is kept for its time, and is no part of the tree", async (t) => {
  const { path, tree } = await temporaryTarget(t, { deletes: "trash", trashSeconds: 60 });
  await tree.apply(bundleOf(fileOf("d/f", "1"), removalOf("d/f"), fileOf("d/f", "2"), removalOf("d/f")));
  const trash = join(path, ".ropewalk-trash");
  const kept = readdirSync(trash).sort();
  assert.deepEqual(
    kept.map((time) => read(trash, time, "d/f")),
    ["1", "2"],
  );
  mkdirSync(join(trash, "no time"));
  assert.equal(await tree.expireTrash(Date.now() + 50_000), 0);
  assert.equal(await tree.expireTrash(Date.now() + 70_000), 2);
  assert.deepEqual(readdirSync(trash), ["no time"]);
  const scanned = await tree.scan({
    paths: [""],

    withListings: false,
    excludes: { patterns: [] },
  });
  assert.equal(scanned.directories[0]!.entries, 1);
});

test("a rename never replaces a full directory, and of two names of one file one stays", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  mkdirSync(join(path, "from"));
  mkdirSync(join(path, "full/f"), { recursive: true });
  writeFileSync(join(path, "a"), "");
  linkSync(join(path, "a"), join(path, "b"));
  const result = await tree.apply(
    bundleOf(
      { op: "rename", from: "from", to: "full" },
      { op: "rename", from: "a", to: "b" },
      { op: "rename", from: "gone", to: "c" },
    ),
  );
  assert.deepEqual(
    result.failures.map(({ operation, errno }) => [operation, errno]),
    [
      [0, "ENOTEMPTY"],
      [2, "ENOENT"],
    ],
  );
  assert.deepEqual(readdirSync(path).sort(), ["b", "from", "full"]);
});

test("attributes set what is given and take away what is not", needs("root"), async (t) => {
  const { path, tree } = await temporaryTarget(t);
  const value = (text: string) => Buffer.from(text);
  await tree.apply(
    bundleOf(
      fileOf("f", "content", {
        attributes: { userId: 12, groupId: 34, mode: 0o6755 },
        extended: [
          { name: "trusted.t", value: value("1") },
          { name: "user.u", value: value("2") },
        ],
      }),
      linkOf("l", "f", { attributes: { userId: 5, groupId: 6 } }),
    ),
  );
  const fd = treeCalls.openat(AT_FDCWD, path, OPEN_DIRECTORY);
  t.after(() => treeCalls.close(fd));
  const names = () => [...(extendedCalls.llistxattr(fd, "f") as string[])].sort();
  assert.deepEqual(names(), ["trusted.t", "user.u"]);
  assert.deepEqual([lstatSync(join(path, "l")).uid, lstatSync(join(path, "f")).uid], [5, 12]);
  assert.equal(lstatSync(join(path, "f")).mode & 0o7777, 0o6755);
  const result = await tree.apply(
    bundleOf(
      attributesOf(
        "f",
        "file",
        {
          attributes: { userId: 13, groupId: 34, mode: 0o4711 },
          extended: [{ name: "user.u", value: value("3") }],
        },
        "content".length,
      ),
      attributesOf("l", "symlink", { attributes: { userId: 7, groupId: 6 } }),
      attributesOf("f", "directory"),
      attributesOf("", "directory", { attributes: { mode: 0o700 } }),
    ),
  );
  assert.deepEqual(
    result.failures.map(({ operation, errno }) => [operation, errno]),
    [[2, "ENOTDIR"]],
  );
  assert.deepEqual(names(), ["user.u"]);
  assert.equal(Buffer.from(extendedCalls.lgetxattr(fd, "f", "user.u") as Uint8Array).toString(), "3");
  const status = lstatSync(join(path, "f"), { bigint: true });
  assert.deepEqual([status.uid, status.mode & 0o7777n], [13n, 0o4711n]);
  assert.equal(read(path, "f"), "content");
  assert.deepEqual([lstatSync(join(path, "l")).uid, statSync(path).mode & 0o777], [7, 0o700]);
});

test("a file of another size or time gets no attributes: its content is another, too", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  await tree.apply(bundleOf(fileOf("f", "content"), linkOf("l", "f")));
  const given = { attributes: { mode: 0o600 } };
  const later = { attributes: { mode: 0o600, modifiedSeconds: -5 } };
  const result = await tree.apply(
    bundleOf(
      attributesOf("f", "file", given, 6),
      attributesOf("f", "file", later, 7),
      attributesOf("l", "symlink", later),
      attributesOf("", "directory", later),
    ),
  );
  assert.deepEqual(
    result.failures.map(({ operation, errno }) => [operation, errno]),
    [
      [0, "ESTALE"],
      [1, "ESTALE"],
    ],
  );
  const status = lstatSync(join(path, "f"), { bigint: true });
  assert.deepEqual([status.mode & 0o777n, status.mtimeNs], [0o644n, 1_700_000_000_123_456_789n]);
  assert.equal(lstatSync(join(path, "l"), { bigint: true }).mtimeNs, -4_876_543_211n);
});

test(
  "what a directory hands on to its files is not kept by a file that came without",
  needs("root"),
  async (t) => {
    const { path, tree } = await temporaryTarget(t);
    const defaults = [{ name: "system.posix_acl_default", value: groupAccess(7) }];
    await tree.apply(
      bundleOf(directoryOf("d", { extended: defaults, attributes: { mode: 0o2775, groupId: 42 } })),
    );
    await tree.apply(bundleOf(fileOf("d/f", "", { attributes: { mode: 0o640 } }), directoryOf("d/e")));
    assert.equal(lstatSync(join(path, "d/f")).mode & 0o7777, 0o640);
    assert.equal(lstatSync(join(path, "d/f")).gid, process.getgid!());
    assert.equal(lstatSync(join(path, "d/e")).mode & 0o7777, 0o755);
    const fd = treeCalls.openat(AT_FDCWD, join(path, "d"), OPEN_DIRECTORY);
    t.after(() => treeCalls.close(fd));
    assert.deepEqual(extendedCalls.llistxattr(fd, "f"), []);
    assert.deepEqual(extendedCalls.llistxattr(fd, "e"), []);
  },
);

test("holes stay holes, and ranges and sizes are changed in place", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  const sparse = fileOf("f", "");
  const bytes = Buffer.alloc(4096, 1);
  const attributes = { ...sparse.attributes, sizeBytes: 2 ** 30 };
  await tree.apply(bundleOf({ ...sparse, attributes, extents: [{ offset: 2 ** 20, bytes }] }));
  const made = statSync(join(path, "f"));
  assert.equal(made.size, 2 ** 30);
  assert.ok(made.blocks * 512 < 2 ** 20);
  const result = await tree.apply(
    bundleOf(
      { op: "truncate", path: "f", sizeBytes: 3 },
      { op: "writeRange", path: "f", offset: 2, bytes: Buffer.from("end") },
      { op: "writeRange", path: "gone", offset: 2, bytes },
    ),
  );
  assert.equal(read(path, "f"), "\0\0end");
  assert.equal(statSync(join(path, "f")).ino, made.ino);
  assert.deepEqual(
    result.failures.map(({ operation, errno }) => [operation, errno]),
    [[2, "ENOENT"]],
  );
});

test("no symbolic link leads out of the root, not even one swapped in again and again", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  const outside = join(dirname(path), "outside");
  mkdirSync(join(outside, "sub"), { recursive: true });
  writeFileSync(join(outside, "f0"), "outside");
  mkdirSync(join(path, "one/sub"), { recursive: true });
  symlinkSync(outside, join(path, "other"));
  let done = 0;
  await whileAgain({ path, what: "exchange" }, async () => {
    for (let round = 0; round < 25; round += 1) {
      const bundle = Array.from({ length: 80 }, (_, n) => [
        fileOf(`one/sub/f${n}`, "x"),
        fileOf(`one/f${n}`, "x"),
        attributesOf(`one/f${n}`, "file", { attributes: { mode: 0o600 } }),
        { op: "rename", from: `one/sub/f${n}`, to: `one/g${n}` } as const,
        removalOf(`one/f${n}`),
      ]).flat();
      done += (await tree.apply(bundleOf(...bundle))).done;
    }
  });
  assert.ok(done > 0);
  assert.deepEqual(readdirSync(outside).sort(), ["f0", "sub"]);
  assert.deepEqual(readdirSync(join(outside, "sub")), []);
  assert.equal(read(outside, "f0"), "outside");
  assert.equal(statSync(join(outside, "f0")).mode & 0o777, 0o644);
});

test("a scan removes the temporaries of dead sessions, but for the time of their directory, and leaves those in use", async (t) => {
  const { path, tree } = await temporaryTarget(t);
  const scan = () => tree.scan({ paths: ["", "d"], withListings: false, excludes: { patterns: [] } });
  const file = await tree.begin("d/large");
  writeFileSync(join(path, "d/.ropewalk-0123456789ab.7.1"), "left");
  writeFileSync(join(path, ".ropewalk-other"), "");
  // The times of the directory may have been compared already, as its parent's listing has them.
  utimesSync(join(path, "d"), 1, 1);
  const modified = () => statSync(join(path, "d")).mtimeMs;
  const scanned = await scan();
  assert.deepEqual(
    scanned.directories.map((directory) => directory.entries),
    [1, 0],
  );
  assert.equal(readdirSync(join(path, "d")).length, 1);
  assert.deepEqual(readdirSync(path).sort(), [".ropewalk-other", "d"]);
  assert.equal(modified(), 1000);
  await file.abort();
  assert.deepEqual(readdirSync(join(path, "d")), []);
  assert.equal(modified(), 1000);
});

test("attributes of paths, free space and a sync are told", async (t) => {
  const { tree } = await temporaryTarget(t);
  await tree.apply(bundleOf(fileOf("f", "123")));
  const [file, gone] = await tree.stat(["f", "gone"]);
  assert.deepEqual([file?.sizeBytes, gone], [3, undefined]);
  assert.equal((await tree.root()).kind, "directory");
  assert.ok((await tree.freeBytes()) > 0);
  await tree.sync();
  assert.equal(tree.abilities.nameBytesMax, 255);
});
