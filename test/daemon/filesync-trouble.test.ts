// What goes wrong at a source or a target while a real daemon replicates: `filesync show` tells it with its code and what to
// do, nothing is lost, another synchronization goes on meanwhile, and this one does when the trouble is over.
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import type { ErrorCode } from "../../src/base/errors.ts";
import { AT_FDCWD, OPEN_DIRECTORY, treeCalls } from "../../src/host/file-tree/tree-calls.ts";
import { Relay } from "../filesync/relay.ts";
import { shownFilesync, until, untilShown } from "../filesync/shown-filesync.ts";
import { treeDifferences } from "../filesync/tree-differences.ts";
import { Daemon } from "../support/daemon.ts";
import { needs } from "../support/needs.ts";
import { runProgram } from "../support/run-program.ts";
import { SmallMount } from "../support/small-mount.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

const POOL_SIZE = "1GiB";
const LARGE_BYTES = 12 * 2 ** 20;
const tools = ["rsync", "getfattr"];
const exfat = needs("root", "loop", "fuse", "mkfs.exfat", "mount.exfat-fuse");

/** Directories for a synchronization `troubled`, and a daemon that has another one, `other`. */
class Place implements AsyncDisposable {
  readonly folder = new TemporaryFolder();
  readonly source = this.folder.file("source");
  readonly target = this.folder.file("target");
  #daemon: Daemon | undefined;
  #changes = 0;

  constructor() {
    for (const path of [this.source, this.target, this.folder.file("other")]) mkdirSync(path);
  }

  get daemon(): Daemon {
    return this.#daemon!;
  }

  async start(options: { readonly wrapper?: readonly string[] } = {}): Promise<void> {
    this.#daemon = await Daemon.start({ poolSize: POOL_SIZE, ...options });
    await this.add("other", { source: this.folder.file("other"), to: this.folder.file("other-copy") });
  }

  async add(
    name: string,
    { source = this.source, to = this.target, key }: { source?: string; to?: string; key?: string } = {},
  ): Promise<void> {
    const keyWords = key === undefined ? [] : ["--key", key];
    await this.daemon.cli("filesync", "add", name, "--source", source, "--to", to, ...keyWords);
  }

  async settled(name = "troubled"): Promise<void> {
    await this.daemon.cli("filesync", "show", name, "--wait");
  }

  async equal(): Promise<void> {
    await this.settled();
    assert.deepEqual(await treeDifferences(this.source, this.target), []);
  }

  /** Waits until the target's error is this one; its sentence says what to do. */
  async told(code: ErrorCode, advice: RegExp): Promise<void> {
    const { targets } = await untilShown(
      this.daemon,
      "troubled",
      code,
      (shown) => shown.targets[0]?.error?.code === code,
    );
    assert.match(targets[0]!.error!.message, advice);
  }

  async othersGoOn(): Promise<void> {
    const name = `change${this.#changes++}`;
    writeFileSync(this.folder.file(`other/${name}`), name);
    await until("the other synchronization goes on", () =>
      existsSync(this.folder.file(`other-copy/${name}`)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon?.[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

test(
  "a source that is unmounted is told, also to who waits, and removes nothing; what is mounted there later is taken when that is said",
  needs("root", "mount", ...tools),
  async () => {
    await using place = new Place();
    const { source, target } = place;
    {
      await using _mount = await SmallMount.tmpfs(source, 2 ** 24);
      for (let index = 0; index < 20; index += 1) writeFileSync(`${source}/file${index}`, "content");
      await place.start();
      await place.add("troubled");
      await place.equal();
      await runProgram("umount", [source]);
    }
    const { error } = await untilShown(
      place.daemon,
      "troubled",
      "it is told",
      ({ state }) => state === "source-missing",
    );
    assert.equal(error?.code, "SOURCE_MISSING");
    assert.match(error.message, /nothing is removed|--allow-deletes/);
    const waited = await place.daemon.tryCli("filesync", "show", "troubled", "--wait");
    assert.equal(waited.code, 1);
    assert.match(waited.stderr, /SOURCE_MISSING/);
    await place.othersGoOn();
    assert.equal(readdirSync(target).length, 20);

    await using _again = await SmallMount.tmpfs(source, 2 ** 24);
    writeFileSync(`${source}/file0`, "new");
    await untilShown(place.daemon, "troubled", "another one is told", (shown) =>
      /another directory than before .*--allow-deletes/.test(shown.error?.message ?? ""),
    );
    assert.equal(readdirSync(target).length, 20);
    await place.daemon.cli("filesync", "sync", "troubled", "--allow-deletes");
    await place.equal();
  },
);

test(
  "a target that is full is told, nobody sees half a file, and it goes on by itself when it is enlarged",
  needs("root", "mount", ...tools),
  async () => {
    await using place = new Place();
    const { source, target } = place;
    await using mount = await SmallMount.tmpfs(target, 2 ** 20);
    for (let index = 0; index < 10; index += 1)
      writeFileSync(`${source}/part${index}`, Buffer.alloc(200_000, 1));
    await place.start();
    await place.add("troubled");
    await place.told("NO_SPACE", /target is full .*make room, and it goes on by itself/);
    writeFileSync(`${source}/small`, "live");
    await place.othersGoOn();
    for (const name of readdirSync(target).filter((each) => each.startsWith("part")))
      assert.equal(readFileSync(`${target}/${name}`).length, 200_000);
    await mount.remount("size=8388608");
    await place.equal();
  },
);

test(
  "a target that has become read-only is told, and goes on by itself when it is writable",
  needs("root", "mount", ...tools),
  async () => {
    await using place = new Place();
    await using mount = await SmallMount.tmpfs(place.target, 2 ** 24);
    await place.start();
    await place.add("troubled");
    await place.settled();
    await mount.remount("ro");
    writeFileSync(`${place.source}/file`, "1");
    await place.told("READ_ONLY", /make it writable, and it goes on by itself/);
    await place.othersGoOn();
    await mount.remount("rw");
    await place.equal();
  },
);

test(
  "what a file system without extended attributes cannot keep is told once, and all else is there",
  needs("root", "mount", "setfattr"),
  async () => {
    await using place = new Place();
    const { source, target } = place;
    await using _mount = await SmallMount.ramfs(target);
    for (const name of ["one", "two"]) {
      writeFileSync(`${source}/${name}`, name);
      await runProgram("setfattr", ["-n", "user.colour", "-v", "red", `${source}/${name}`]);
    }
    await place.start();
    await place.add("troubled");
    await place.settled();
    for (const name of ["one", "two"]) assert.equal(readFileSync(`${target}/${name}`, "utf8"), name);
    const { targets } = await shownFilesync(place.daemon, "troubled");
    assert.equal(targets[0]!.failures, 1);
    assert.equal(targets[0]!.error, undefined);
    // What is left out is not compared, either.
    await place.daemon.cli("filesync", "verify", "troubled");
  },
);

test(
  "of names that differ in case only one arrives where a file system takes them for the same; the other is told, and nothing of the first is lost by it",
  exfat,
  async () => {
    await using place = new Place();
    const { source, target, folder } = place;
    await using _mount = await SmallMount.exfat(target, { file: folder.file("image"), sizeBytes: 2 ** 25 });
    writeFileSync(`${source}/name`, "lower");
    mkdirSync(`${source}/directory`);
    writeFileSync(`${source}/directory/inner`, "lower");
    await place.start();
    await place.add("troubled");
    await place.settled();
    writeFileSync(`${source}/Name`, "Upper");
    mkdirSync(`${source}/Directory`);
    writeFileSync(`${source}/Directory/inner`, "Upper");
    // Large files are sent another way.
    writeFileSync(`${source}/Directory/large`, Buffer.alloc(LARGE_BYTES, 1));
    await place.settled();
    const { targets } = await shownFilesync(place.daemon, "troubled");
    const told = targets[0]!.lastFailures.map(({ path }) => path);
    for (const path of ["Name", "Directory"]) assert.ok(told.includes(path), path);
    assert.deepEqual(readdirSync(target).sort(), ["directory", "name"]);
    assert.deepEqual(readdirSync(`${target}/directory`), ["inner"]);
    assert.equal(readFileSync(`${target}/name`, "utf8"), "lower");
    assert.equal(readFileSync(`${target}/directory/inner`, "utf8"), "lower");
    await place.othersGoOn();

    rmSync(`${source}/Name`);
    rmSync(`${source}/Directory`, { recursive: true });
    writeFileSync(`${source}/directory/later`, "1");
    await place.settled();
    assert.equal(readFileSync(`${target}/name`, "utf8"), "lower");
    assert.deepEqual(readdirSync(`${target}/directory`).sort(), ["inner", "later"]);
    renameSync(`${source}/name`, `${source}/NAME`);
    await place.settled();
    assert.deepEqual(readdirSync(target).sort(), ["NAME", "directory"]);
    assert.equal(readFileSync(`${target}/NAME`, "utf8"), "lower");
  },
);

test("links and nodes that a file system has none of are told, and hold nobody up", exfat, async () => {
  await using place = new Place();
  const { source, target, folder } = place;
  await using _mount = await SmallMount.exfat(target, { file: folder.file("image"), sizeBytes: 2 ** 25 });
  writeFileSync(`${source}/file`, "content");
  linkSync(`${source}/file`, `${source}/other-name`);
  symlinkSync("file", `${source}/symlink`);
  await runProgram("mkfifo", [`${source}/fifo`]);
  await place.start();
  await place.add("troubled");
  await place.settled();
  const { targets } = await shownFilesync(place.daemon, "troubled");
  assert.deepEqual(targets[0]!.lastFailures.map(({ path }) => path).sort(), ["fifo", "symlink"]);
  assert.deepEqual(readdirSync(target).sort(), ["file", "other-name"]);
  for (const name of readdirSync(target)) assert.equal(readFileSync(`${target}/${name}`, "utf8"), "content");
});

test("names that a file system cannot have are told, once, and hold nobody up", exfat, async () => {
  await using place = new Place();
  const { source, target, folder } = place;
  await using _mount = await SmallMount.exfat(target, { file: folder.file("image"), sizeBytes: 2 ** 26 });
  mkdirSync(`${source}/a:b`);
  writeFileSync(`${source}/a:b/inner`, "content");
  writeFileSync(`${source}/x:y`, "content");
  writeFileSync(`${source}/large:name`, Buffer.alloc(LARGE_BYTES, 1));
  writeFileSync(`${source}/file`, "content");
  await place.start();
  await place.add("troubled");
  await place.settled();
  writeFileSync(`${source}/live?`, "content");
  renameSync(`${source}/file`, `${source}/file*`);
  await place.settled();
  const told = async () => {
    const { targets } = await shownFilesync(place.daemon, "troubled");
    return targets[0]!.lastFailures;
  };
  const failures = await told();
  for (const path of ["a:b", "x:y", "large:name", "live?", "file*"])
    assert.ok(
      failures.some((failure) => failure.path === path),
      `${path} is told`,
    );
  assert.deepEqual(readdirSync(target), []);
  writeFileSync(`${source}/later`, "content");
  await place.settled();
  assert.equal((await told()).length, failures.length, "what failed is not tried again and again");
  assert.deepEqual(readdirSync(target), ["later"]);
  await place.othersGoOn();
});

/** Whatever is done at the target, nothing is copied a second time by a synchronization, nor by a rename or a new mode. */
async function copiesOnce(place: Place): Promise<void> {
  const { source, target } = place;
  mkdirSync(`${source}/directory`);
  for (const name of ["a", "directory/b"]) writeFileSync(`${source}/${name}`, name);
  chownSync(`${source}/a`, 1234, 1234);
  writeFileSync(`${source}/large`, Buffer.alloc(LARGE_BYTES, 1));
  await place.start();
  await place.add("troubled");
  await place.settled();
  const copied = async () => (await shownFilesync(place.daemon, "troubled")).targets[0]!.copiedFiles;
  const first = await copied();
  assert.deepEqual(readdirSync(target).sort(), ["a", "directory", "large"]);
  await place.daemon.cli("filesync", "sync", "troubled");
  renameSync(`${source}/a`, `${source}/renamed`);
  await place.settled();
  chmodSync(`${source}/renamed`, 0o600);
  await place.settled();
  assert.equal(await copied(), first);
  const verified = await place.daemon.cli("filesync", "verify", "troubled");
  assert.match(verified, /equal/);
  writeFileSync(`${source}/renamed`, "another one");
  await place.settled();
  assert.equal(readFileSync(`${target}/renamed`, "utf8"), "another one");
}

test(
  "what a file system without modes and exact times has is not copied again and again",
  exfat,
  async () => {
    await using place = new Place();
    const { target, folder } = place;
    await using _mount = await SmallMount.exfat(target, { file: folder.file("image"), sizeBytes: 2 ** 26 });
    await copiesOnce(place);
  },
);

test(
  "nor is what one has that keeps whole seconds",
  needs("root", "loop", "mount", "mkfs.ext4"),
  async () => {
    await using place = new Place();
    const { target, folder } = place;
    const image = { file: folder.file("image"), sizeBytes: 2 ** 26 };
    await using _mount = await SmallMount.smallInodes(target, image);
    await copiesOnce(place);
    assert.equal(statSync(`${target}/renamed`).mode & 0o777, 0o600);
  },
);

test("a daemon of another protocol version is told as that by either end, and is taken when it is replaced", async () => {
  await using place = new Place();
  await using far = await Daemon.start({ poolSize: POOL_SIZE });
  await using relay = await Relay.start();
  relay.target = () => Number(far.endpoints.peer[0]!.split(":").at(-1));
  relay.change = (bytes) => {
    // The version stands behind the magic number of a HELLO.
    const at = bytes.indexOf("RWFS");
    if (at >= 0) bytes.writeUInt16LE(1, at + 4);
  };
  const key = place.folder.file("key");
  writeFileSync(`${place.source}/file`, "1");
  await far.cli("filesync", "target", "add", "root", "--root", place.target, "--key", key);
  await place.start();
  await place.add("troubled", { to: `ropewalk://127.0.0.1:${relay.port}/root`, key });
  await place.told("PEER_VERSION", /speaks version 1 .*use the same program at both ends/);
  await place.othersGoOn();
  assert.deepEqual(readdirSync(place.target), []);
  relay.change = (bytes, way) => {
    // Behind a frame's head of 12 bytes: 1, which says that it is a welcome, and the version.
    if (way === "back" && bytes[4] === 128 && bytes[12] === 1) bytes.writeUInt16LE(3, 13);
  };
  await untilShown(place.daemon, "troubled", "the source's end tells it, too", ({ targets }) =>
    /speaks version 3 .*use the same program at both ends/.test(targets[0]?.error?.message ?? ""),
  );
  relay.change = () => {};
  await place.settled();
  assert.equal(readFileSync(`${place.target}/file`, "utf8"), "1");
});

test(
  "what the daemon may not read is told with its path, the rest arrives, and it follows when it may be read",
  needs("root", "setpriv", ...tools),
  async () => {
    await using place = new Place();
    const { source, target } = place;
    for (const name of ["directory/inner", "closed/inner"])
      mkdirSync(`${source}/${name}`, { recursive: true });
    for (const name of ["readable", "secret", "closed/file", "directory/file"])
      writeFileSync(`${source}/${name}`, name);
    mkdirSync(`${target}/closed`);
    writeFileSync(`${target}/closed/before`, "kept until it is known");
    const secrets = ["secret", "closed"];
    for (const name of secrets) {
      chownSync(`${source}/${name}`, 1, 1);
      chmodSync(`${source}/${name}`, 0o700);
    }
    // Root without what lets it pass by modes.
    const wrapper = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"];
    await place.start({ wrapper });
    await place.add("troubled");
    await place.settled();
    const { targets } = await shownFilesync(place.daemon, "troubled");
    const told = targets[0]!.lastFailures.filter(({ errno }) => errno === "EACCES").map(({ path }) => path);
    for (const name of secrets) assert.ok(told.includes(name), name);
    for (const name of ["readable", "directory/file"])
      assert.equal(readFileSync(`${target}/${name}`, "utf8"), name);
    assert.deepEqual(readdirSync(`${target}/closed`), ["before"]);
    writeFileSync(`${source}/directory/later`, "live");
    await until("the rest is followed", () => existsSync(`${target}/directory/later`));
    for (const name of secrets) chownSync(`${source}/${name}`, 0, 0);
    await place.equal();
  },
);

test("names of 255 bytes and a path of 4,096 bytes arrive; a longer path is told, and the rest goes on", async () => {
  await using place = new Place();
  const { source, target } = place;
  const name = "d".repeat(255);
  const longest = [...Array<string>(15).fill(name), "e".repeat(254), "f"];
  assert.equal(longest.join("/").length, 4096);
  makePath(source, longest);
  makePath(source, [...longest.slice(0, -1), "gg"]);
  writeFileSync(`${source}/${"n".repeat(255)}`, "beside them");
  await place.start();
  await place.add("troubled");
  await place.settled();
  assert.equal(readFileSync(`${target}/${"n".repeat(255)}`, "utf8"), "beside them");
  assert.ok(isThere(target, longest));
  const { targets } = await shownFilesync(place.daemon, "troubled");
  assert.ok(targets[0]!.lastFailures.some(({ errno }) => errno === "ENAMETOOLONG"));
  writeFileSync(`${source}/later`, "live");
  await place.settled();
  assert.equal(readFileSync(`${target}/later`, "utf8"), "live");
});

/** Directories, as deep as the names are many. */
function makePath(root: string, names: readonly string[]): void {
  eachDirectory(root, names, (directory, name) => {
    treeCalls.mkdirat(directory, name, 0o755);
  });
}

function isThere(root: string, names: readonly string[]): boolean {
  return eachDirectory(root, names, () => {}) >= 0;
}

function eachDirectory(
  root: string,
  names: readonly string[],
  before: (directory: number, name: string) => void,
): number {
  let directory = treeCalls.openat(AT_FDCWD, root, OPEN_DIRECTORY);
  for (const name of names) {
    before(directory, name);
    const next = treeCalls.openat(directory, name, OPEN_DIRECTORY);
    treeCalls.close(directory);
    if (next < 0) return next;
    directory = next;
  }
  treeCalls.close(directory);
  return 0;
}
