/**
 * Directories that must be compared again because the queue had no room for what happened in them.
 *
 * Always holds: at most `directoriesMax` are kept, beyond that it is the whole tree; what is handed out comes in the
 * order of its adding, and `added` and `taken` count it, so that a mark can wait for what was there before it.
 */
import type { DirectoryNode } from "../capture/directory-node.ts";

export interface Rescan {
  /** Undefined: the whole tree. */
  readonly directory: DirectoryNode | undefined;
  readonly depth: "one" | "all";
}

export class RescanSet {
  readonly #directoriesMax: number;
  readonly #depths = new Map<DirectoryNode, "one" | "all">();
  #isWhole = false;
  #added = 0;
  #taken = 0;
  #sinceMs: number | undefined;

  constructor(directoriesMax: number) {
    this.#directoriesMax = directoriesMax;
  }

  get size(): number {
    return this.#isWhole ? 1 : this.#depths.size;
  }

  get added(): number {
    return this.#added;
  }

  get taken(): number {
    return this.#taken;
  }

  /** When the oldest of them was added, or an older one since the set was empty. */
  get sinceMs(): number | undefined {
    return this.#sinceMs;
  }

  add(directory: DirectoryNode, options: { depth: "one" | "all"; atMs: number }): void {
    this.#sinceMs ??= options.atMs;
    if (this.#isWhole) return;
    const before = this.#depths.get(directory);
    if (before === undefined) {
      if (this.#depths.size === this.#directoriesMax) {
        this.addWhole(options.atMs);
        return;
      }
      this.#added++;
    }
    this.#depths.set(directory, options.depth === "all" ? "all" : (before ?? "one"));
  }

  addWhole(atMs: number): void {
    this.#sinceMs ??= atMs;
    if (this.#isWhole) return;
    this.#depths.clear();
    this.#isWhole = true;
    this.#added++;
  }

  take(): Rescan | undefined {
    if (this.#isWhole) {
      this.#isWhole = false;
      this.#sinceMs = undefined;
      // It stands for all that were added before.
      this.#taken = this.#added;
      return { directory: undefined, depth: "all" };
    }
    for (const [directory, depth] of this.#depths) {
      this.#depths.delete(directory);
      this.#taken++;
      if (this.#depths.size === 0) this.#sinceMs = undefined;
      return { directory, depth };
    }
    return undefined;
  }
}
