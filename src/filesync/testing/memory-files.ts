/**
 * Files and directories in memory for unit tests, as tests and operations change them.
 *
 * Always holds: a path is the key; two names of one file have one inode. A version grows with each write, and is the change time.
 */
import type { FileAttributes, FileKind, TreePath } from "../../ports/mod.ts";
import { isSameContent, type Operation } from "../../wire/filesync/mod.ts";
import { isWithin, movedPath, parentPath } from "../tree-path.ts";

export interface MemoryInode {
  readonly inode: number;
  readonly kind: FileKind;
  mode: number;
  content: Uint8Array;
  target: string;
  seconds: number;
  /** Grows with each change. */
  version: number;
}

export class MemoryFiles {
  readonly nodes = new Map<TreePath, MemoryInode>();
  #inode = 0;

  constructor(paths: Readonly<Record<TreePath, string | "/">> = {}) {
    this.make("", "directory");
    for (const [path, content] of Object.entries(paths))
      if (content === "/") this.make(path, "directory");
      else this.write(path, content);
  }

  make(path: TreePath, kind: FileKind, seconds = 1): MemoryInode {
    const inode = {
      inode: ++this.#inode,
      kind,
      mode: kind === "directory" ? 0o755 : 0o644,
      content: new Uint8Array(),
      target: kind === "symlink" ? "x" : "",
      seconds,
      version: 1,
    };
    this.nodes.set(path, inode);
    return inode;
  }

  write(path: TreePath, content: string | Uint8Array, seconds = 1): MemoryInode {
    const there = this.nodes.get(path);
    const inode = there?.kind === "file" ? there : this.make(path, "file");
    inode.content = typeof content === "string" ? Buffer.from(content) : content;
    inode.seconds = seconds;
    inode.version += 1;
    return inode;
  }

  link(existing: TreePath, path: TreePath): void {
    this.nodes.set(path, this.nodes.get(existing)!);
  }

  rename(from: TreePath, to: TreePath): void {
    this.remove(to);
    for (const [path, inode] of [...this.nodes])
      if (isWithin(path, from)) {
        this.nodes.delete(path);
        this.nodes.set(movedPath(path, from, to), inode);
      }
  }

  remove(path: TreePath): void {
    for (const each of [...this.nodes.keys()]) if (isWithin(each, path)) this.nodes.delete(each);
  }

  /** As a test looks at it. */
  text(path: TreePath): string | undefined {
    const inode = this.nodes.get(path);
    return inode?.kind === "directory" ? "/" : inode && Buffer.from(inode.content).toString();
  }

  get paths(): TreePath[] {
    return [...this.nodes.keys()].filter((path) => path !== "").sort();
  }

  attributesOf(inode: MemoryInode): FileAttributes {
    const { kind, mode, content, target, seconds, version } = inode;
    const links = kind === "directory" ? 1 : [...this.nodes.values()].filter((each) => each === inode).length;
    return {
      kind,
      mode,
      userId: 0,
      groupId: 0,
      sizeBytes: kind === "file" ? content.length : target.length,
      modifiedSeconds: seconds,
      modifiedNanoseconds: 0,
      changedSeconds: version,
      changedNanoseconds: 0,
      links,
      inode: inode.inode,
      device: 1,
      deviceNode: 0,
      extendedHash: 0,
    };
  }

  /** As the target does; the errno of what cannot be done. */
  carryOut(operation: Operation): string | undefined {
    switch (operation.op) {
      case "makeDirectory":
      case "file":
      case "symlink":
      case "special":
        return this.#put(operation);
      case "attributes": {
        const inode = this.nodes.get(operation.path);
        if (inode === undefined) return "ENOENT";
        if (inode.kind === "file" && !isSameContent(this.attributesOf(inode), operation.attributes))
          return "ESTALE";
        this.described(inode, operation.attributes);
        return undefined;
      }
      case "link":
        if (!this.nodes.has(operation.existing)) return "ENOENT";
        this.link(operation.existing, operation.path);
        return undefined;
      case "rename":
        if (!this.nodes.has(operation.from)) return "ENOENT";
        this.rename(operation.from, operation.to);
        return undefined;
      case "remove":
        if (!this.nodes.has(operation.path)) return "ENOENT";
        this.remove(operation.path);
        return undefined;
      default:
        return "EOPNOTSUPP";
    }
  }

  #put(operation: Extract<Operation, { op: "makeDirectory" | "file" | "symlink" | "special" }>): undefined {
    const { path, attributes } = operation;
    for (let above = parentPath(path); above !== "" && !this.nodes.has(above); above = parentPath(above))
      this.make(above, "directory").mode = 0o700;
    const there = this.nodes.get(path);
    const isKept = operation.op === "makeDirectory" && there?.kind === "directory";
    if (there !== undefined && there.kind !== attributes.kind) this.remove(path);
    const inode = isKept ? there! : this.make(path, attributes.kind);
    this.described(inode, attributes);
    if (operation.op === "symlink") inode.target = operation.target;
    if (operation.op !== "file") return;
    inode.content = new Uint8Array(attributes.sizeBytes);
    for (const { offset, bytes } of operation.extents) inode.content.set(bytes, offset);
    const above = this.nodes.get(parentPath(path));
    if (above !== undefined) above.seconds = 999;
  }

  protected described(
    inode: MemoryInode,
    { mode, modifiedSeconds }: Pick<FileAttributes, "mode" | "modifiedSeconds">,
  ): MemoryInode {
    inode.mode = mode;
    inode.seconds = modifiedSeconds;
    return inode;
  }
}
