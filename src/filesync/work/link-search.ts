/**
 * Looks for the other names of files that have more than are known: a new name of a file is an event, the file's other names
 * are not told.
 *
 * Always holds: one walk over the source answers all that was asked until it began; memory is what was asked. A name that
 * is not found is outside of the tree, or new, and then has an event of its own.
 */
import type { ExcludeRules, FileAttributes, SourceTree, TreePath } from "../../ports/mod.ts";
import { hasOtherNames, readListing } from "../../wire/filesync/mod.ts";
import { joinPath } from "../tree-path.ts";

const BATCH_PATHS = 64;
const BATCHES_MAX = 4;

export interface WantedFile {
  readonly attributes: FileAttributes;
  /** At the target, where its content is. */
  readonly path: TreePath;
}

export class LinkSearch {
  readonly #wanted = new Map<string, WantedFile>();

  get isWanted(): boolean {
    return this.#wanted.size > 0;
  }

  want(file: WantedFile): void {
    this.#wanted.set(keyOf(file.attributes), file);
  }

  /** Each name of each file that was wanted, as it is found. */
  async run(
    tree: SourceTree,
    excludes: ExcludeRules,
    found: (file: WantedFile, name: { readonly path: TreePath; readonly attributes: FileAttributes }) => void,
  ): Promise<void> {
    const wanted = new Map(this.#wanted);
    this.#wanted.clear();
    const toVisit: TreePath[] = [""];
    const visit = async (paths: TreePath[]) => {
      const { directories } = await tree.scan({ paths, withWatches: false, withListings: true, excludes });
      for (const { path, listing } of directories) {
        if (listing === undefined) continue;
        for (const { name, attributes } of readListing(listing)) {
          const whole = joinPath(path, name);
          if (attributes.kind === "directory") toVisit.push(whole);
          if (!hasOtherNames(attributes)) continue;
          const file = wanted.get(keyOf(attributes));
          if (file !== undefined) found(file, { path: whole, attributes });
        }
      }
    };
    try {
      const running = new Set<Promise<void>>();
      while (toVisit.length > 0 || running.size > 0) {
        while (toVisit.length > 0 && running.size < BATCHES_MAX) {
          const batch = visit(toVisit.splice(-BATCH_PATHS));
          running.add(batch);
          batch.then(
            () => running.delete(batch),
            () => undefined,
          );
        }
        await Promise.race(running);
      }
    } catch (error) {
      for (const [key, file] of wanted) if (!this.#wanted.has(key)) this.#wanted.set(key, file);
      throw error;
    }
  }
}

function keyOf({ device, inode }: FileAttributes): string {
  return `${device}:${inode}`;
}
