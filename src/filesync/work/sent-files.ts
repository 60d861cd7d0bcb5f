/**
 * Which file of the source was sent last to a path of the target: a rename that comes later must move just that one.
 *
 * Always holds: bounded; what was sent longest ago is forgotten, and then nothing is known of the path. Two files that
 * were made in one tick of the file system's clock may have equal size and times; their inodes differ.
 */
import type { FileAttributes, TreePath } from "../../ports/mod.ts";
import { isWithin, movedPath } from "../tree-path.ts";

/** About 150 bytes each. */
const PATHS_MAX = 16_384;

interface SentFile {
  readonly inode: number;
  readonly device: number;
  /** Of the sending; they grow. */
  readonly number: number;
}

export class SentFiles {
  readonly #sent = new Map<TreePath, SentFile>();
  #number = 0;

  sent(path: TreePath, { inode, device }: FileAttributes): void {
    this.#sent.delete(path);
    this.#number += 1;
    this.#sent.set(path, { inode, device, number: this.#number });
    if (this.#sent.size > PATHS_MAX) {
      const [oldest] = this.#sent.keys();
      this.#sent.delete(oldest!);
    }
  }

  /** The file that the target has under this path, if it is known. */
  fileAt(path: TreePath): Pick<FileAttributes, "inode" | "device"> | undefined {
    return this.#sent.get(path);
  }

  /** Whether content was sent to the one path later than to the other. */
  isNewer(path: TreePath, than: TreePath): boolean {
    return (this.#sent.get(path)?.number ?? 0) > (this.#sent.get(than)?.number ?? 0);
  }

  /** A name was linked to what another one has. */
  linked(path: TreePath, existing: TreePath): void {
    const sent = this.#sent.get(existing);
    this.#sent.delete(path);
    if (sent !== undefined) this.#sent.set(path, sent);
  }

  /** False when what the target has under this path is known to be another file. */
  mayBe(path: TreePath, { inode, device }: FileAttributes): boolean {
    const sent = this.#sent.get(path);
    return sent === undefined || (sent.inode === inode && sent.device === device);
  }

  renamed(from: TreePath, to: TreePath, isDirectory: boolean): void {
    if (!isDirectory) {
      const sent = this.#sent.get(from);
      this.#sent.delete(from);
      this.#sent.delete(to);
      if (sent !== undefined) this.#sent.set(to, sent);
      return;
    }
    for (const path of [...this.#sent.keys()]) if (isWithin(path, to)) this.#sent.delete(path);
    for (const [path, sent] of [...this.#sent]) {
      if (!isWithin(path, from)) continue;
      this.#sent.delete(path);
      this.#sent.set(movedPath(path, from, to), sent);
    }
  }

  removed(path: TreePath, isDirectory: boolean): void {
    this.#sent.delete(path);
    if (!isDirectory) return;
    for (const sent of [...this.#sent.keys()]) if (isWithin(sent, path)) this.#sent.delete(sent);
  }
}
