/**
 * Random work on a tree, as its users do it: everything that one can do to files and directories, on few names, so that
 * the same ones are hit again and again.
 *
 * Always holds: each call of the file system is one moment; a large file changes at most once in a tick. What fails because
 * another one was faster is passed over.
 */
import type { FileKind, TreePath } from "../../src/ports/mod.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import type { SimulatedInode } from "./simulated-inode.ts";
import { resized } from "./simulated-target-disk.ts";
import { FileError, type SimulatedTree } from "./simulated-tree.ts";

export interface ChurnOptions {
  readonly random: SimulatedRandom;
  readonly pause: (ms: number) => Promise<void>;
  readonly tickMs: number;
  readonly note: (what: string, path: TreePath) => void;
  /** Files of more than a mebibyte that may come to be. */
  readonly largeFilesMax: number;
}

const names = ["a", "b", "c", "d", "e", "f g", "\xff\xfe", "\xc3\xa9", ".h", "i\n", "J", "j"];
const largeBytes = 1024 * 1024;
const depthMax = 4;

const weights = {
  create: 14,
  write: 16,
  append: 8,
  truncate: 4,
  rewrite: 5,
  rename: 12,
  renameOver: 6,
  swap: 4,
  chain: 3,
  saveByRename: 5,
  exchange: 3,
  carry: 5,
  link: 5,
  unlink: 8,
  mkdir: 9,
  rmdir: 2,
  removeTree: 2,
  chmod: 4,
  chown: 3,
  extended: 3,
  time: 2,
  symlink: 4,
  special: 2,
  replaceKind: 4,
} as const;

type Action = keyof typeof weights;

export class TreeChurn {
  readonly #tree: SimulatedTree;
  readonly #options: ChurnOptions;
  #large = 0;
  operations = 0;

  constructor(tree: SimulatedTree, options: ChurnOptions) {
    this.#tree = tree;
    this.#options = options;
  }

  /** `pauseMsMax` 0: a burst, in which time hardly passes. */
  async run(options: { readonly actions: number; readonly pauseMsMax: number }): Promise<void> {
    const { random, pause } = this.#options;
    for (let left = options.actions; left > 0; left--) {
      await this.#tried(random.weighted(weights));
      if (options.pauseMsMax > 0) await pause(random.fraction() * options.pauseMsMax);
      else if (random.chance(0.05)) await pause(0.01);
    }
  }

  /** In a tree that is at rest otherwise: what is done in a directory is followed at once, while that is moved. */
  async carry(times: number): Promise<void> {
    for (let left = times; left > 0; left--) await this.#tried("carry");
  }

  async #tried(action: Action): Promise<void> {
    try {
      this.operations++;
      await this.#act(action);
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
    }
  }

  async #act(action: Action): Promise<void> {
    const { random } = this.#options;
    const tree = this.#tree;
    switch (action) {
      case "create":
        return this.#write(this.#freshPath(), this.#content());
      case "write":
        return this.#write(this.#file(), this.#content());
      case "append":
        return this.#change(this.#file(), (content) =>
          Buffer.concat([content, this.#bytes(random.between(1, 300))]),
        );
      case "truncate":
        return this.#change(this.#file(), (content) =>
          resized(content, random.between(0, content.length + 50)),
        );
      case "rewrite":
        return this.#rewrite(this.#file());
      case "rename":
        return this.#rename(this.#any(), this.#freshPath());
      case "renameOver":
        return this.#rename(this.#any(), this.#any());
      case "swap":
        return this.#swap(this.#any(), this.#any());
      case "chain":
        return this.#chain(this.#any());
      case "saveByRename":
        return this.#saveByRename(this.#file());
      case "exchange":
        return this.#exchange(this.#any(), this.#any());
      case "carry":
        return this.#carry(this.#directory());
      case "link": {
        const [from, to] = [this.#file(), this.#freshPath()];
        tree.link(from, to);
        return this.#note(`link ${from}`, to);
      }
      case "unlink":
        return this.#unlink(this.#file());
      case "mkdir":
        return this.#mkdir(this.#freshPath());
      case "rmdir": {
        const path = this.#directory();
        tree.rmdir(path);
        return this.#note("rmdir", path);
      }
      case "removeTree":
        return this.#removeTree(this.#directory());
      case "chmod": {
        const path = this.#any();
        tree.chmod(path, random.pick([0o600, 0o644, 0o755, 0o4755, 0o000, 0o1777]));
        return this.#note("chmod", path);
      }
      case "chown": {
        const path = this.#any();
        tree.chown(path, random.between(0, 3), random.between(0, 3));
        return this.#note("chown", path);
      }
      case "extended": {
        const path = this.#any();
        const count = random.between(0, 2);
        const values = ["user.a", "user.b"].slice(0, count);
        tree.setExtended(
          path,
          values.map((name) => ({ name, value: random.bytes(random.between(0, 20)) })),
        );
        return this.#note("extended", path);
      }
      case "time": {
        const path = this.#any();
        tree.setTime(path, {
          seconds: random.between(1, 2_000_000_000),
          nanoseconds: random.between(0, 999_999_999),
        });
        return this.#note("time", path);
      }
      case "symlink": {
        const path = this.#freshPath();
        tree.symlink(path, random.pick(["a", "../b", "/etc/passwd", ".", "c/d"]));
        return this.#note("symlink", path);
      }
      case "special":
        return this.#special(this.#freshPath());
      case "replaceKind":
        return this.#replaceKind(this.#any());
    }
  }

  // ---- what is done ----

  async #write(path: TreePath, content: Uint8Array): Promise<void> {
    const tree = this.#tree;
    const { random, pause } = this.#options;
    const there = tree.locate(path).inode;
    if (there?.isDirectory === true) throw new FileError("EISDIR");
    if (there === undefined) tree.create(path, "file", 0o644);
    else if (random.chance(0.5)) await this.#set(path, new Uint8Array(0));
    if (random.chance(0.3)) await pause(random.fraction() * 3);
    if (random.chance(0.3) && content.length < largeBytes) {
      await this.#set(path, content.slice(0, content.length / 2));
      if (random.chance(0.5)) await pause(random.fraction() * 5);
    }
    await this.#set(path, content);
    tree.closed(path);
    this.#note(`write ${content.length}`, path);
  }

  async #change(path: TreePath, change: (content: Uint8Array) => Uint8Array): Promise<void> {
    await this.#set(path, change(this.#tree.at(path).content));
    this.#tree.closed(path);
    this.#note("change", path);
  }

  /** Same size, in the same tick mostly. */
  async #rewrite(path: TreePath): Promise<void> {
    const { random, pause } = this.#options;
    for (let times = random.between(1, 3); times > 0; times--) {
      const content = new Uint8Array(this.#tree.at(path).content);
      if (content.length < largeBytes) content.set(this.#bytes(content.length));
      else content.set(this.#bytes(1000), random.between(0, content.length - 1000));
      await this.#set(path, content);
      if (random.chance(0.3)) await pause(random.fraction() * 5);
    }
    this.#tree.closed(path);
    this.#note("rewrite", path);
  }

  async #set(path: TreePath, content: Uint8Array): Promise<void> {
    const tree = this.#tree;
    const { pause, tickMs } = this.#options;
    if (Math.max(content.length, tree.at(path).content.length) >= largeBytes)
      while (tickMs > 0 && isSameTick(tree, tree.at(path))) await pause(tickMs);
    tree.setContent(path, content);
  }

  #rename(from: TreePath, to: TreePath): void {
    this.#tree.rename(from, to);
    this.#note(`rename ${from}`, to);
  }

  async #swap(one: TreePath, other: TreePath): Promise<void> {
    const { random, pause } = this.#options;
    const temporary = `${one}.tmp`;
    this.#rename(one, temporary);
    if (random.chance(0.3)) await pause(random.fraction() * 5);
    this.#rename(other, one);
    if (random.chance(0.3)) await pause(random.fraction() * 5);
    this.#rename(temporary, other);
  }

  async #chain(from: TreePath): Promise<void> {
    const { random, pause } = this.#options;
    let at = from;
    for (let steps = random.between(2, 4); steps > 0; steps--) {
      const to = this.#freshPath();
      this.#rename(at, to);
      at = to;
      if (random.chance(0.3)) await pause(random.fraction() * 5);
    }
  }

  async #saveByRename(path: TreePath): Promise<void> {
    const temporary = `${path}.new`;
    await this.#write(temporary, this.#content());
    this.#rename(temporary, path);
  }

  #exchange(one: TreePath, other: TreePath): void {
    this.#tree.exchange(one, other);
    this.#note(`exchange ${one}`, other);
  }

  /** Something is done in a directory, which goes elsewhere right behind it. */
  async #carry(path: TreePath): Promise<void> {
    const { random, pause } = this.#options;
    const names = [...this.#tree.directory(path).entries.keys()];
    const below = `${path}/${names.length === 0 || random.chance(0.4) ? "carried" : random.pick(names)}`;
    const inode = this.#tree.locate(below).inode;
    if (inode === undefined && random.chance(0.2)) this.#mkdir(below);
    else if (inode === undefined || inode.kind === "file") await this.#write(below, this.#content());
    else this.#tree.chmod(below, random.pick([0o700, 0o755]));
    await pause(random.fraction() * random.pick([1, 5, 30]));
    const how = random.pick(["rename", "swap", "exchange", "around", "back"] as const);
    if (how === "rename") this.#rename(path, this.#freshPath());
    else if (how === "swap") await this.#swap(path, this.#directory());
    else if (how === "exchange") this.#exchange(path, this.#directory());
    else if (how === "back") await this.#thereAndBack(path);
    else await this.#chain(path);
  }

  async #thereAndBack(path: TreePath): Promise<void> {
    const { random, pause } = this.#options;
    const to = this.#freshPath();
    this.#rename(path, to);
    if (random.chance(0.5)) await pause(random.fraction() * 5);
    this.#rename(to, path);
  }

  #unlink(path: TreePath): void {
    this.#tree.unlink(path);
    this.#note("unlink", path);
  }

  #mkdir(path: TreePath): void {
    this.#tree.create(path, "directory", this.#options.random.pick([0o755, 0o700, 0o2775]));
    this.#note("mkdir", path);
  }

  #special(path: TreePath): void {
    const kind = this.#options.random.pick<FileKind>(["fifo", "socket", "character", "block"]);
    const isDevice = kind === "character" || kind === "block";
    this.#tree.create(path, kind, 0o600).deviceNode = isDevice ? 5 * 2 ** 32 + 1 : 0;
    this.#note(kind, path);
  }

  async #removeTree(path: TreePath): Promise<void> {
    const { random, pause } = this.#options;
    const inode = this.#tree.directory(path);
    for (const [name, entry] of [...inode.entries]) {
      const below = `${path}/${name}`;
      if (entry.isDirectory) await this.#removeTree(below);
      else this.#unlink(below);
      if (random.chance(0.1)) await pause(random.fraction() * 3);
    }
    this.#tree.rmdir(path);
    this.#note("rmdir", path);
  }

  async #replaceKind(path: TreePath): Promise<void> {
    const { random } = this.#options;
    const { kind } = this.#tree.at(path);
    if (kind === "directory") await this.#removeTree(path);
    else this.#unlink(path);
    const other = random.pick(["file", "directory", "symlink", "special"]);
    if (other === "file") await this.#write(path, this.#content());
    else if (other === "directory") this.#mkdir(path);
    else if (other === "special") this.#special(path);
    else this.#tree.symlink(path, "x");
  }

  // ---- what it is done to ----

  #file(): TreePath {
    return this.#pick(({ kind }) => kind === "file");
  }

  #directory(): TreePath {
    return this.#pick(({ isDirectory }) => isDirectory);
  }

  #any(): TreePath {
    return this.#pick(() => true);
  }

  #pick(suits: (inode: SimulatedInode) => boolean): TreePath {
    const paths: TreePath[] = [];
    for (const [path, inode] of this.#tree.walk()) if (suits(inode)) paths.push(path);
    if (paths.length === 0) throw new FileError("ENOENT");
    return this.#options.random.pick(paths);
  }

  /** In some directory, under a name that may be there already. */
  #freshPath(): TreePath {
    const { random } = this.#options;
    const directories: TreePath[] = [""];
    for (const [path, inode] of this.#tree.walk())
      if (inode.isDirectory && path.split("/").length < depthMax) directories.push(path);
    const directory = random.pick(directories);
    const name = random.pick(names) + (random.chance(0.3) ? random.between(0, 9) : "");
    return directory === "" ? name : `${directory}/${name}`;
  }

  #content(): Uint8Array {
    const { random, largeFilesMax } = this.#options;
    if (this.#large < largeFilesMax && random.chance(0.03)) {
      this.#large++;
      return this.#bytes(random.between(largeBytes + 1, 2.5 * largeBytes));
    }
    return this.#bytes(random.chance(0.1) ? random.between(0, 60_000) : random.between(0, 2000));
  }

  /** No two are equal, but for very short ones. */
  #bytes(length: number): Uint8Array {
    const { random } = this.#options;
    const block = random.bytes(Math.min(length, 512));
    const bytes = new Uint8Array(length);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < length; at += 512) {
      bytes.set(block.subarray(0, Math.min(512, length - at)), at);
      if (length - at >= 4) view.setUint32(at, at ^ block.length);
    }
    return bytes;
  }

  #note(what: string, path: TreePath): void {
    this.#options.note(what, path);
  }
}

function isSameTick(tree: SimulatedTree, inode: SimulatedInode): boolean {
  const { now } = tree;
  return now.seconds === inode.changed.seconds && now.nanoseconds === inode.changed.nanoseconds;
}
