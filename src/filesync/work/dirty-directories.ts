/**
 * Directories of a target whose own attributes are to be sent, because what was done in them changed their times.
 *
 * Always holds: paths are the target's; they move along with renames. A directory that is not at the source under this path
 * is between two places: it waits for the command that says where it went. What was sent while a rename was not yet known
 * or done may have been another directory's: it is sent again where that rename takes it.
 */
import type { TreePath } from "../../ports/mod.ts";
import { isWithin, movedPath, parentPath } from "../tree-path.ts";

/** Beyond, the oldest that wait, or were sent, are forgotten; a later comparison finds their times. */
const KEPT_MAX = 65_536;

export class DirtyDirectories {
  readonly #dirty = new Set<TreePath>();
  readonly #away = new Set<TreePath>();
  readonly #sent = new Set<TreePath>();
  #sendings = 0;

  get size(): number {
    return this.#dirty.size;
  }

  /** Something was done to a name in it. */
  touchedIn(path: TreePath): void {
    this.#dirty.add(parentPath(path));
  }

  add(path: TreePath): void {
    this.#dirty.add(path);
  }

  /** A comparison found it otherwise. It may have been made on the way to something in it, which changed its parent's times. */
  differs(path: TreePath): void {
    this.#dirty.add(path);
    if (path !== "") this.#dirty.add(parentPath(path));
  }

  renamed(from: TreePath, to: TreePath): void {
    for (const set of [this.#away, this.#dirty, this.#sent])
      for (const path of [...set])
        if (isWithin(path, from)) {
          set.delete(path);
          this.#dirty.add(movedPath(path, from, to));
        }
  }

  removed(path: TreePath, isDirectory: boolean): void {
    if (!isDirectory) return;
    for (const set of [this.#away, this.#dirty])
      for (const each of [...set]) if (isWithin(each, path)) set.delete(each);
  }

  /** How often something was sent. */
  get sendings(): number {
    return this.#sendings;
  }

  wereSent(paths: readonly TreePath[]): void {
    this.#sendings += 1;
    for (const path of paths) keep(this.#sent, path);
  }

  /** What was sent was of the directories that stand there. */
  confirmed(): void {
    this.#sent.clear();
  }

  /** Takes out up to `count`, the deepest first; whoever takes them sends them or gives them back. */
  take(count: number): TreePath[] {
    const paths = [...this.#dirty];
    if (paths.length > 1) paths.sort((one, other) => depthOf(other) - depthOf(one));
    const taken = paths.slice(0, count);
    for (const path of taken) this.#dirty.delete(path);
    return taken;
  }

  /** Not at the source under this path. */
  isAway(path: TreePath): void {
    keep(this.#away, path);
  }

  /** Those that were away are looked for again. */
  retryAway(): void {
    for (const path of this.#away) this.#dirty.add(path);
    this.#away.clear();
  }
}

function keep(set: Set<TreePath>, path: TreePath): void {
  set.add(path);
  if (set.size <= KEPT_MAX) return;
  const [oldest] = set;
  set.delete(oldest!);
}

function depthOf(path: TreePath): number {
  let depth = 0;
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) depth += 1;
  return path === "" ? -1 : depth;
}
