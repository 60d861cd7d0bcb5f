/**
 * Which file of the source was sent last to a path of the target: a rename that comes later must move just that one.
 *
 * Always holds: bounded; what was sent longest ago is forgotten, and then nothing is known of the path. Two files that
 * were made in one tick of the file system's clock may have equal size and times; their inodes differ.
 * What is new is kept apart from what is older, which is forgotten all at once: to take out the oldest entry of a map for
 * each new one cost more than all else that is done for a file here.
 */
import type { FileAttributes, TreePath } from "../../ports/mod.ts";
import { isWithin, movedPath } from "../tree-path.ts";
import { RecentFiles } from "./recent-files.ts";

/** Of the newer and of the older ones; about 150 bytes each. */
const PATHS_MAX = 8192;

interface SentFile {
  readonly inode: number;
  readonly device: number;
  /** Of the sending; they grow. */
  readonly number: number;
}

export class SentFiles {
  readonly recent: RecentFiles;
  #newer = new Map<TreePath, SentFile>();
  /** A path that both have is the newer one's. */
  #older = new Map<TreePath, SentFile>();
  #number = 0;

  /** `targetTickMs`: what the target cuts times to. */
  constructor(targetTickMs: () => number = () => 0) {
    this.recent = new RecentFiles(targetTickMs);
  }

  /** `beganMs`: since 1970, before it was read. */
  sent(path: TreePath, attributes: FileAttributes, beganMs: number): void {
    const { inode, device } = attributes;
    this.#number += 1;
    this.#set(path, { inode, device, number: this.#number });
    this.recent.sent(path, attributes, beganMs);
  }

  /** The file that the target has under this path, if it is known. */
  fileAt(path: TreePath): Pick<FileAttributes, "inode" | "device"> | undefined {
    return this.#get(path);
  }

  /** Whether content was sent to the one path later than to the other. */
  isNewer(path: TreePath, than: TreePath): boolean {
    return (this.#get(path)?.number ?? 0) > (this.#get(than)?.number ?? 0);
  }

  /** A name was linked to what another one has. */
  linked(path: TreePath, existing: TreePath): void {
    const sent = this.#get(existing);
    this.#delete(path);
    if (sent !== undefined) this.#set(path, sent);
  }

  /** False when what the target has under this path is known to be another file. */
  mayBe(path: TreePath, { inode, device }: FileAttributes): boolean {
    const sent = this.#get(path);
    return sent === undefined || (sent.inode === inode && sent.device === device);
  }

  renamed(from: TreePath, to: TreePath, isDirectory: boolean): void {
    this.recent.renamed(from, to, isDirectory);
    if (!isDirectory) {
      const sent = this.#get(from);
      this.#delete(from);
      this.#delete(to);
      if (sent !== undefined) this.#set(to, sent);
      return;
    }
    this.#removeBelow(to);
    for (const map of [this.#newer, this.#older])
      for (const [path, sent] of [...map]) {
        if (!isWithin(path, from)) continue;
        map.delete(path);
        map.set(movedPath(path, from, to), sent);
      }
  }

  removed(path: TreePath, isDirectory: boolean): void {
    this.recent.removed(path, isDirectory);
    if (isDirectory) this.#removeBelow(path);
    else this.#delete(path);
  }

  #get(path: TreePath): SentFile | undefined {
    return this.#newer.get(path) ?? this.#older.get(path);
  }

  #set(path: TreePath, sent: SentFile): void {
    this.#newer.set(path, sent);
    if (this.#newer.size < PATHS_MAX) return;
    this.#older = this.#newer;
    this.#newer = new Map();
  }

  #delete(path: TreePath): void {
    this.#newer.delete(path);
    this.#older.delete(path);
  }

  #removeBelow(directory: TreePath): void {
    for (const map of [this.#newer, this.#older])
      for (const path of [...map.keys()]) if (isWithin(path, directory)) map.delete(path);
  }
}
