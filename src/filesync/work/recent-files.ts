/**
 * Files of the target that were read right after they were written: another write in the same tick of the file system's clock,
 * or within what the target cuts times to, leaves size and time as they were, and no comparison finds it. They are sent once more when their directory is compared.
 *
 * Always holds: at most `FILES_MAX` are known, the oldest are forgotten.
 */
import type { FileAttributes, TreePath } from "../../ports/mod.ts";
import { isWithin, joinPath, lastName, movedPath, parentPath } from "../tree-path.ts";

const FILES_MAX = 65_536;
/** The clocks of file systems tick every 1 to 10 ms. */
const TICK_MS_MAX = 30;
/** Those of FAT every 2 s, those of ext3 and HFS+ every second: their times have no nanoseconds. */
const COARSE_TICK_MS = 2_000;

interface RecentFile {
  readonly modifiedMs: number;
  /** By the clock of this machine. */
  readonly readMs: number;
}

export class RecentFiles {
  /** By directory and name. */
  readonly #names = new Map<TreePath, Map<string, RecentFile>>();
  #size = 0;
  readonly #targetTickMs: () => number;

  /** What the target cuts times to. */
  constructor(targetTickMs: () => number = () => 0) {
    this.#targetTickMs = targetTickMs;
  }

  /** `beganMs`: since 1970, before the file was read. */
  sent(
    path: TreePath,
    { modifiedSeconds, modifiedNanoseconds, kind }: FileAttributes,
    beganMs: number,
  ): void {
    const modifiedMs = modifiedSeconds * 1000 + modifiedNanoseconds / 1e6;
    const sourceTickMs = modifiedNanoseconds === 0 ? COARSE_TICK_MS : TICK_MS_MAX;
    const tickMs = Math.max(sourceTickMs, this.#targetTickMs());
    const before = this.#remove(path);
    if (kind !== "file" || modifiedMs < beganMs - tickMs) return;
    // Where the file system's clock is ahead of this one.
    const isLater = before?.modifiedMs === modifiedMs && beganMs > before.readMs + tickMs;
    if (!isLater) this.#add(path, { modifiedMs, readMs: beganMs });
  }

  renamed(from: TreePath, to: TreePath, isDirectory: boolean): void {
    if (!isDirectory) {
      this.#remove(to);
      const file = this.#remove(from);
      if (file !== undefined) this.#add(to, file);
      return;
    }
    this.removed(to, true);
    for (const [directory, names] of [...this.#names]) {
      if (!isWithin(directory, from)) continue;
      this.#names.delete(directory);
      this.#names.set(movedPath(directory, from, to), names);
    }
  }

  removed(path: TreePath, isDirectory: boolean): void {
    this.#remove(path);
    if (!isDirectory) return;
    for (const [directory, names] of [...this.#names]) {
      if (!isWithin(directory, path)) continue;
      this.#names.delete(directory);
      this.#size -= names.size;
    }
  }

  /** Those in the directory, or also in directories below it. */
  in(path: TreePath, depth: "one" | "all"): TreePath[] {
    const directories =
      depth === "one" ? [path] : [...this.#names.keys()].filter((each) => isWithin(each, path));
    return directories.flatMap((directory) =>
      [...(this.#names.get(directory)?.keys() ?? [])].map((name) => joinPath(directory, name)),
    );
  }

  #add(path: TreePath, file: RecentFile): void {
    const directory = parentPath(path);
    let names = this.#names.get(directory);
    if (names === undefined) this.#names.set(directory, (names = new Map()));
    names.set(lastName(path), file);
    this.#size += 1;
    for (const [oldest, some] of this.#names) {
      if (this.#size <= FILES_MAX) break;
      this.#names.delete(oldest);
      this.#size -= some.size;
    }
  }

  #remove(path: TreePath): RecentFile | undefined {
    const directory = parentPath(path);
    const names = this.#names.get(directory);
    const file = names?.get(lastName(path));
    if (names === undefined || file === undefined) return undefined;
    names.delete(lastName(path));
    this.#size -= 1;
    if (names.size === 0) this.#names.delete(directory);
    return file;
  }
}
