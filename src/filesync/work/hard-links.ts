/**
 * The names of files that have several, as far as they were seen: a target gets the content once and links the others.
 *
 * Always holds: what is kept are hints; whoever uses a name looks at the source first whether it is still that file. At
 * most `NAMES_MAX` names are kept, the oldest files are forgotten; of these a target gets copies, which a later
 * comparison finds and links.
 */
import type { FileAttributes } from "../../ports/mod.ts";
import { hasOtherNames } from "../../wire/filesync/mod.ts";
import type { SourcePlace } from "../capture/change.ts";
import type { DirectoryNode } from "../capture/directory-node.ts";

type FileNumber = Pick<FileAttributes, "device" | "inode">;

/** About 200 bytes each. */
const NAMES_MAX = 1_000_000;

/** Names that a file had beside one that it may have lost. */
export interface OtherNames {
  readonly places: readonly SourcePlace[];
  /** Whether that is the file. */
  readonly has: (file: FileNumber) => boolean;
}

export class HardLinks {
  readonly #files = new Map<string, SourcePlace[]>();
  readonly #keys = new WeakMap<DirectoryNode, Map<string, string>>();
  #names = 0;

  /** Takes a name in; gives back the others of that file, the longest known first. */
  seen(attributes: FileAttributes, place: SourcePlace): readonly SourcePlace[] {
    if (!hasOtherNames(attributes)) return [];
    const key = keyOf(attributes);
    let places = this.#files.get(key);
    if (places === undefined) this.#files.set(key, (places = []));
    const others = places.filter((other) => !isSamePlace(other, place));
    if (others.length === places.length) {
      places.push(place);
      this.#names += 1;
      this.#keyed(place, key);
      this.#bound();
    }
    return others;
  }

  /**
   * Other names of the file that had this one when it was last seen, or was sent to it when it had no other; undefined where
   * none is known, or that is the one that has it `now`.
   */
  othersAt(
    place: SourcePlace,
    { sent, now }: { readonly sent?: FileNumber | undefined; readonly now?: FileNumber | undefined } = {},
  ): OtherNames | undefined {
    const key = this.#keys.get(place.directory)?.get(place.name) ?? (sent && keyOf(sent));
    if (key === undefined || (now !== undefined && keyOf(now) === key)) return undefined;
    const places = this.#files.get(key)?.filter((other) => !isSamePlace(other, place)) ?? [];
    return places.length === 0 ? undefined : { places, has: (file) => keyOf(file) === key };
  }

  /** All files of which names are known. Names that are seen meanwhile may be among them. */
  *files(): Generator<OtherNames> {
    for (const [key, places] of this.#files) yield { places, has: (file) => keyOf(file) === key };
  }

  /** Its file has this name no more. */
  left({ directory, name }: SourcePlace): void {
    this.#keys.get(directory)?.delete(name);
  }

  /** Names that are known of the file. */
  namesOf(attributes: FileAttributes): readonly SourcePlace[] {
    return this.#files.get(keyOf(attributes)) ?? [];
  }

  /** Names of the file that turned out not to be its names any more. */
  forget(attributes: FileAttributes, gone: readonly SourcePlace[]): void {
    const key = keyOf(attributes);
    const places = this.#files.get(key);
    if (places === undefined) return;
    const kept = places.filter((place) => !gone.some((other) => isSamePlace(other, place)));
    this.#names -= places.length - kept.length;
    if (kept.length === 0) this.#files.delete(key);
    else this.#files.set(key, kept);
  }

  #keyed({ directory, name }: SourcePlace, key: string): void {
    let names = this.#keys.get(directory);
    if (names === undefined) this.#keys.set(directory, (names = new Map()));
    names.set(name, key);
  }

  #bound(): void {
    while (this.#names > NAMES_MAX) {
      const [oldest] = this.#files;
      this.#files.delete(oldest![0]);
      this.#names -= oldest![1].length;
    }
  }
}

function keyOf({ device, inode }: FileNumber): string {
  return `${device}:${inode}`;
}

function isSamePlace(one: SourcePlace, other: SourcePlace): boolean {
  return one.directory === other.directory && one.name === other.name;
}
