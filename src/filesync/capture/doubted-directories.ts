/**
 * Directories of which it is not known for sure what stands in them, as what a scan saw of them may be older or newer than
 * the events that were told meanwhile. They are compared again.
 *
 * Always holds: it is done when nothing is being read and all events of before are told, again and again until no
 * directory is in doubt. Who waits for all changes waits for `checking` too.
 */
import type { DirectoryNode } from "./directory-node.ts";
import type { TreeWalk } from "./tree-walk.ts";

export interface DoubtedDirectoriesParts {
  readonly walk: TreeWalk;
  /** Resolves when every event that happened before the call was told. */
  readonly drained: () => Promise<void> | undefined;
  /** The directory is to be compared, once all in it is watched. */
  readonly compare: (node: DirectoryNode, depth: "one" | "all") => void;
  /** The tree cannot be read or watched at all. */
  readonly lost: (error: unknown) => void;
}

export class DoubtedDirectories {
  readonly #parts: DoubtedDirectoriesParts;
  readonly #unsure = new Set<DirectoryNode>();
  #checking: Promise<void> | undefined;
  #isClosed = false;

  constructor(parts: DoubtedDirectoriesParts) {
    this.#parts = parts;
  }

  /** Undefined when nothing is read or in doubt. */
  get checking(): Promise<void> | undefined {
    return this.#checking;
  }

  /** Directories came or went in it: if others are read at this time, the one may be older than the other. */
  addIfChecking(node: DirectoryNode): void {
    if (this.#checking !== undefined) this.#unsure.add(node);
  }

  add(node: DirectoryNode): void {
    this.check();
    this.#unsure.add(node);
  }

  /** Something is read from now on: what is told meanwhile is looked at again behind it. */
  check(): void {
    this.#checking ??= this.#checkAll()
      .catch((error: unknown) => this.#parts.lost(error))
      .finally(() => (this.#checking = undefined));
  }

  close(): void {
    this.#isClosed = true;
  }

  async #checkAll(): Promise<void> {
    const { walk, drained, compare } = this.#parts;
    for (;;) {
      await walk.finished();
      await drained();
      if (this.#isClosed) return;
      if (!walk.isIdle) continue;
      if (this.#unsure.size === 0) return;
      const nodes = [...this.#unsure];
      this.#unsure.clear();
      for (const node of nodes)
        if (node.path !== undefined) compare(node, node.watch === undefined ? "all" : "one");
    }
  }
}
