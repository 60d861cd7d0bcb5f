/**
 * The directories of a source as far as they are watched: where each is now, and which watch is its.
 *
 * Always holds: a node is one directory for as long as it lives, whatever it is called; files are not kept, so memory
 * grows with directories only. A node that was taken out (`isDetached`) has no path.
 */
import type { TreePath } from "../../ports/mod.ts";
import { joinPath } from "../tree-path.ts";

/** Grows with each directory that is put somewhere or taken out: which of two things came first. */
let moves = 0;

export class DirectoryNode {
  name: string;
  parent: DirectoryNode | undefined;
  /** Number of its watch; undefined before the scan that sets it, and when the kernel has dropped it. */
  watch: number | undefined;
  readonly #isRoot: boolean;
  /** Something happened in it that was not told to anybody, or not done by somebody, while it had no place. */
  hasMissed = false;
  /** When it was put where it is, as `moves` counts. */
  attachedAt = 0;
  /** When it was read last, or a listing that has it, as the walk counts its requests. */
  seenAt = 0;
  /** When its watch was told last, as the walk counts its requests. */
  watchedAt = 0;
  /** When something happened in it that was not told one by one, as `moves` counts. */
  #shakenAt = 0;
  /** It was moved since something was not told one by one where it stands. */
  #wasMoved = false;
  #children: Map<string, DirectoryNode> | undefined;

  /** Without a name: the root of a tree. */
  constructor(name?: string) {
    this.name = name ?? "";
    this.#isRoot = name === undefined;
  }

  static get moves(): number {
    return moves;
  }

  /** Whether it, or a directory above it, was put elsewhere or taken out since `moves` was so. */
  movedSince(before: number): boolean {
    if (this.attachedAt > before) return true;
    return this.parent === undefined ? !this.#isRoot : this.parent.movedSince(before);
  }

  /** Its own watch says that it was moved. True: from where, and where to, may not be told. */
  selfMoved(): boolean {
    const { parent } = this;
    if (parent !== undefined && parent.#shakenAt > this.attachedAt) return true;
    this.#wasMoved = true;
    return false;
  }

  /** Something happened in it that was not told one by one. Gives back directories in it that may have been elsewhere for a while. */
  shake(): DirectoryNode[] {
    this.#shakenAt = ++moves;
    const moved = [...this.children].filter((child) => child.#wasMoved);
    for (const child of moved) child.#wasMoved = false;
    return moved;
  }

  /** What was to be done in it was not, as it has no place: whoever finds where it went has it compared. */
  miss(depth: "one" | "all"): void {
    for (const node of depth === "all" ? this.all() : [this]) node.hasMissed = true;
  }

  /** Undefined where the directory was taken out of the tree. */
  get path(): TreePath | undefined {
    if (this.parent === undefined) return this.#isRoot ? "" : undefined;
    const above = this.parent.path;
    return above === undefined ? undefined : joinPath(above, this.name);
  }

  child(name: string): DirectoryNode | undefined {
    return this.#children?.get(name);
  }

  get children(): Iterable<DirectoryNode> {
    return this.#children?.values() ?? [];
  }

  /** Puts `node` here under `name`, and takes it from where it was; another one that stood there is taken out. */
  attach(node: DirectoryNode, name: string): void {
    node.detach();
    this.child(name)?.detach();
    node.parent = this;
    node.name = name;
    node.attachedAt = ++moves;
    this.#children ??= new Map();
    this.#children.set(name, node);
  }

  /** Takes it out of the tree, with all below it. */
  detach(): void {
    const { parent } = this;
    if (parent === undefined) return;
    if (parent.#children?.get(this.name) === this) parent.#children.delete(this.name);
    if (parent.#children?.size === 0) parent.#children = undefined;
    this.parent = undefined;
    moves += 1;
  }

  /** It and all below it, parents first. */
  *all(): Generator<DirectoryNode> {
    yield this;
    for (const child of this.children) yield* child.all();
  }
}

/** All nodes of one source, by path and by watch. */
export class DirectoryNodes {
  readonly root = new DirectoryNode();
  readonly #byWatch = new Map<number, DirectoryNode>();

  get watches(): number {
    return this.#byWatch.size;
  }

  ofWatch(watch: number): DirectoryNode | undefined {
    return this.#byWatch.get(watch);
  }

  at(path: TreePath): DirectoryNode | undefined {
    if (path === "") return this.root;
    let node: DirectoryNode | undefined = this.root;
    for (const name of path.split("/")) if ((node = node.child(name)) === undefined) return undefined;
    return node;
  }

  /** The directory has this watch now; the node that had it before is given back: it is the same directory elsewhere. */
  setWatch(node: DirectoryNode, watch: number): DirectoryNode | undefined {
    const before = this.#byWatch.get(watch);
    if (before === node) return undefined;
    if (before !== undefined) before.watch = undefined;
    if (node.watch !== undefined) this.#byWatch.delete(node.watch);
    node.watch = watch;
    this.#byWatch.set(watch, node);
    return before;
  }

  /** The kernel dropped the watch. */
  watchGone(watch: number): void {
    const node = this.#byWatch.get(watch);
    if (node !== undefined) node.watch = undefined;
    this.#byWatch.delete(watch);
  }

  /** Takes a directory out for good; gives back the watches that are to be removed. */
  drop(node: DirectoryNode): number[] {
    node.detach();
    const watches: number[] = [];
    for (const { watch } of node.all()) {
      if (watch === undefined) continue;
      watches.push(watch);
      this.#byWatch.delete(watch);
    }
    return watches;
  }

  /** The root's watch and all others are gone; the tree begins anew. */
  clear(): void {
    for (const child of [...this.root.children]) this.drop(child);
    if (this.root.watch !== undefined) this.watchGone(this.root.watch);
  }
}
