import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  linkSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "../../../test/support/needs.ts";
import type { PackResult, ScannedDirectory, ScanResult, SourceTree, TreePath } from "../../ports/mod.ts";
import { linkHash, type Operation, readBundle, readExtended, readListing } from "../../wire/filesync/mod.ts";
import { extendedCalls } from "./extended-calls.ts";
import { openSourceTree } from "./source-tree.ts";
import { done, putDirectories, putFile, temporaryTree, whileAgain } from "./testing/temporary-tree.ts";
import { OPEN_DIRECTORY, treeCalls } from "./tree-calls.ts";

const MIB = 2 ** 20;
const S_IFIFO = 0o010000;
const S_IFSOCK = 0o140000;

function scan(
  tree: SourceTree,
  paths: readonly TreePath[],
  patterns: readonly string[] = [],
): Promise<ScanResult> {
  return tree.scan({ paths, withListings: true, excludes: { patterns } });
}

function namesOf(scanned: ScannedDirectory): string[] {
  return readListing(scanned.listing!).map((entry) => entry.name);
}

function pack(tree: SourceTree, paths: readonly TreePath[], inlineBytesMax = MIB): Promise<PackResult> {
  return tree.pack({ paths, inlineBytesMax, bundleBytesMax: 4 * MIB, what: "content" });
}

function contentOf(operation: Operation | undefined): Buffer {
  assert.equal(operation?.op, "file");
  const content = Buffer.alloc(operation.attributes.sizeBytes);
  for (const { offset, bytes } of operation.extents) content.set(bytes, offset);
  return content;
}

test("a scan lists every kind of entry, with names of any bytes and of 255", async (t) => {
  const { path, fd, tree } = await temporaryTree(t);
  const names = ["\xff\xfe\n\x01", "z".repeat(255), "caf\xe9", "plain"];
  for (const name of names) putFile(fd, name, "12345");
  done(treeCalls.mkdirat(fd, "\x80directory", 0o711));
  done(treeCalls.symlinkat("\xc3\x28 to", fd, "link"));
  done(treeCalls.mknodat(fd, "fifo", S_IFIFO | 0o600, 0));
  done(treeCalls.mknodat(fd, "socket", S_IFSOCK | 0o600, 0));
  const { directories, failures } = await scan(tree, [""]);
  assert.deepEqual(failures, []);
  const [root] = directories;
  const listing = readListing(root!.listing!);
  assert.deepEqual(
    listing.map((entry) => `${entry.name} ${entry.attributes.kind}`),
    [
      ...names.map((name) => `${name} file`),
      "\x80directory directory",
      "link symlink",
      "fifo fifo",
      "socket socket",
    ].sort(),
  );
  assert.equal(root!.entries, 8);
  assert.equal(root!.fileBytes, 20);
  assert.deepEqual(root!.directories, ["\x80directory"]);
  assert.equal(root!.attributes.kind, "directory");
  assert.equal(listing.find((entry) => entry.name === "link")!.linkHash, linkHash("\xc3\x28 to"));
  assert.equal(listing.find((entry) => entry.name === "plain")!.attributes.sizeBytes, 5);

  const again = await scan(tree, [""]);
  assert.deepEqual(again.directories[0]!.digest, root!.digest);
  writeFileSync(join(path, "plain"), "123456");
  const changed = await scan(tree, [""]);
  assert.notDeepEqual(changed.directories[0]!.digest, root!.digest);
});

test("a scan passes over excluded paths and Ropewalk's own names", async (t) => {
  const { path, tree } = await temporaryTree(t);
  for (const name of ["a", "a/cache", ".ropewalk-trash", "b"]) mkdirSync(join(path, name));
  for (const name of ["a/x", "a/x.tmp", ".ropewalk-1234", ".ropewal", "a/.ropewalk-5"])
    writeFileSync(join(path, name), "");
  const { directories } = await scan(tree, ["", "a"], ["\\.tmp$", "^a/cache$"]);
  assert.deepEqual(directories.map(namesOf), [[".ropewal", "a", "b"], ["x"]]);
  assert.deepEqual(directories[1]!.directories, []);
});

test("a path that is no directory, or not there, is a failure of its own, in whatever part of the scan", async (t) => {
  const { path, tree } = await temporaryTree(t, { threads: 2 });
  const paths: string[] = [];
  for (let index = 0; index < 20; index += 1) {
    mkdirSync(join(path, `d${index}`));
    paths.push(`d${index}`);
  }
  rmdirSync(join(path, "d3"));
  rmdirSync(join(path, "d17"));
  writeFileSync(join(path, "d17"), "");
  symlinkSync("d1", join(path, "d20"));
  const { directories, failures } = await scan(tree, [...paths, "d20"]);
  assert.deepEqual(
    directories.map((scanned) => scanned.path),
    paths.filter((name) => name !== "d3" && name !== "d17"),
  );
  assert.deepEqual(failures, [
    { path: "d3", errno: "ENOENT", doing: "open" },
    { path: "d17", errno: "ENOTDIR", doing: "open" },
    { path: "d20", errno: "ENOTDIR", doing: "open" },
  ]);
});

test("a symbolic link that is swapped in for a directory is never followed", async (t) => {
  const { path, tree } = await temporaryTree(t, { threads: 2 });
  const outside = await temporaryTree(t);
  mkdirSync(join(path, "one"));
  mkdirSync(join(path, "one/sub"));
  mkdirSync(join(outside.path, "sub"));
  writeFileSync(join(path, "one/file"), "mine");
  writeFileSync(join(outside.path, "file"), "secret");
  writeFileSync(join(outside.path, "sub/secret"), "secret");
  symlinkSync(outside.path, join(path, "other"));
  const seen = { directories: 0, failures: 0, packed: 0 };
  await whileAgain({ path, what: "exchange" }, async () => {
    for (let turn = 0; turn < 300 || seen.directories === 0 || seen.packed === 0; turn += 1) {
      const scanned = await scan(tree, ["one", "one/sub", "other"]);
      for (const directory of scanned.directories)
        assert.deepEqual(namesOf(directory), directory.path === "one/sub" ? [] : ["file", "sub"]);
      seen.directories += scanned.directories.length;
      seen.failures += scanned.failures.length;
      const { bundle, failures } = await pack(tree, ["one/file", "other/file", "one/sub/secret"]);
      for (const operation of readBundle(bundle)) {
        assert.equal(contentOf(operation).toString(), "mine");
        seen.packed += 1;
      }
      for (const failure of failures) assert.equal(failure.errno, "ENOENT");
    }
  });
  assert.ok(seen.failures > 0);
});

test("packing makes the operation of each kind, in order, to other paths when that is asked", async (t) => {
  const { fd, tree } = await temporaryTree(t);
  putFile(fd, "\xff file", "content");
  putFile(fd, "empty");
  done(treeCalls.mkdirat(fd, "directory", 0o750));
  done(treeCalls.symlinkat("to \xfe", fd, "link"));
  done(treeCalls.mknodat(fd, "fifo", S_IFIFO | 0o640, 0));
  done(treeCalls.utimensat(fd, "\xff file", 1_000_000_000, 123_456_789));
  const paths = [
    "directory",
    "\xff file",
    "gone",
    "empty",
    "link",
    "fifo",
    "",
    "directory/gone",
    "empty/gone",
  ];
  const targetPaths = paths.map((path) => (path === "" ? "" : `there/${path}`));
  const result = await tree.pack({
    paths,
    targetPaths,
    inlineBytesMax: MIB,
    bundleBytesMax: MIB,
    what: "content",
  });
  const operations = readBundle(result.bundle);
  assert.deepEqual(
    operations.map((operation) => `${operation.op} ${"path" in operation ? operation.path : ""}`),
    [
      "makeDirectory there/directory",
      "file there/\xff file",
      "file there/empty",
      "symlink there/link",
      "special there/fifo",
      "makeDirectory ",
    ],
  );
  assert.equal(result.operations, 6);
  assert.equal(result.taken, 9);
  assert.deepEqual(
    result.failures.map((failure) => `${failure.path} ${failure.errno}`),
    ["gone ENOENT", "directory/gone ENOENT", "empty/gone ENOENT"],
  );
  assert.equal(contentOf(operations[1]).toString(), "content");
  assert.ok(operations[1]?.op === "file" && operations[3]?.op === "symlink");
  assert.equal(operations[1].attributes.modifiedSeconds, 1_000_000_000);
  assert.equal(operations[1].attributes.modifiedNanoseconds, 123_456_789);
  assert.equal(operations[3].target, "to \xfe");
  assert.deepEqual(
    result.packed.map((packed) => packed.path),
    ["directory", "\xff file", "empty", "link", "fifo", ""],
  );
  assert.ok(result.packed.every((packed) => !packed.isLarge && !packed.changedWhileRead));

  const only = await tree.pack({ paths, inlineBytesMax: MIB, bundleBytesMax: MIB, what: "attributes" });
  assert.ok(readBundle(only.bundle).every((operation) => operation.op === "attributes"));
  assert.equal(only.operations, 6);
});

test("a bundle ends before it is too long, and the rest follows in the next one", async (t) => {
  const { fd, tree } = await temporaryTree(t);
  const paths = Array.from({ length: 25 }, (_, index) => `file-${index}`);
  for (const [index, path] of paths.entries()) putFile(fd, path, Buffer.alloc(40_000, index));
  putFile(fd, "large", Buffer.alloc(70_000));
  const seen: number[] = [];
  for (let rest = [...paths, "large"]; rest.length > 0; ) {
    const result = await tree.pack({
      paths: rest,
      inlineBytesMax: 65_536,
      bundleBytesMax: 300_000,
      what: "content",
    });
    assert.ok(result.taken > 0 && result.bundle.length <= 300_000);
    for (const operation of readBundle(result.bundle)) seen.push(contentOf(operation)[39_999]!);
    for (const packed of result.packed) assert.equal(packed.isLarge, packed.path === "large");
    rest = rest.slice(result.taken);
  }
  assert.deepEqual(
    seen,
    paths.map((_, index) => index),
  );
  const tooLong = await tree.pack({
    paths: ["large"],
    inlineBytesMax: MIB,
    bundleBytesMax: 1000,
    what: "content",
  });
  assert.deepEqual([tooLong.taken, tooLong.operations, tooLong.packed[0]!.isLarge], [1, 0, true]);
});

test("of a sparse file only the data is read", async (t) => {
  const { path, fd, tree } = await temporaryTree(t);
  putFile(fd, "sparse");
  truncateSync(join(path, "sparse"), 50 * MIB + 17);
  const file = done(treeCalls.openat(fd, "sparse", 1));
  done(treeCalls.pwrite(file, Buffer.alloc(8192, 5), 10 * MIB));
  done(treeCalls.pwrite(file, Buffer.alloc(10, 6), 50 * MIB));
  treeCalls.close(file);
  putFile(fd, "hole");
  truncateSync(join(path, "hole"), 3 * MIB);
  // Whole, a file is longer than the bundle's memory: only as a large one it can be had.
  const { packed } = await pack(tree, ["sparse"], 64 * MIB);
  assert.equal(packed[0]!.isLarge, true);
  const [hole] = readBundle((await pack(tree, ["hole"], 4 * MIB)).bundle);
  assert.ok(hole?.op === "file");
  assert.deepEqual([hole.attributes.sizeBytes, hole.extents.length], [3 * MIB, 0]);

  truncateSync(join(path, "sparse"), 0);
  truncateSync(join(path, "sparse"), MIB + 17);
  const small = done(treeCalls.openat(fd, "sparse", 1));
  done(treeCalls.pwrite(small, Buffer.alloc(8192, 5), 512 * 1024));
  done(treeCalls.pwrite(small, Buffer.alloc(10, 6), MIB));
  treeCalls.close(small);
  const result = await pack(tree, ["sparse"], 2 * MIB);
  assert.ok(result.bundle.length < 100_000);
  const [operation] = readBundle(result.bundle);
  assert.ok(operation?.op === "file");
  const expected = Buffer.alloc(MIB + 17);
  expected.fill(5, 512 * 1024, 512 * 1024 + 8192).fill(6, MIB, MIB + 10);
  assert.ok(contentOf(operation).equals(expected));
});

test("a large file tells where its data lies, is read and hashed, and stays the same under another name", async (t) => {
  const { path, fd, tree } = await temporaryTree(t, { threads: 3 });
  const content = Buffer.alloc(40 * MIB + 5);
  for (let at = 0; at < content.length; at += 4099) content[at] = at % 251;
  putFile(fd, "file", content);
  const file = await tree.open("file");
  renameSync(join(path, "file"), join(path, "renamed"));
  writeFileSync(join(path, "file"), "another");
  assert.equal(file.attributes.sizeBytes, content.length);
  const target = Buffer.alloc(3 * MIB);
  assert.equal(await file.read(38 * MIB, target), 2 * MIB + 5);
  assert.ok(target.subarray(0, 2 * MIB + 5).equals(content.subarray(38 * MIB)));
  const request = { offset: 0, length: content.length, blockBytes: 128 * 1024, seed: 7 };
  const hashes = await file.hashes(request);
  assert.equal(hashes.length, 16 * 321);
  // One block alone, and one of another seed: the pieces of several threads are in their order.
  for (const block of [0, 100, 319, 320]) {
    const offset = block * request.blockBytes;
    const one = await file.hashes({
      ...request,
      offset,
      length: Math.min(request.blockBytes, content.length - offset),
    });
    assert.deepEqual(one, hashes.slice(16 * block, 16 * block + 16));
    const other = await file.hashes({ ...request, offset, length: 1, seed: 8 });
    assert.notDeepEqual(other, one);
  }
  assert.equal((await file.hashes({ ...request, offset: 40 * MIB, length: 4 * MIB })).length, 16);
  truncateSync(join(path, "renamed"), 60 * MIB);
  assert.deepEqual(await file.dataAt(MIB), { offset: MIB, end: 40 * MIB + 4096 });
  assert.equal(await file.dataAt(41 * MIB), undefined);
  assert.equal((await file.now()).sizeBytes, 60 * MIB);
  assert.notEqual((await file.now()).changedNanoseconds, file.attributes.changedNanoseconds);
  await file.close();
  await assert.rejects(file.now(), { code: "SHUTTING_DOWN" });
});

test("a file that grows while it is read is said to have changed", async (t) => {
  const { path, tree } = await temporaryTree(t);
  writeFileSync(join(path, "one"), Buffer.alloc(2 * MIB));
  let packed: PackResult["packed"][number] | undefined;
  await whileAgain({ path, what: "append" }, async () => {
    // On a busy machine the other thread may stand still for one of the four reads, or for a second.
    for (const endMs = performance.now() + 20_000; performance.now() < endMs; ) {
      if (packed?.changedWhileRead === true) break;
      const result = await pack(tree, ["one"], 4 * MIB);
      packed = result.packed[0];
      if (packed!.isLarge) truncateSync(join(path, "one"), 2 * MIB);
      else assert.equal(contentOf(readBundle(result.bundle)[0]).length, packed!.attributes.sizeBytes);
    }
  });
  assert.equal(packed!.changedWhileRead, true);
  assert.equal((await pack(tree, ["one"], MIB)).packed[0]!.changedWhileRead, false);
});

test("a FIFO, a socket or a directory is not opened as a file, and opening never blocks", async (t) => {
  const { fd, tree } = await temporaryTree(t);
  done(treeCalls.mknodat(fd, "fifo", S_IFIFO | 0o600, 0));
  done(treeCalls.mknodat(fd, "socket", S_IFSOCK | 0o600, 0));
  done(treeCalls.mkdirat(fd, "directory", 0o700));
  done(treeCalls.symlinkat("directory", fd, "link"));
  for (const path of ["fifo", "socket", "directory", "link", "none", ""])
    await assert.rejects(tree.open(path), { code: "NOT_FOUND" }, path);
});

test("a path of nearly 4,096 bytes is scanned, looked at and packed; a longer one is a failure", async (t) => {
  const { fd, tree } = await temporaryTree(t);
  const directory = putDirectories(
    fd,
    Array.from({ length: 16 }, (_, depth) => String.fromCharCode(97 + depth).repeat(254)),
  );
  const path = `${directory}/${"x".repeat(4096 - directory.length - 1)}`;
  putFile(fd, path, "deep");
  const beyond = `${directory}/${"y".repeat(255)}/${"z".repeat(200)}`;
  const deepest = done(treeCalls.openBeneath(fd, directory, OPEN_DIRECTORY));
  done(treeCalls.mkdirat(deepest, "y".repeat(255), 0o755));
  treeCalls.close(deepest);
  putFile(fd, beyond, "deeper");
  assert.equal(path.length, 4096);
  const { directories } = await scan(tree, [directory, beyond.slice(0, -201)]);
  assert.deepEqual(
    directories.map((scanned) => scanned.entries),
    [2, 1],
  );
  assert.deepEqual(
    (await tree.stat([path, beyond])).map((attributes) => attributes?.sizeBytes),
    [4, 6],
  );
  const { bundle, failures } = await pack(tree, [path, beyond]);
  assert.equal(contentOf(readBundle(bundle)[0]).toString(), "deep");
  assert.deepEqual(failures, [{ path: beyond, errno: "ENAMETOOLONG", doing: "pack" }]);
});

test("names of one file have one device and inode, and say how many they are", async (t) => {
  const { path, tree } = await temporaryTree(t);
  writeFileSync(join(path, "one"), "x");
  mkdirSync(join(path, "directory"));
  linkSync(join(path, "one"), join(path, "directory/two"));
  const [one, two, directory, none] = await tree.stat(["one", "directory/two", "directory", "one/none"]);
  assert.deepEqual(one, two);
  assert.equal(one!.links, 2);
  assert.equal(directory!.links, 1);
  assert.equal(none, undefined);
});

test(
  "extended attributes are packed and hashed, of links and special files too",
  needs("root"),
  async (t) => {
    const { fd, tree } = await temporaryTree(t);
    putFile(fd, "file", "x");
    putFile(fd, "plain", "x");
    done(treeCalls.symlinkat("file", fd, "link"));
    done(treeCalls.mknodat(fd, "fifo", S_IFIFO | 0o600, 0));
    const value = Uint8Array.of(1, 0, 255);
    for (const name of ["file", "link", "fifo"]) done(extendedCalls.lsetxattr(fd, name, "trusted.a", value));
    done(extendedCalls.lsetxattr(fd, "file", "user.b", new Uint8Array(3000).fill(9)));
    const before = (await tree.stat(["file", "plain"])).map((attributes) => attributes!.extendedHash);
    assert.notEqual(before[0], 0);
    assert.equal(before[1], 0);
    const { bundle, packed } = await pack(tree, ["file", "link", "fifo", "plain"]);
    const extended = readBundle(bundle).map((operation) =>
      "extended" in operation
        ? readExtended(operation.extended).map((one) => `${one.name} ${one.value.length}`)
        : [],
    );
    assert.deepEqual(extended, [["trusted.a 3", "user.b 3000"], ["trusted.a 3"], ["trusted.a 3"], []]);
    assert.equal(packed[0]!.attributes.extendedHash, before[0]);
    const [root] = (await scan(tree, [""])).directories;
    assert.equal(
      readListing(root!.listing!).find((entry) => entry.name === "file")!.attributes.extendedHash,
      before[0],
    );
    const file = await tree.open("file");
    assert.equal(readExtended(file.extended).length, 2);
    assert.equal(file.attributes.extendedHash, before[0]);
    done(extendedCalls.lsetxattr(fd, "file", "trusted.a", Uint8Array.of(2)));
    assert.notEqual((await tree.stat(["file"]))[0]!.extendedHash, before[0]);
    assert.notEqual((await file.now()).extendedHash, before[0]);
  },
);

test("access control lists are extended attributes of the file", needs("setfacl"), async (t) => {
  const { path, fd, tree } = await temporaryTree(t);
  putFile(fd, "file", "x");
  mkdirSync(join(path, "directory"));
  execFileSync("setfacl", ["-m", "u:12345:r", join(path, "file")]);
  execFileSync("setfacl", ["-d", "-m", "u:12345:r", join(path, "directory")]);
  const operations = readBundle((await pack(tree, ["file", "directory"])).bundle);
  const names = operations.flatMap((operation) =>
    "extended" in operation ? readExtended(operation.extended).map((one) => one.name) : [],
  );
  assert.deepEqual(names, ["system.posix_acl_access", "system.posix_acl_default"]);
});

test("another directory in the root's place, or none, fails every call", async (t) => {
  const { path } = await temporaryTree(t);
  const root = join(path, "root");
  mkdirSync(root);
  writeFileSync(join(root, "file"), "x");
  const tree = await openSourceTree(root, { threads: 1 });
  t.after(() => tree.close());
  const known = await tree.root();
  renameSync(root, join(path, "away"));
  const calls = [
    () => scan(tree, [""]),
    () => pack(tree, ["file"]),
    () => tree.stat(["file"]),
    () => tree.open("file"),
  ];
  for (const call of [...calls, () => tree.root()]) await assert.rejects(call, { code: "NOT_FOUND" });
  mkdirSync(root);
  for (const call of calls) await assert.rejects(call, { code: "NOT_FOUND", message: /another directory/ });
  assert.notEqual((await tree.root()).inode, known.inode);
  rmdirSync(root);
  renameSync(join(path, "away"), root);
  assert.equal((await tree.stat(["file"]))[0]!.sizeBytes, 1);
});

test(
  "the root of another file system that has the device and the inode of the one before is told from it",
  needs("root"),
  async (t) => {
    const { path } = await temporaryTree(t);
    const mounted = async () => {
      execFileSync("mount", ["-t", "tmpfs", "tmpfs", path]);
      try {
        const tree = await openSourceTree(path, { threads: 1 });
        const [root, again] = [await tree.root(), await tree.root()];
        await tree.close();
        assert.equal(root.fileSystem, again.fileSystem);
        return root;
      } finally {
        execFileSync("umount", [path]);
      }
    };
    const [first, second] = [await mounted(), await mounted()];
    assert.equal(first.inode, second.inode);
    assert.notEqual(first.fileSystem, second.fileSystem);
  },
);

test("a root that is none is refused", async (t) => {
  const { path } = await temporaryTree(t);
  writeFileSync(join(path, "file"), "");
  await assert.rejects(openSourceTree(join(path, "none")), { code: "NOT_FOUND" });
  await assert.rejects(openSourceTree(join(path, "file")), { code: "INVALID_ARGUMENT" });
});
