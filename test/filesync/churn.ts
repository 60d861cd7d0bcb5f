// Random changes of a directory tree, chosen by a seed: all that programs do to files, in a small set of names, so that
// they meet: what is written is renamed away, what is a file becomes a directory, what is read is removed.
// What fails because of what came before (ENOENT, EEXIST, ENOTDIR …) is meant to. Calls are direct ones on bytes, so a
// worker thread does thousands a second. Files in `versions/` are always whole: they are written aside and renamed.
import { constants, fstatSync, readlinkSync, realpathSync } from "node:fs";
import { Prng } from "../../src/base/prng.ts";
import { extendedCalls } from "../../src/host/file-tree/extended-calls.ts";
import { AT_FDCWD, OPEN_DIRECTORY, treeCalls } from "../../src/host/file-tree/tree-calls.ts";
import { accessControlList } from "../support/access-control-list.ts";
import { VERSIONS_FOLDER, versionedContent } from "./versioned-content.ts";

const { O_WRONLY, O_CREAT, O_TRUNC, O_APPEND, O_NONBLOCK } = constants;
const isRoot = process.getuid?.() === 0;

const DIRECTORIES = ["d0", "d1", "d2", "d3", "d\xff\xfe"] as const;
const FILES = [
  ...Array.from({ length: 12 }, (_, index) => `f${index}`),
  "f\xc3\xbc",
  "f \n*?[\\",
  "\xff\xfe\x80",
  "n".repeat(255),
];
const DEPTH_MAX = 3;
const SMALL_BYTES_MAX = 20_000;
const LARGE_BYTES_MAX = 5 * 2 ** 20;
const VERSIONS = 6;
const OWNERS = [0, 1000, 65_534, 100_000] as const;
const XATTRS = ["user.one", "user.two", "trusted.three", "user.\xc3\xbc"] as const;
/** Files that stay open between steps, and are written to whatever their names are by then. */
const OPEN_MAX = 4;

export interface ChurnOptions {
  /** The tree that is replicated. */
  readonly root: string;
  /** Another directory of the same file system, not replicated: things go there and come from there. */
  readonly outside: string;
  readonly seed: number;
  /** Names of steps to leave out. */
  readonly without?: readonly string[];
}

export class Churn {
  readonly #root: number;
  readonly #outside: number;
  /** With a slash behind it. */
  readonly #rootPath: string;
  readonly #prng: Prng;
  readonly #open: number[] = [];
  readonly #steps: readonly (readonly [name: string, step: () => void])[];
  #number = 0;
  /** The last steps, for those who look for the reason of a difference. */
  readonly told: string[] = [];

  constructor({ root, outside, seed, without = [] }: ChurnOptions) {
    this.#root = treeCalls.openat(AT_FDCWD, root, OPEN_DIRECTORY);
    this.#rootPath = `${realpathSync(root)}/`;
    this.#outside = treeCalls.openat(AT_FDCWD, outside, OPEN_DIRECTORY);
    if (this.#root < 0 || this.#outside < 0) throw new Error(`churn cannot open ${root} and ${outside}`);
    this.#prng = new Prng(seed);
    const weighted: readonly (readonly [string, number, () => void])[] = [
      ["write", 14, () => this.#write(this.#file(), SMALL_BYTES_MAX)],
      ["writeLarge", 1, () => this.#write(this.#file(), LARGE_BYTES_MAX)],
      ["append", 6, () => this.#append()],
      ["overwrite", 5, () => this.#overwrite()],
      ["truncate", 4, () => this.#truncate()],
      ["sparse", 2, () => this.#sparse()],
      ["open", 2, () => this.#openOne()],
      ["writeOpen", 6, () => this.#writeOpen()],
      ["renameFile", 9, () => this.#rename(this.#file(), this.#file())],
      ["renameDirectory", 6, () => this.#rename(this.#directory(), this.#directory())],
      ["renameAny", 2, () => this.#rename(this.#any(), this.#any())],
      ["exchange", 2, () => this.#exchange(this.#any(), this.#any())],
      ["swapFiles", 3, () => this.#swap(this.#file(), this.#file())],
      ["swapDirectories", 2, () => this.#swap(this.#directory(), this.#directory())],
      ["chain", 3, () => this.#chain()],
      ["save", 6, () => this.#save(this.#file())],
      ["link", 6, () => this.#link()],
      ["unlink", 5, () => this.#unlink(this.#file())],
      ["mkdir", 7, () => this.#mkdir(this.#directory())],
      ["mkdirDeep", 1, () => this.#mkdirDeep()],
      ["rmdir", 2, () => treeCalls.rmdirat(this.#root, this.#directory())],
      ["removeTree", 2, () => removeTree(this.#root, this.#directory())],
      ["chmod", 4, () => this.#chmod()],
      ["chown", 2, () => this.#chown()],
      [
        "setTime",
        3,
        () => treeCalls.utimensat(this.#root, this.#any(), this.#below(2 ** 31), this.#below(1e9)),
      ],
      ["setXattr", 4, () => this.#setXattr()],
      ["removeXattr", 2, () => extendedCalls.lremovexattr(this.#root, this.#any(), this.#of(XATTRS))],
      ["acl", 2, () => this.#acl()],
      ["symlink", 4, () => this.#symlink()],
      ["special", 2, () => this.#special()],
      ["replaceKind", 3, () => this.#replaceKind()],
      ["moveOut", 2, () => this.#moveOut()],
      ["moveIn", 3, () => this.#moveIn()],
      ["version", 8, () => this.#version()],
    ];
    this.#steps = weighted
      .filter(([name]) => !without.includes(name))
      .flatMap(([name, weight, step]) => Array.from({ length: weight }, () => [name, step] as const));
    treeCalls.mkdirat(this.#root, VERSIONS_FOLDER, 0o755);
  }

  step(): void {
    this.#number += 1;
    const [name, step] = this.#of(this.#steps);
    this.#note(name);
    step();
  }

  close(): void {
    for (const fd of [...this.#open, this.#root, this.#outside]) treeCalls.close(fd);
  }

  // ---- names ----

  #below(limit: number): number {
    return Math.floor(this.#prng.fraction() * limit);
  }

  #of<Item>(items: readonly Item[]): Item {
    return items[this.#below(items.length)]!;
  }

  #note(text: string): void {
    this.told.push(text);
    if (this.told.length > 400) this.told.shift();
  }

  /** A directory's name at some depth; it may be there or not. */
  #directory(): string {
    const depth = 1 + this.#below(DEPTH_MAX);
    return Array.from({ length: depth }, () => this.#of(DIRECTORIES)).join("/");
  }

  #file(): string {
    return this.#prng.chance(0.25) ? this.#of(FILES) : `${this.#directory()}/${this.#of(FILES)}`;
  }

  #any(): string {
    return this.#prng.chance(0.7) ? this.#file() : this.#directory();
  }

  #content(bytesMax: number): Uint8Array {
    const bytes = new Uint8Array(this.#prng.chance(0.1) ? 0 : this.#below(bytesMax));
    const start = this.#prng.word();
    for (let index = 0; index < bytes.length; index += 1)
      bytes[index] = (start + index * 7 + (index >>> 8)) & 0xff;
    return bytes;
  }

  // ---- content ----

  #withFile(path: string, flags: number, work: (fd: number) => void): void {
    // A FIFO without a reader fails instead of waiting.
    const fd = treeCalls.openat(this.#root, path, flags | O_NONBLOCK, 0o644);
    this.#note(`  open ${show(path)} ${fd < 0 ? fd : ""}`);
    if (fd < 0) return;
    work(fd);
    treeCalls.close(fd);
  }

  #write(path: string, bytesMax: number): void {
    const content = this.#content(bytesMax);
    this.#withFile(path, O_WRONLY | O_CREAT | O_TRUNC, (fd) => {
      // In two parts, so that somebody may read between them.
      treeCalls.write(fd, content.subarray(0, content.length >> 1));
      treeCalls.write(fd, content.subarray(content.length >> 1));
    });
  }

  #append(): void {
    this.#withFile(this.#file(), O_WRONLY | O_APPEND, (fd) => treeCalls.write(fd, this.#content(5000)));
  }

  #overwrite(): void {
    this.#withFile(this.#file(), O_WRONLY, (fd) =>
      treeCalls.pwrite(fd, this.#content(3000), this.#below(30_000)),
    );
  }

  #truncate(): void {
    this.#withFile(this.#file(), O_WRONLY, (fd) => treeCalls.ftruncate(fd, this.#below(10_000)));
  }

  #sparse(): void {
    this.#withFile(this.#file(), O_WRONLY | O_CREAT, (fd) => {
      treeCalls.ftruncate(fd, this.#below(3 * 2 ** 20));
      treeCalls.pwrite(fd, this.#content(5000), this.#below(2 ** 20));
    });
  }

  #openOne(): void {
    const fd = treeCalls.openat(this.#root, this.#file(), O_WRONLY | O_CREAT | O_NONBLOCK, 0o644);
    if (fd < 0) return;
    this.#open.push(fd);
    if (this.#open.length > OPEN_MAX) treeCalls.close(this.#open.shift()!);
  }

  #writeOpen(): void {
    if (this.#open.length === 0) return;
    const fd = this.#of(this.#open);
    if (this.#isHeard(fd)) treeCalls.pwrite(fd, this.#content(4000), this.#below(8000));
  }

  /**
   * The kernel tells of a write by the name that the file was opened with, wherever that is by now. Nobody hears it where
   * that is outside, or gone; that is told as a limit, and no matter unless the file has other names.
   */
  #isHeard(fd: number): boolean {
    const path = readlinkSync(`/proc/self/fd/${fd}`, "latin1");
    const { nlink } = fstatSync(fd);
    if (path.endsWith(" (deleted)")) return nlink === 0;
    return path.startsWith(this.#rootPath) || nlink === 1;
  }

  /** As editors and databases do it. */
  #save(path: string): void {
    const aside = `${path.slice(0, path.lastIndexOf("/") + 1)}.save~`;
    this.#write(aside, SMALL_BYTES_MAX);
    this.#rename(aside, path);
  }

  #version(): void {
    const name = `${VERSIONS_FOLDER}/v${this.#below(VERSIONS)}`;
    const aside = `${VERSIONS_FOLDER}/aside${this.#below(2)}`;
    const isLarge = this.#prng.chance(0.03);
    const content = versionedContent(this.#prng.word(), this.#below(isLarge ? 3 * 2 ** 20 : 30_000));
    this.#withFile(aside, O_WRONLY | O_CREAT | O_TRUNC, (fd) => {
      for (let at = 0; at < content.length; at += 8192) treeCalls.write(fd, content.subarray(at, at + 8192));
    });
    this.#rename(aside, name);
  }

  // ---- names of files ----

  #rename(from: string, to: string): number {
    const result = treeCalls.renameat2(this.#root, from, this.#root, to);
    this.#note(`  rename ${show(from)} ${show(to)} ${result < 0 ? result : ""}`);
    return result;
  }

  #exchange(one: string, other: string): void {
    const result = treeCalls.renameat2(this.#root, one, this.#root, other, "exchange");
    this.#note(`  exchange ${show(one)} ${show(other)} ${result < 0 ? result : ""}`);
  }

  #swap(one: string, other: string): void {
    const aside = `swap${this.#below(3)}`;
    if (this.#rename(one, aside) < 0) return;
    this.#rename(other, one);
    this.#rename(aside, other);
  }

  #chain(): void {
    const isFile = this.#prng.chance(0.6);
    const next = () => (isFile ? this.#file() : this.#directory());
    const [first, second, third] = [next(), next(), next()];
    this.#rename(first, second);
    this.#rename(second, third);
    if (this.#prng.chance(0.3)) this.#rename(third, first);
  }

  #link(): void {
    const [from, to] = [this.#file(), this.#file()];
    const result = treeCalls.linkat(this.#root, from, this.#root, to);
    this.#note(`  link ${show(from)} ${show(to)} ${result < 0 ? result : ""}`);
  }

  #unlink(path: string): void {
    const result = treeCalls.unlinkat(this.#root, path);
    this.#note(`  unlink ${show(path)} ${result < 0 ? result : ""}`);
  }

  #mkdir(path: string): void {
    const result = treeCalls.mkdirat(this.#root, path, 0o755);
    this.#note(`  mkdir ${show(path)} ${result < 0 ? result : ""}`);
  }

  #mkdirDeep(): void {
    let path = "";
    for (let depth = 0; depth < DEPTH_MAX; depth += 1) {
      path += `${depth === 0 ? "" : "/"}${this.#of(DIRECTORIES)}`;
      this.#mkdir(path);
    }
    for (let count = this.#below(5); count >= 0; count -= 1) this.#write(`${path}/${this.#of(FILES)}`, 2000);
  }

  /** A file where a directory was, a directory where a file was, a link where either was. */
  #replaceKind(): void {
    const path = this.#any();
    removeTree(this.#root, path);
    const kind = this.#below(4);
    if (kind === 0) this.#mkdir(path);
    else if (kind === 1) this.#write(path, 4000);
    else if (kind === 2) treeCalls.symlinkat("replaced", this.#root, path);
    else if (treeCalls.mkdirat(this.#root, path, 0o700) === 0)
      this.#write(`${path}/${this.#of(FILES)}`, 3000);
  }

  #moveOut(): void {
    treeCalls.renameat2(this.#root, this.#any(), this.#outside, `out${this.#below(10)}`);
  }

  /** What went out before, or what was never here, with things in it. */
  #moveIn(): void {
    const from = `out${this.#below(10)}`;
    if (this.#prng.chance(0.5)) {
      treeCalls.mkdirat(this.#outside, from, 0o755);
      for (const name of DIRECTORIES) treeCalls.mkdirat(this.#outside, `${from}/${name}`, 0o755);
      for (let count = this.#below(6); count > 0; count -= 1) {
        const path = `${from}/${this.#of(DIRECTORIES)}/${this.#of(FILES)}`;
        const fd = treeCalls.openat(this.#outside, path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0o600);
        if (fd < 0) continue;
        treeCalls.write(fd, this.#content(3000));
        treeCalls.close(fd);
      }
    }
    treeCalls.renameat2(this.#outside, from, this.#root, this.#any());
  }

  #symlink(): void {
    const target = this.#of(["nowhere", "f1", "../d1", "d2", "\xff\x01", `x${"y".repeat(200)}`]);
    treeCalls.symlinkat(target, this.#root, this.#any());
  }

  #special(): void {
    const kinds = isRoot ? [0o010000, 0o140000, 0o020000, 0o060000] : [0o010000, 0o140000];
    const kind = this.#of(kinds);
    // A number that no driver has: what is opened for writing is nobody's disk.
    const device = kind === 0o020000 || kind === 0o060000 ? 4095 * 2 ** 32 + this.#below(300) : 0;
    treeCalls.mknodat(this.#root, this.#file(), kind | 0o600, device);
  }

  // ---- attributes ----

  #chmod(): void {
    const mode = this.#below(0o10000);
    treeCalls.fchmodat(this.#root, this.#any(), isRoot ? mode : mode | 0o700);
  }

  #chown(): void {
    if (isRoot) treeCalls.fchownat(this.#root, this.#any(), this.#of(OWNERS), this.#of(OWNERS));
  }

  #setXattr(): void {
    const value = this.#content(this.#prng.chance(0.1) ? 1500 : 40);
    const result = extendedCalls.lsetxattr(this.#root, this.#any(), this.#of(XATTRS), value);
    this.#note(`  xattr ${result}`);
  }

  #acl(): void {
    const isDefault = this.#prng.chance(0.3);
    const path = isDefault ? this.#directory() : this.#any();
    const name = `system.posix_acl_${isDefault ? "default" : "access"}`;
    extendedCalls.lsetxattr(this.#root, path, name, userAccess(1000 + this.#below(5), this.#below(8)));
  }
}

function userAccess(user: number, permissions: number): Uint8Array {
  return accessControlList(
    { tag: "owner", permissions: 7 },
    { tag: "user", permissions, id: user },
    { tag: "group", permissions: 5 },
    { tag: "mask", permissions: 7 },
    { tag: "others", permissions: 4 },
  );
}

function removeTree(directory: number, path: string): void {
  if (treeCalls.unlinkat(directory, path) === 0) return;
  const fd = treeCalls.openat(directory, path, OPEN_DIRECTORY);
  if (fd < 0) return;
  const inside = treeCalls.readNames(fd);
  if (typeof inside !== "number") for (const name of inside.names) removeTree(fd, name);
  treeCalls.close(fd);
  treeCalls.rmdirat(directory, path);
}

function show(path: string): string {
  return JSON.stringify(path.replace(/n{255}/, "n*255"));
}
