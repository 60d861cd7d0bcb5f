/**
 * Which waiting entry takes a later one of the same path in, so that a file that is written all the time has one entry.
 *
 * Always holds: an entry is joined only to one that waits, so that what is sent for it is read after the later change;
 * and only when no command between them touches the path; a repair only when nothing was renamed between. What is not sure
 * is not joined.
 */
import type { TreePath } from "../../ports/mod.ts";
import type { EntryKind, NewEntry, QueuedEntry } from "./entry.ts";

/** A later entry may make an earlier one stronger, never weaker. */
const STRENGTH: Partial<Record<EntryKind, number>> = { attribute: 1, write: 2, create: 3 };

export class JoinedEntries {
  readonly #contents = new Map<TreePath, QueuedEntry>();
  readonly #repairs = new Map<TreePath, QueuedEntry>();

  /** The waiting entry that now stands for the new one too; undefined: it needs an entry of its own. */
  join(entry: NewEntry): QueuedEntry | undefined {
    const earlier = this.#mapOf(entry.kind)?.get(entry.path ?? "");
    if (earlier === undefined || earlier.state !== "waiting") return undefined;
    // The same path may meanwhile be that of another directory, of which the earlier entry knows nothing.
    if (earlier.place?.directory !== entry.place?.directory) return undefined;
    if (earlier.place?.name !== entry.place?.name) return undefined;
    if (earlier.isBulk !== (entry.isBulk ?? false)) return undefined;
    if ((STRENGTH[entry.kind] ?? 0) > (STRENGTH[earlier.kind] ?? 0)) earlier.kind = entry.kind;
    if (entry.depth === "all") earlier.depth = "all";
    return earlier;
  }

  appended(entry: QueuedEntry): void {
    const map = this.#mapOf(entry.kind);
    if (map !== undefined) map.set(entry.path, entry);
    else if (entry.kind === "rename") this.renamed(entry);
    else if (entry.kind === "remove" || entry.kind === "link") this.#contents.delete(entry.path);
  }

  /** It is claimed: what happens from now on it may have missed. */
  claimed(entry: QueuedEntry): void {
    const map = this.#mapOf(entry.kind);
    if (map?.get(entry.path) === entry) map.delete(entry.path);
  }

  #mapOf(kind: EntryKind): Map<TreePath, QueuedEntry> | undefined {
    if (kind === "repair") return this.#repairs;
    return STRENGTH[kind] === undefined ? undefined : this.#contents;
  }

  /**
   * A directory takes along paths that would have to be looked for one by one. A repair before any rename sees at the target
   * what that is still to move, and what a file is called may be a directory's name there by then. Also of a rename
   * that had no room in the queue: what stands in it already is done under the old names.
   */
  renamed(entry: NewEntry): void {
    this.#repairs.clear();
    if (entry.isDirectory !== false) {
      this.#contents.clear();
      return;
    }
    this.#contents.delete(entry.path ?? "");
    if (entry.from !== undefined) this.#contents.delete(entry.from);
  }
}
