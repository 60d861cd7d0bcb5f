/**
 * A directory tree in memory, with the calls of Linux on it: each happens at one moment and throws `FileError` as the
 * kernel would. Whoever watches is told what inotify is told.
 *
 * Always holds: a path is never followed through a symbolic link; times come from a coarse clock, so that two changes
 * within one tick have equal times; inode numbers may be used again.
 */
import type { FileAttributes, FileKind, TreeEvent, TreePath } from "../../src/ports/mod.ts";
import type { ExtendedAttribute } from "../../src/wire/filesync/mod.ts";
import { type FileTime, SimulatedInode } from "./simulated-inode.ts";

/** What a call says that failed. */
export class FileError extends Error {
  readonly errno: string;

  constructor(errno: string) {
    super(errno);
    this.errno = errno;
  }
}

/** Something that happened in a directory, or (without a name) to it. */
export interface TreeNotice {
  readonly directory: SimulatedInode;
  readonly name: string;
  readonly kind: TreeEvent["kind"];
  readonly isDirectory: boolean;
  readonly cookie: number;
}

export interface SimulatedTreeOptions {
  readonly nowMs: () => number;
  /** Times of files are multiples of it. */
  readonly tickMs: number;
  readonly device: number;
  /** Whether a removed directory tells of itself before its parent does. */
  readonly selfFirst?: boolean;
}

export interface Located {
  readonly parent: SimulatedInode;
  readonly name: string;
  readonly inode: SimulatedInode | undefined;
}

/** As that of the processes' clock. */
const epochSeconds = Date.UTC(2026, 0, 1) / 1000;

export class SimulatedTree {
  root: SimulatedInode;
  /** Told of each thing that happens. */
  notify: ((notice: TreeNotice) => void) | undefined;
  /** Told of each content that a file has from now on. */
  contentChanged: ((inode: SimulatedInode) => void) | undefined;
  readonly device: number;
  readonly #options: SimulatedTreeOptions;
  #number = 1;
  #cookie = 0;
  readonly #freeNumbers: number[] = [];

  constructor(options: SimulatedTreeOptions) {
    this.#options = options;
    this.device = options.device;
    this.root = new SimulatedInode(this.#number++, "directory", 0o755, this.now);
    this.root.links = 1;
  }

  get now(): FileTime {
    const { nowMs, tickMs } = this.#options;
    const ms = Math.floor(nowMs() / tickMs) * tickMs;
    const seconds = Math.floor(ms / 1000);
    return { seconds: epochSeconds + seconds, nanoseconds: Math.floor(ms - seconds * 1000) * 1_000_000 };
  }

  // ---- looking ----

  /** What stands there; ENOENT, ENOTDIR (a link is none). */
  at(path: TreePath): SimulatedInode {
    const { inode } = this.locate(path);
    if (inode === undefined) throw new FileError("ENOENT");
    return inode;
  }

  find(path: TreePath): SimulatedInode | undefined {
    try {
      return this.locate(path).inode;
    } catch (error) {
      if (error instanceof FileError) return undefined;
      throw error;
    }
  }

  directory(path: TreePath): SimulatedInode {
    const inode = this.at(path);
    if (!inode.isDirectory) throw new FileError("ENOTDIR");
    return inode;
  }

  /** The directory of the last name must be there. */
  locate(path: TreePath): Located {
    if (path === "") return { parent: this.root, name: "", inode: this.root };
    const names = path.split("/");
    const name = names.pop()!;
    let parent = this.root;
    for (const each of names) {
      const next = parent.entries.get(each);
      if (next === undefined) throw new FileError("ENOENT");
      if (!next.isDirectory) throw new FileError("ENOTDIR");
      parent = next;
    }
    return { parent, name, inode: parent.entries.get(name) };
  }

  attributes(inode: SimulatedInode): FileAttributes {
    return inode.attributes(this.device);
  }

  /** Every path with what stands there, parents first; the root is left out. */
  *walk(directory = this.root, prefix = ""): Generator<[TreePath, SimulatedInode]> {
    for (const [name, inode] of directory.entries) {
      yield [prefix + name, inode];
      if (inode.isDirectory) yield* this.walk(inode, `${prefix}${name}/`);
    }
  }

  // ---- making and removing names ----

  create(path: TreePath, kind: FileKind, mode: number): SimulatedInode {
    const { parent, name, inode: there } = this.locate(path);
    if (there !== undefined) throw new FileError("EEXIST");
    const inode = new SimulatedInode(this.#freeNumbers.pop() ?? this.#number++, kind, mode, this.now);
    this.#enter(parent, name, inode);
    this.#tell(parent, name, "created", inode.isDirectory);
    if (kind === "file") this.contentChanged?.(inode);
    return inode;
  }

  symlink(path: TreePath, target: string): SimulatedInode {
    const { parent, name, inode: there } = this.locate(path);
    if (there !== undefined) throw new FileError("EEXIST");
    const inode = new SimulatedInode(this.#number++, "symlink", 0o777, this.now);
    inode.target = target;
    this.#enter(parent, name, inode);
    this.#tell(parent, name, "created", false);
    return inode;
  }

  link(existing: TreePath, path: TreePath): void {
    const inode = this.at(existing);
    if (inode.isDirectory) throw new FileError("EPERM");
    const { parent, name, inode: there } = this.locate(path);
    if (there !== undefined) throw new FileError("EEXIST");
    inode.changed = this.now;
    this.#enter(parent, name, inode);
    this.#tell(parent, name, "created", false);
  }

  unlink(path: TreePath): void {
    const { parent, name, inode } = this.locate(path);
    if (inode === undefined) throw new FileError("ENOENT");
    if (inode.isDirectory) throw new FileError("EISDIR");
    this.#leave(parent, name, inode);
    inode.changed = this.now;
    nameIsGone(inode, parent, name);
    this.#tell(parent, name, "deleted", false);
    this.#drop(inode);
  }

  rmdir(path: TreePath): void {
    const { parent, name, inode } = this.locate(path);
    if (inode === undefined) throw new FileError("ENOENT");
    if (!inode.isDirectory) throw new FileError("ENOTDIR");
    if (inode === this.root) throw new FileError("EBUSY");
    if (inode.entries.size > 0) throw new FileError("ENOTEMPTY");
    this.#leave(parent, name, inode);
    if (this.#options.selfFirst === true) this.#drop(inode);
    this.#tell(parent, name, "deleted", true);
    if (this.#options.selfFirst !== true) this.#drop(inode);
  }

  rename(from: TreePath, to: TreePath): void {
    const old = this.locate(from);
    const { inode } = old;
    if (inode === undefined) throw new FileError("ENOENT");
    const { parent, name, inode: replaced } = this.locate(to);
    if (inode === this.root || replaced === this.root) throw new FileError("EBUSY");
    if (replaced === inode) return;
    if (inode.isDirectory && isInside(parent, inode)) throw new FileError("EINVAL");
    if (replaced !== undefined) {
      if (inode.isDirectory && !replaced.isDirectory) throw new FileError("ENOTDIR");
      if (!inode.isDirectory && replaced.isDirectory) throw new FileError("EISDIR");
      if (replaced.entries.size > 0) throw new FileError("ENOTEMPTY");
      this.#leave(parent, name, replaced);
      replaced.changed = this.now;
      nameIsGone(replaced, parent, name);
    }
    if (inode.changedThrough.has(nameKey(old.parent, old.name)))
      inode.changedThrough.add(nameKey(parent, name));
    this.#leave(old.parent, old.name, inode);
    this.#enter(parent, name, inode);
    inode.changed = this.now;
    const cookie = ++this.#cookie;
    const { isDirectory } = inode;
    this.#tell(old.parent, old.name, "movedFrom", isDirectory, cookie);
    this.#tell(parent, name, "movedTo", isDirectory, cookie);
    if (replaced !== undefined) this.#drop(replaced);
    if (isDirectory) this.#tell(inode, "", "movedSelf", true);
  }

  /** Two names change places, of whatever kinds (RENAME_EXCHANGE): told as two renames. */
  exchange(one: TreePath, other: TreePath): void {
    const [first, second] = [this.locate(one), this.locate(other)];
    if (first.inode === undefined || second.inode === undefined) throw new FileError("ENOENT");
    if (first.inode === this.root || second.inode === this.root) throw new FileError("EBUSY");
    if (first.inode === second.inode) return;
    if (isInside(second.parent, first.inode) || isInside(first.parent, second.inode))
      throw new FileError("EINVAL");
    const moves = [
      { inode: first.inode, from: first, to: second },
      { inode: second.inode, from: second, to: first },
    ];
    for (const { inode, from } of moves) this.#leave(from.parent, from.name, inode);
    for (const { inode, from, to } of moves) {
      if (inode.changedThrough.has(nameKey(from.parent, from.name)))
        inode.changedThrough.add(nameKey(to.parent, to.name));
      this.#enter(to.parent, to.name, inode);
      inode.changed = this.now;
    }
    for (const { inode, from, to } of moves) {
      const cookie = ++this.#cookie;
      this.#tell(from.parent, from.name, "movedFrom", inode.isDirectory, cookie);
      this.#tell(to.parent, to.name, "movedTo", inode.isDirectory, cookie);
      if (inode.isDirectory) this.#tell(inode, "", "movedSelf", true);
    }
  }

  // ---- changing a file ----

  /** One call of write or truncate, through the name by which it was opened. */
  setContent(path: TreePath, content: Uint8Array): void {
    const { parent, name, inode } = this.locate(path);
    if (inode === undefined) throw new FileError("ENOENT");
    if (inode.isDirectory) throw new FileError("EISDIR");
    if (inode.kind !== "file") throw new FileError("EINVAL");
    inode.content = content;
    inode.modified = this.now;
    inode.changed = this.now;
    inode.version++;
    if (inode.links > 1) inode.changedThrough.add(nameKey(parent, name));
    this.#tell(parent, name, "written", false);
    this.contentChanged?.(inode);
  }

  /** Who wrote it closes it. */
  closed(path: TreePath): void {
    const { parent, name, inode } = this.locate(path);
    if (inode?.kind === "file") this.#tell(parent, name, "closed", false);
  }

  chmod(path: TreePath, mode: number): void {
    if (this.at(path).kind === "symlink") throw new FileError("EOPNOTSUPP");
    this.#change(path, (inode) => (inode.mode = mode));
  }

  chown(path: TreePath, userId: number, groupId: number): void {
    this.#change(path, (inode) => {
      inode.userId = userId;
      inode.groupId = groupId;
    });
  }

  setTime(path: TreePath, time: FileTime): void {
    this.#change(path, (inode) => (inode.modified = time));
  }

  setExtended(path: TreePath, extended: readonly ExtendedAttribute[]): void {
    this.#change(path, (inode) => (inode.extended = extended));
  }

  #change(path: TreePath, change: (inode: SimulatedInode) => void): void {
    const { parent, name, inode } = this.locate(path);
    if (inode === undefined) throw new FileError("ENOENT");
    change(inode);
    inode.changed = this.now;
    if (inode.links > 1) inode.changedThrough.add(nameKey(parent, name));
    if (inode !== this.root) this.#tell(parent, name, "attributes", inode.isDirectory);
    if (inode.isDirectory) this.#tell(inode, "", "attributes", true);
  }

  // ---- the whole tree ----

  /** As it is now, for a disk that may go back to it. */
  copyRoot(): SimulatedInode {
    const copies = new Map<SimulatedInode, SimulatedInode>();
    const copyOf = (inode: SimulatedInode): SimulatedInode => {
      let copy = copies.get(inode);
      if (copy !== undefined) return copy;
      copies.set(inode, (copy = inode.copy()));
      for (const [name, entry] of inode.entries) {
        const child = copyOf(entry);
        if (child.isDirectory) child.parent = copy;
        copy.entries.set(name, child);
      }
      return copy;
    };
    return copyOf(this.root);
  }

  #enter(directory: SimulatedInode, name: string, inode: SimulatedInode): void {
    if (name.length > 255) throw new FileError("ENAMETOOLONG");
    directory.entries.set(name, inode);
    inode.links++;
    if (inode.isDirectory) inode.parent = directory;
    this.#entriesChanged(directory);
  }

  #leave(directory: SimulatedInode, name: string, inode: SimulatedInode): void {
    directory.entries.delete(name);
    inode.links--;
    if (inode.isDirectory) inode.parent = undefined;
    this.#entriesChanged(directory);
  }

  #entriesChanged(directory: SimulatedInode): void {
    directory.modified = this.now;
    directory.changed = this.now;
    directory.version++;
  }

  /** It may have lost its last name: its watches and its number are free. */
  #drop(inode: SimulatedInode): void {
    if (inode.links > 0) return;
    if (inode.kind === "file") this.#freeNumbers.push(inode.number);
    if (!inode.isDirectory) return;
    this.#tell(inode, "", "deletedSelf", true);
    this.#tell(inode, "", "watchGone", true);
  }

  #tell(
    directory: SimulatedInode,
    name: string,
    kind: TreeEvent["kind"],
    isDirectory: boolean,
    cookie = 0,
  ): void {
    this.notify?.({ directory, name, kind, isDirectory, cookie });
  }
}

function nameKey(directory: SimulatedInode, name: string): string {
  return `${directory.number}/${name}`;
}

function nameIsGone(inode: SimulatedInode, directory: SimulatedInode, name: string): void {
  if (inode.links > 0 && inode.changedThrough.has(nameKey(directory, name))) inode.isUnheard = true;
}

function isInside(inode: SimulatedInode, directory: SimulatedInode): boolean {
  for (let at: SimulatedInode | undefined = inode; at !== undefined; at = at.parent)
    if (at === directory) return true;
  return false;
}
