/**
 * Files that were changed by a name that was gone before it could be read: a directory that came with other names of files
 * and was removed again, a link that was made, written and removed. Nothing was told of the names that are left.
 *
 * Always holds: what is looked at are files of which several names were seen, those whose status changed since the last
 * look; memory is a batch of them. A file of which no other name was ever seen is found by the next comparison only.
 */
import type { Clock, FileAttributes, SourceTree } from "../../ports/mod.ts";
import { type SourcePlace, sourcePathOf } from "../capture/change.ts";
import type { HardLinks, OtherNames } from "./hard-links.ts";

const BATCH_NAMES = 1024;
/** A file system's clock may be so much behind. */
const BEHIND_MS = 2_000;

export class UnreadChanges {
  readonly #clock: Clock;
  /** Milliseconds since 1970: what changed before was looked at, or is found by the first comparison. */
  #sinceMs: number;
  #isWanted = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.wallMs();
  }

  get isWanted(): boolean {
    return this.#isWanted;
  }

  /** Something was changed by a name that is gone, and which file that was is not known. */
  want(): void {
    this.#isWanted = true;
  }

  /** One place of each file that may be meant. Errors: those of the source; then it is still wanted. */
  async run(source: SourceTree, links: HardLinks): Promise<SourcePlace[]> {
    if (!this.#isWanted) return [];
    this.#isWanted = false;
    const sinceMs = this.#sinceMs - BEHIND_MS;
    const beganMs = this.#clock.wallMs();
    const changed: SourcePlace[] = [];
    try {
      for (const files of batchesOf(links.files()))
        changed.push(...(await changedOf(files, sinceMs, source)));
    } catch (error) {
      this.#isWanted = true;
      throw error;
    }
    this.#sinceMs = beganMs;
    return changed;
  }
}

async function changedOf(
  files: readonly OtherNames[],
  sinceMs: number,
  source: SourceTree,
): Promise<SourcePlace[]> {
  const named = files.flatMap(({ places, has }) =>
    places.flatMap((place) => {
      const path = sourcePathOf(place);
      return path === undefined ? [] : [{ place, path, has }];
    }),
  );
  const found = await source.stat(named.map(({ path }) => path));
  const first = new Map<OtherNames["has"], SourcePlace>();
  for (const [index, { place, has }] of named.entries()) {
    const own = found[index];
    if (own === undefined || !has(own) || changedMs(own) < sinceMs || first.has(has)) continue;
    first.set(has, place);
  }
  return [...first.values()];
}

function changedMs({ changedSeconds, changedNanoseconds }: FileAttributes): number {
  return changedSeconds * 1000 + changedNanoseconds / 1e6;
}

function* batchesOf(files: Iterable<OtherNames>): Generator<OtherNames[]> {
  let batch: OtherNames[] = [];
  let names = 0;
  for (const file of files) {
    batch.push(file);
    names += file.places.length;
    if (names < BATCH_NAMES) continue;
    yield batch;
    batch = [];
    names = 0;
  }
  if (batch.length > 0) yield batch;
}
