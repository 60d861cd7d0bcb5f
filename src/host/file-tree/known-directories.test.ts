import assert from "node:assert/strict";
import {
  chmodSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { needs } from "../../../test/support/needs.ts";
import { digest128 } from "../../base/digest.ts";
import { extendedCalls } from "./extended-calls.ts";
import { KnownDirectories, knownDirectoriesMemory } from "./known-directories.ts";
import { rootAttributes } from "./opened-root.ts";
import { scanDirectories, scanResultOf } from "./scan-directories.ts";
import { done, putFile, temporaryTree } from "./testing/temporary-tree.ts";
import { treeCalls } from "./tree-calls.ts";

const EXT4 = 0xef53;
const TMPFS = 0x01021994;
/** More than change times are coarse. */
const TICK_MS = 20;

/** A directory with files, whose last change is `agoMs` ago, and scans of it on this thread. */
async function temporaryScans(t: TestContext, { agoMs = 10_000, type = EXT4 } = {}) {
  const { path, fd } = await temporaryTree(t);
  for (const name of ["a", "b", "c"]) putFile(fd, name, "123");
  symlinkSync("a", join(path, "link"));
  done(treeCalls.mkdirat(fd, "directory", 0o755));
  done(extendedCalls.lsetxattr(fd, "a", "user.x", Uint8Array.of(1)));
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() + agoMs });
  t.mock.method(treeCalls, "fileSystemType", () => type);
  const asked = t.mock.method(extendedCalls, "llistxattr").mock;
  const { device, inode } = rootAttributes(path);
  const memory = knownDirectoriesMemory();
  /** How often extended attributes were asked for, and what was found. */
  const scan = (known = memory, patterns: readonly string[] = [], withExtended = true) => {
    asked.resetCalls();
    const root = { path, device, inode };
    const job = { root, paths: [""], withListings: false, withExtended, patterns, known };
    const { directories, failures } = scanResultOf([scanDirectories(job).result]);
    assert.deepEqual(failures, []);
    const { digest, entries, fileBytes, directories: names } = directories[0]!;
    return { asked: asked.callCount(), found: { digest, entries, fileBytes, names } };
  };
  return { path, fd, scan };
}

test("extended attributes of a directory that is known are not asked for, and it is found as before", async (t) => {
  const { path, scan } = await temporaryScans(t);
  const first = scan();
  assert.equal(first.asked, 5);
  readFileSync(join(path, "a"));
  assert.deepEqual(scan(), { asked: 0, found: first.found });
  assert.equal(first.found.entries, 5);
  assert.equal(first.found.fileBytes, 9);
  assert.deepEqual(first.found.names, ["directory"]);
});

test("whatever changes in a known directory is found", async (t) => {
  const { path, fd, scan } = await temporaryScans(t);
  const set = (value: number) => done(extendedCalls.lsetxattr(fd, "a", "user.x", Uint8Array.of(value)));
  const changes: Record<string, () => void> = {
    "a value of the same length": () => set(2),
    "an attribute more": () => done(extendedCalls.lsetxattr(fd, "b", "user.y", Uint8Array.of(1))),
    "an attribute less": () => done(extendedCalls.lremovexattr(fd, "b", "user.y")),
    "an attribute of a directory": () =>
      done(extendedCalls.lsetxattr(fd, "directory", "user.y", Uint8Array.of(1))),
    "a mode": () => chmodSync(join(path, "b"), 0o604),
    "content of the same size": () => writeFileSync(join(path, "b"), "321"),
    "a size": () => truncateSync(join(path, "b"), 7),
    "a name": () => renameSync(join(path, "b"), join(path, "d")),
    "a link": () => {
      rmSync(join(path, "link"));
      symlinkSync("b", join(path, "link"));
    },
    "one file less": () => rmSync(join(path, "c")),
  };
  let before = scan().found;
  for (const [what, change] of Object.entries(changes)) {
    await delay(TICK_MS);
    change();
    const { found } = scan();
    assert.notDeepEqual(found.digest, before.digest, what);
    assert.deepEqual(found, scan(knownDirectoriesMemory()).found, what);
    assert.equal(scan().asked, 0, what);
    before = found;
  }
});

test("a directory in which something changed of late is not known", async (t) => {
  const { scan } = await temporaryScans(t, { agoMs: 0 });
  assert.equal(scan().asked, 5);
  assert.equal(scan().asked, 5);
});

test("a directory of a file system whose change times prove nothing is not known", async (t) => {
  const { scan } = await temporaryScans(t, { type: TMPFS });
  assert.equal(scan().asked, 5);
  assert.equal(scan().asked, 5);
});

test("a directory is known only under the rules that it was read with", async (t) => {
  const { scan } = await temporaryScans(t);
  scan();
  const { found } = scan(undefined, ["^c$"]);
  assert.equal(found.entries, 4);
  assert.deepEqual(scan(undefined, ["^c$"]), { asked: 0, found });
});

test("a directory of which no extended attribute was asked for is not known by that", async (t) => {
  const { scan } = await temporaryScans(t);
  assert.equal(scan(undefined, [], false).asked, 0);
  assert.equal(scan().asked, 5);
});

test("no directory is known any more when the clock was set back", async (t) => {
  const { scan } = await temporaryScans(t);
  scan();
  t.mock.timers.setTime(Date.now() + 5000);
  assert.equal(scan().asked, 0);
  t.mock.timers.setTime(Date.now() - 1500);
  assert.equal(scan().asked, 5);
  assert.equal(scan().asked, 0);
});

test("a directory with attributes that the kernel makes up is not known", needs("root"), async (t) => {
  const { fd, scan } = await temporaryScans(t);
  done(extendedCalls.lsetxattr(fd, "b", "security.x", Uint8Array.of(1)));
  t.mock.timers.setTime(Date.now() + 10_000);
  assert.equal(scan().asked, 5);
  assert.equal(scan().asked, 5);
});

test("of digests at the same place the last are found, and none that another thread wrote over in part", () => {
  const memory = knownDirectoriesMemory();
  const known = new KnownDirectories(memory, []);
  const digestOf = (text: string) => digest128(Buffer.from(text));
  const keys = Array.from({ length: 5 }, (_, index) =>
    Uint8Array.of(1, 2, 3, ...new Array(12).fill(0), index),
  );
  for (const [index, key] of keys.entries()) known.remember(key, digestOf(`${index}`));
  assert.deepEqual(
    keys.map((key) => known.find(key)),
    [undefined, ...[1, 2, 3, 4].map((index) => digestOf(`${index}`))],
  );
  const bytes = Buffer.from(memory);
  const at = bytes.indexOf(digestOf("4"));
  bytes[at + 15]! ^= 1;
  assert.equal(known.find(keys[4]!), undefined);
  assert.deepEqual(known.find(keys[3]!), digestOf("3"));
});
