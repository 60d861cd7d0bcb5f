/**
 * The target's tree as its disk has it: carries out operations at once, and goes back to what was synced when the power
 * fails, with some of what came after.
 *
 * Always holds: what makes a name replaces what was there at one moment. After a power failure all that was synced is
 * there; of the operations after it a first part is, in their order; of those files new content may be missing (they are
 * empty) unless the disk is `orderly`.
 */
import type { FileAttributes, TreePath } from "../../src/ports/mod.ts";
import {
  isSameContent,
  type Operation,
  OWN_PREFIX,
  readExtended,
  type WireAttributes,
} from "../../src/wire/filesync/mod.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import type { SimulatedInode } from "./simulated-inode.ts";
import { FileError, type SimulatedTree } from "./simulated-tree.ts";

/** Files come with their content whole. */
export type DiskOperation =
  | Exclude<Operation, { readonly op: "file" }>
  | (Omit<Extract<Operation, { readonly op: "file" }>, "extents"> & { readonly content: Uint8Array });

export interface TargetDiskOptions {
  /** Content is on disk before its name is seen. */
  readonly orderly: boolean;
  /** A file has this content from now on. */
  readonly visible: (path: TreePath, content: Uint8Array) => void;
}

export class SimulatedTargetDisk {
  readonly tree: SimulatedTree;
  /** While true nothing new can be written (ENOSPC). */
  isFull = false;
  readonly #options: TargetDiskOptions;
  #synced: SimulatedInode;
  #unsynced: DiskOperation[] = [];
  #temporaries = 0;

  constructor(tree: SimulatedTree, options: TargetDiskOptions) {
    this.tree = tree;
    this.#options = options;
    this.#synced = tree.copyRoot();
  }

  /** FileError: nothing was done, or only parents were made and what was in the way was removed. */
  carryOut(operation: DiskOperation): void {
    this.#carryOut(operation);
    this.#unsynced.push(operation);
    if (operation.op === "file") this.#options.visible(operation.path, operation.content);
  }

  /** What was done so far is durable when `done` is called. */
  beginSync(): { done(): void } {
    const root = this.tree.copyRoot();
    const last = this.#unsynced.at(-1);
    return {
      done: () => {
        this.#synced = root;
        // Another sync may have taken some away meanwhile.
        if (last !== undefined) this.#unsynced.splice(0, this.#unsynced.indexOf(last) + 1);
      },
    };
  }

  /** Others changed the tree, and it is durable. */
  noteForeign(): void {
    this.beginSync().done();
  }

  powerFails(random: SimulatedRandom): void {
    const operations = this.#unsynced;
    this.#unsynced = [];
    this.tree.root = this.#synced;
    this.#synced = this.tree.copyRoot();
    for (const operation of operations.slice(0, random.between(0, operations.length))) {
      const isEmpty = operation.op === "file" && !this.#options.orderly && random.chance(0.3);
      try {
        this.#carryOut(isEmpty ? emptied(operation) : operation);
      } catch (error) {
        if (!(error instanceof FileError)) throw error;
      }
    }
    this.noteForeign();
  }

  /** A temporary in the directory that `path` is in; undefined where that is not there. */
  makeTemporary(path: TreePath): { remove(): void } | undefined {
    let place: ReturnType<SimulatedTree["locate"]>;
    try {
      place = this.tree.locate(path);
    } catch {
      return undefined;
    }
    const { parent } = place;
    const name = this.#temporaryName();
    const prefix = path.slice(0, path.lastIndexOf("/") + 1);
    this.tree.create(prefix + name, "file", 0o600);
    return { remove: () => void parent.entries.delete(name) };
  }

  #carryOut(operation: DiskOperation): void {
    const { tree } = this;
    if (this.isFull && operation.op !== "remove" && operation.op !== "attributes")
      throw new FileError("ENOSPC");
    switch (operation.op) {
      case "makeDirectory":
        this.#makeDirectory(operation.path);
        this.#setAttributes(operation.path, operation);
        return;
      case "file":
        this.#replace(operation.path, (temporary) => {
          tree.create(temporary, "file", 0o600);
          tree.setContent(temporary, operation.content);
          this.#setAttributes(temporary, operation);
        });
        return;
      case "symlink":
        this.#replace(operation.path, (temporary) => {
          tree.symlink(temporary, operation.target);
          this.#setAttributes(temporary, operation);
        });
        return;
      case "special":
        this.#replace(operation.path, (temporary) => {
          tree.create(temporary, operation.attributes.kind, 0o600).deviceNode =
            operation.attributes.deviceNode;
          this.#setAttributes(temporary, operation);
        });
        return;
      case "link":
        this.#link(operation.existing, operation.path);
        return;
      case "rename":
        this.#rename(operation.from, operation.to);
        return;
      case "remove":
        this.#remove(operation);
        return;
      case "attributes":
        if (tree.at(operation.path).kind !== operation.attributes.kind) throw new FileError("EEXIST");
        if (operation.attributes.kind === "file") this.#checkContent(operation);
        this.#setAttributes(operation.path, operation);
        return;
      case "truncate":
        tree.setContent(operation.path, resized(tree.at(operation.path).content, operation.sizeBytes));
        return;
      case "writeRange": {
        const { bytes, offset, path } = operation;
        const { content } = tree.at(path);
        const written = resized(content, Math.max(content.length, offset + bytes.length));
        written.set(bytes, offset);
        tree.setContent(path, written);
      }
    }
  }

  #makeDirectory(path: TreePath): void {
    this.#makeParents(path);
    const there = this.tree.find(path);
    if (there?.isDirectory === true) return;
    if (there !== undefined) this.tree.unlink(path);
    this.tree.create(path, "directory", 0o700);
  }

  #makeParents(path: TreePath): void {
    for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) {
      const { inode } = this.tree.locate(path.slice(0, at));
      if (inode === undefined) this.tree.create(path.slice(0, at), "directory", 0o700);
    }
  }

  #replace(path: TreePath, make: (temporary: TreePath) => void): void {
    this.#makeParents(path);
    if (this.tree.locate(path).inode?.isDirectory === true) this.#removeTree(path);
    const temporary = path.slice(0, path.lastIndexOf("/") + 1) + this.#temporaryName();
    make(temporary);
    this.tree.rename(temporary, path);
  }

  #link(existing: TreePath, path: TreePath): void {
    const inode = this.tree.at(existing);
    if (inode.isDirectory) throw new FileError("EPERM");
    if (this.tree.find(path) === inode) return;
    this.#replace(path, (temporary) => this.tree.link(existing, temporary));
  }

  #rename(from: TreePath, to: TreePath): void {
    const { tree } = this;
    const inode = tree.at(from);
    this.#makeParents(to);
    const there = tree.locate(to).inode;
    if (there === inode) {
      // Two names of one file: the kernel would leave both.
      if (from !== to) tree.unlink(from);
      return;
    }
    // What is of another kind makes way; a full directory does not, whatever is renamed over it.
    if (there?.isDirectory === true && !inode.isDirectory) {
      if (`${from}/`.startsWith(`${to}/`)) throw new FileError("ENOTEMPTY");
      this.#removeTree(to);
    } else if (there?.isDirectory === false && inode.isDirectory) tree.unlink(to);
    tree.rename(from, to);
  }

  #remove({ path, recursive }: { readonly path: TreePath; readonly recursive: boolean }): void {
    const inode = this.tree.find(path);
    if (inode === undefined) return;
    if (!inode.isDirectory) this.tree.unlink(path);
    else if (recursive) this.#removeTree(path);
    else {
      for (const name of [...inode.entries.keys()])
        if (name.startsWith(OWN_PREFIX)) this.tree.unlink(`${path}/${name}`);
      this.tree.rmdir(path);
    }
  }

  #removeTree(path: TreePath): void {
    const inode = this.tree.at(path);
    for (const [name, entry] of [...inode.entries])
      if (entry.isDirectory) this.#removeTree(`${path}/${name}`);
      else this.tree.unlink(`${path}/${name}`);
    this.tree.rmdir(path);
  }

  /** Attributes are those of a content. */
  #checkContent({ path, attributes }: Extract<Operation, { readonly op: "attributes" }>): void {
    const { tree } = this;
    if (!isSameContent(tree.attributes(tree.at(path)), attributes)) throw new FileError("ESTALE");
  }

  #setAttributes(
    path: TreePath,
    wanted: { readonly attributes: WireAttributes; readonly extended: Uint8Array },
  ): void {
    const { mode, userId, groupId, modifiedSeconds, modifiedNanoseconds } = wanted.attributes;
    const inode = this.tree.at(path);
    inode.mode = mode;
    inode.userId = userId;
    inode.groupId = groupId;
    inode.extended = readExtended(wanted.extended).map(({ name, value }) => ({ name, value: value.slice() }));
    inode.modified = { seconds: modifiedSeconds, nanoseconds: modifiedNanoseconds };
    inode.changed = this.tree.now;
  }

  #temporaryName(): string {
    return `${OWN_PREFIX}${String(++this.#temporaries).padStart(12, "0")}.t`;
  }
}

/** Of the operation of a file, its content put together. */
export function wholeOperation(operation: Operation): DiskOperation {
  if (operation.op !== "file") return operation;
  const { extents, ...rest } = operation;
  const content = new Uint8Array(operation.attributes.sizeBytes);
  for (const { offset, bytes } of extents) content.set(bytes, offset);
  return { ...rest, content };
}

function emptied<
  File extends { readonly content: Uint8Array; readonly attributes: Pick<FileAttributes, "sizeBytes"> },
>(file: File): File {
  return { ...file, content: new Uint8Array(0) };
}

export function resized(content: Uint8Array, length: number): Uint8Array {
  const other = new Uint8Array(length);
  other.set(content.subarray(0, length));
  return other;
}
