/**
 * Looks for all names of files that have several: a name that is made, written or removed is an event, and the file's other
 * names are not told.
 *
 * Always holds: one walk over the source answers all that was asked until it began; memory is what was asked. A name that
 * is not found is outside of the tree, or new, and then has an event of its own.
 */
import type { ExcludeRules, FileAttributes, SourceTree, TreePath } from "../../ports/mod.ts";
import { hasOtherNames, readListing } from "../../wire/filesync/mod.ts";
import type { SourcePlace } from "../capture/change.ts";
import { joinPath } from "../tree-path.ts";

const BATCH_PATHS = 64;
const BATCHES_MAX = 4;

/** The names of one file, in no order. */
export interface FoundFile {
  readonly attributes: FileAttributes;
  readonly paths: TreePath[];
  /** The name that it was sent to last; the others follow it, also when that is gone by now. */
  readonly sentTo: SourcePlace;
}

export class LinkSearch {
  #wanted = new Map<string, FoundFile>();

  get isWanted(): boolean {
    return this.#wanted.size > 0;
  }

  /** Does nothing for a file of one name. */
  want(attributes: FileAttributes, sentTo: SourcePlace): void {
    if (hasOtherNames(attributes)) this.#wanted.set(keyOf(attributes), { attributes, paths: [], sentTo });
  }

  /** Those that were wanted, with the names that were found. */
  async run(tree: SourceTree, excludes: ExcludeRules): Promise<FoundFile[]> {
    const wanted = this.#wanted;
    this.#wanted = new Map();
    const toVisit: TreePath[] = [""];
    const visit = async (paths: TreePath[]) => {
      const { directories } = await tree.scan({ paths, withListings: true, excludes });
      for (const { path, listing } of directories) {
        if (listing === undefined) continue;
        for (const { name, attributes } of readListing(listing)) {
          const whole = joinPath(path, name);
          if (attributes.kind === "directory") toVisit.push(whole);
          if (!hasOtherNames(attributes)) continue;
          wanted.get(keyOf(attributes))?.paths.push(whole);
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
      return [...wanted.values()];
    } catch (error) {
      for (const { attributes, sentTo } of wanted.values())
        if (!this.#wanted.has(keyOf(attributes))) this.want(attributes, sentTo);
      throw error;
    }
  }
}

function keyOf({ device, inode }: FileAttributes): string {
  return `${device}:${inode}`;
}
