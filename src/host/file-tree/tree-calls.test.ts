import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { needs } from "../../../test/support/needs.ts";
import { temporaryDirectory } from "../testing/temporary-directory.ts";
import { EEXIST, ELOOP, ENOENT, ENOTDIR, EXDEV, errnoName } from "./errno-names.ts";
import { extendedCalls } from "./extended-calls.ts";
import { lastStatus } from "./last-status.ts";
import { AT_FDCWD, O_PATH, OPEN_DIRECTORY, OPEN_FILE, treeCalls } from "./tree-calls.ts";

const { O_CREAT, O_EXCL, O_RDWR } = constants;
const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;

function directoryOf(t: TestContext): { path: string; fd: number } {
  const path = temporaryDirectory(t);
  const fd = treeCalls.openat(AT_FDCWD, path, OPEN_DIRECTORY);
  assert.ok(fd >= 0);
  t.after(() => treeCalls.close(fd));
  return { path, fd };
}

function createFile(t: TestContext, directory: number, name: string): number {
  const fd = treeCalls.openat(directory, name, O_RDWR | O_CREAT | O_EXCL, 0o640);
  assert.ok(fd >= 0, errnoName(fd));
  t.after(() => treeCalls.close(fd));
  return fd;
}

test("a path below a directory opens, but never through a symbolic link and never outside", (t) => {
  const { path, fd } = directoryOf(t);
  assert.equal(treeCalls.mkdirat(fd, "a", 0o755), 0);
  assert.equal(treeCalls.mkdirat(fd, "a", 0o755), -EEXIST);
  writeFileSync(join(path, "a/file"), "x");
  symlinkSync("a", join(path, "link"));
  symlinkSync("a/file", join(path, "file-link"));
  const file = treeCalls.openBeneath(fd, "a/file", OPEN_FILE);
  assert.ok(file >= 0);
  treeCalls.close(file);
  assert.ok([-ELOOP, -ENOTDIR].includes(treeCalls.openBeneath(fd, "link/file", OPEN_FILE)));
  assert.equal(treeCalls.openBeneath(fd, "file-link", OPEN_FILE), -ELOOP);
  assert.equal(treeCalls.openBeneath(fd, "../x", OPEN_FILE), -EXDEV);
  assert.ok(treeCalls.openBeneath(fd, "/etc/passwd", OPEN_FILE) < 0);
  assert.equal(treeCalls.openBeneath(fd, "none", OPEN_FILE), -ENOENT);
});

test("a path that is longer than one call takes is walked", (t) => {
  const { fd } = directoryOf(t);
  const names: string[] = [];
  let parent = fd;
  for (let depth = 0; depth < 20; depth += 1) {
    const name = `${String.fromCharCode(97 + depth)}`.repeat(255);
    assert.equal(treeCalls.mkdirat(parent, name, 0o755), 0);
    const next = treeCalls.openat(parent, name, OPEN_DIRECTORY);
    if (parent !== fd) treeCalls.close(parent);
    parent = next;
    names.push(name);
  }
  treeCalls.fstat(parent);
  const inode = lastStatus.inode;
  treeCalls.close(parent);
  const opened = treeCalls.openBeneath(fd, names.join("/"), OPEN_DIRECTORY);
  assert.ok(opened >= 0, errnoName(opened));
  assert.equal(treeCalls.fstat(opened), 0);
  assert.equal(lastStatus.inode, inode);
  treeCalls.close(opened);
  assert.equal(treeCalls.symlinkat(names[0]!, fd, "link"), 0);
  const linked = ["link", ...names.slice(1)].join("/");
  assert.ok([-ELOOP, -ENOTDIR].includes(treeCalls.openBeneath(fd, linked, OPEN_DIRECTORY)));
  const upward = ["..", ...names].join("/");
  assert.ok(treeCalls.openBeneath(fd, upward, OPEN_DIRECTORY) < 0);
});

test("statx says what stat says", (t) => {
  const { path, fd } = directoryOf(t);
  writeFileSync(join(path, "file"), "12345");
  assert.equal(treeCalls.utimensat(fd, "file", -3, 999_999_999), 0);
  assert.equal(treeCalls.fchmodat(fd, "file", 0o4751), 0);
  assert.equal(treeCalls.statat(fd, "file"), 0);
  const known = statSync(join(path, "file"), { bigint: true });
  const attributes = lastStatus.attributes(7);
  assert.equal(attributes.kind, "file");
  assert.equal(attributes.mode, 0o4751);
  assert.equal(BigInt(attributes.inode), known.ino);
  assert.equal(attributes.sizeBytes, 5);
  assert.equal(attributes.modifiedSeconds, -3);
  assert.equal(attributes.modifiedNanoseconds, 999_999_999);
  assert.equal(
    BigInt(attributes.changedSeconds) * 10n ** 9n + BigInt(attributes.changedNanoseconds),
    known.ctimeNs,
  );
  assert.equal(attributes.userId, Number(known.uid));
  assert.equal(attributes.links, 1);
  assert.equal(attributes.extendedHash, 7);
  assert.equal(lastStatus.allocatedBytes, Number(known.blocks) * 512);
  assert.equal(treeCalls.statat(fd, "none"), -ENOENT);
});

test("names of any bytes are made, listed, linked, renamed and removed", (t) => {
  const { path, fd } = directoryOf(t);
  const name = "\xff\xfe\n\x01 caf\xe9";
  createFile(t, fd, name);
  assert.equal(treeCalls.linkat(fd, name, fd, "\x80"), 0);
  assert.equal(treeCalls.symlinkat("\xc3\x28/to", fd, "link"), 0);
  assert.equal(treeCalls.readlinkat(fd, "link"), "\xc3\x28/to");
  assert.equal(readlinkSync(join(path, "link"), "latin1"), "\xc3\x28/to");
  assert.equal(treeCalls.renameat2(fd, name, fd, "\x80", "noReplace"), -EEXIST);
  assert.equal(treeCalls.renameat2(fd, name, fd, "x".repeat(255)), 0);
  const listed = treeCalls.openat(fd, ".", OPEN_DIRECTORY);
  const names = treeCalls.readNames(listed);
  treeCalls.close(listed);
  assert.ok(typeof names === "object");
  assert.deepEqual([...names.names].sort(), ["link", "x".repeat(255), "\x80"]);
  for (const each of names.names) assert.equal(treeCalls.unlinkat(fd, each), 0);
  assert.equal(treeCalls.mkdirat(fd, "directory", 0o700), 0);
  assert.equal(treeCalls.rmdirat(fd, "directory"), 0);
});

test("FIFOs and device nodes are made, and a FIFO's opening never blocks", needs("root"), (t) => {
  const { fd } = directoryOf(t);
  assert.equal(treeCalls.mknodat(fd, "fifo", S_IFIFO | 0o600, 0), 0);
  assert.equal(treeCalls.mknodat(fd, "null", S_IFCHR | 0o600, 260 * 2 ** 32 + 70_000), 0);
  assert.equal(treeCalls.statat(fd, "null"), 0);
  assert.equal(lastStatus.attributes(0).deviceNode, 260 * 2 ** 32 + 70_000);
  const fifo = treeCalls.openat(fd, "fifo", OPEN_FILE);
  assert.ok(fifo >= 0);
  treeCalls.close(fifo);
});

test("files are written, read, punched, copied and cut", (t) => {
  const { path, fd } = directoryOf(t);
  const from = createFile(t, fd, "from");
  const bytes = new Uint8Array(3 * 65536).fill(7);
  assert.equal(treeCalls.pwrite(from, bytes, 0), bytes.length);
  assert.equal(treeCalls.punchHole(from, 65536, 65536), 0);
  assert.equal(treeCalls.seek(from, 0, "hole"), 65536);
  assert.equal(treeCalls.seek(from, 65536, "data"), 131072);
  assert.equal(errnoName(treeCalls.seek(from, 3 * 65536, "data")), "ENXIO");
  const to = createFile(t, fd, "to");
  assert.equal(treeCalls.copyRange(from, 131072, to, 5, 100), 100);
  const cloned = treeCalls.cloneRange(from, 0, to, 65536, 65536);
  assert.ok(
    cloned === 0 || ["EOPNOTSUPP", "ENOTTY", "EINVAL"].includes(errnoName(cloned)),
    errnoName(cloned),
  );
  assert.equal(treeCalls.ftruncate(to, 50), 0);
  const back = new Uint8Array(60);
  assert.equal(treeCalls.pread(to, back, 0), 50);
  assert.deepEqual(
    back,
    Uint8Array.from({ length: 60 }, (_, at) => (at >= 5 && at < 50 ? 7 : 0)),
  );
  assert.equal(treeCalls.write(to, Uint8Array.of(1, 2, 3)), 3);
  assert.equal(treeCalls.fdatasync(to), 0);
  assert.equal(treeCalls.fsync(to), 0);
  assert.equal(treeCalls.syncfs(fd), 0);
  assert.equal(treeCalls.futimens(to, 2 ** 33, 5), 0);
  assert.equal(statSync(join(path, "to"), { bigint: true }).mtimeNs, 2n ** 33n * 10n ** 9n + 5n);
  assert.deepEqual([...readFileSync(join(path, "to")).subarray(0, 6)], [1, 2, 3, 0, 0, 7]);
});

test("free bytes are those that df shows", needs("df"), (t) => {
  const { path, fd } = directoryOf(t);
  const shown = Number(execFileSync("df", ["-B1", "--output=avail", path]).toString().split("\n")[1]);
  assert.ok(Math.abs(treeCalls.freeBytes(fd) - shown) < 2 ** 30);
});

test("owners and modes are set by descriptor and by name, of symbolic links too", needs("root"), (t) => {
  const { fd } = directoryOf(t);
  const file = createFile(t, fd, "file");
  assert.equal(treeCalls.fchown(file, 1234, 2 ** 31 + 5), 0);
  assert.equal(treeCalls.fchmod(file, 0o4750), 0);
  assert.equal(treeCalls.fstat(file), 0);
  assert.deepEqual(
    [lastStatus.mode, lastStatus.attributes(0).userId, lastStatus.attributes(0).groupId],
    [0o4750, 1234, 2 ** 31 + 5],
  );
  treeCalls.symlinkat("file", fd, "link");
  assert.equal(treeCalls.fchownat(fd, "link", 7, 8), 0);
  assert.equal(treeCalls.utimensat(fd, "link", 100, 1), 0);
  assert.ok(treeCalls.fchmodat(fd, "link", 0o777) < 0);
  treeCalls.statat(fd, "link");
  const link = lastStatus.attributes(0);
  assert.deepEqual(
    [link.userId, link.groupId, link.modifiedSeconds, link.modifiedNanoseconds],
    [7, 8, 100, 1],
  );
  treeCalls.statat(fd, "file");
  assert.equal(lastStatus.attributes(0).userId, 1234);
});

test(
  "extended attributes are set, listed, read and removed, of files and of a symbolic link itself",
  needs("root"),
  (t) => {
    const { fd } = directoryOf(t);
    const file = createFile(t, fd, "file");
    const value = Uint8Array.of(0, 255, 7);
    assert.deepEqual(extendedCalls.flistxattr(file), []);
    assert.equal(extendedCalls.fsetxattr(file, "user.one", value), 0);
    assert.equal(extendedCalls.lsetxattr(fd, "file", "trusted.two", new Uint8Array(0)), 0);
    assert.deepEqual([...(extendedCalls.flistxattr(file) as string[])].sort(), ["trusted.two", "user.one"]);
    assert.deepEqual(extendedCalls.fgetxattr(file, "user.one"), value);
    assert.deepEqual(extendedCalls.lgetxattr(fd, "file", "trusted.two"), new Uint8Array(0));
    assert.equal(extendedCalls.fremovexattr(file, "user.one"), 0);
    assert.equal(extendedCalls.lremovexattr(fd, "file", "trusted.two"), 0);
    assert.equal(errnoName(extendedCalls.fgetxattr(file, "user.one") as number), "ENODATA");
    treeCalls.symlinkat("file", fd, "link");
    assert.equal(extendedCalls.lsetxattr(fd, "link", "trusted.three", value), 0);
    assert.deepEqual(extendedCalls.llistxattr(fd, "link"), ["trusted.three"]);
    assert.deepEqual(extendedCalls.llistxattr(fd, "file"), []);
  },
);

test("a closed descriptor says EBADF in every call of descriptors", (t) => {
  const path = join(temporaryDirectory(t), "file");
  const fd = openSync(path, "w");
  closeSync(fd);
  const bytes = new Uint8Array(4);
  const results = [
    treeCalls.fstat(fd),
    treeCalls.pread(fd, bytes, 0),
    treeCalls.ftruncate(fd, 0),
    treeCalls.freeBytes(fd),
    treeCalls.readNames(fd),
    treeCalls.openBeneath(fd, "x", O_PATH),
    extendedCalls.flistxattr(fd),
    treeCalls.close(fd),
  ];
  for (const result of results) assert.equal(result, -9);
});
