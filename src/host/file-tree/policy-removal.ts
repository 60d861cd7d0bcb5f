/**
 * Removes at a target by its policy: for good (mirror), into the trash (trash), or not at all (keep).
 *
 * Always holds: a directory that is to go alone, without what is in it, stays where something is in it (ENOTEMPTY); what
 * dead sessions left there does not keep it. Results are 0 or a negated errno.
 */
import type { TreePath } from "../../ports/file-tree.ts";
import type { DeletesPolicy } from "../../wire/filesync/mod.ts";
import { EEXIST, ENOENT, ENOTEMPTY } from "./errno-names.ts";
import { removeLeftovers, removeName, removeTree } from "./remove-tree.ts";
import { nameOf, type TargetDirectories, type TargetDirectory } from "./target-directories.ts";
import { isOwnPath } from "./target-job.ts";
import { moveToTrash } from "./trash.ts";
import { OPEN_DIRECTORY, treeCalls } from "./tree-calls.ts";

export interface RemovalOptions {
  readonly deletes: DeletesPolicy;
  readonly directories: TargetDirectories;
  /** Milliseconds since 1970, for the trash. */
  readonly nowMs: number;
  /** Sessions whose temporaries are in use. */
  readonly live: readonly string[];
}

export class PolicyRemoval {
  readonly #options: RemovalOptions;

  constructor(options: RemovalOptions) {
    this.#options = options;
  }

  /** Of what stands where something of another kind is to be. EEXIST: it is kept. */
  makeWay(directory: TargetDirectory, path: TreePath): number {
    const { deletes } = this.#options;
    if (deletes === "keep") return -EEXIST;
    const result =
      deletes === "mirror" ? removeTree(directory.fd, nameOf(path)) : this.#moveToTrash(directory, path);
    return result === -ENOENT ? 0 : result;
  }

  /** Of what is gone at the source; not for the policy `keep`. */
  remove(directory: TargetDirectory, path: TreePath, recursive: boolean): number {
    const name = nameOf(path);
    const found = treeCalls.statat(directory.fd, name);
    // Gone already, or it cannot even be looked at.
    if (found < 0) return found;
    if (this.#options.deletes === "trash") {
      const result = recursive ? 0 : checkEmpty(directory.fd, name);
      return result === 0 ? this.#moveToTrash(directory, path) : result;
    }
    if (recursive) return removeTree(directory.fd, name);
    const result = removeName(directory.fd, name);
    return result === -ENOTEMPTY && this.#sweep(directory.fd, name) ? removeName(directory.fd, name) : result;
  }

  #moveToTrash(directory: TargetDirectory, path: TreePath): number {
    const { directories, nowMs } = this.#options;
    return moveToTrash(directories, { directory: directory.fd, name: nameOf(path), path }, nowMs);
  }

  /** Removes what dead sessions left in a directory; whether there was something. */
  #sweep(directory: number, name: string): boolean {
    const fd = treeCalls.openat(directory, name, OPEN_DIRECTORY);
    if (fd < 0) return false;
    const removed = removeLeftovers(fd, this.#options.live);
    treeCalls.close(fd);
    return removed > 0;
  }
}

/** ENOTEMPTY where more than Ropewalk's own names is in it; what is no directory counts as empty. */
function checkEmpty(directory: number, name: string): number {
  const fd = treeCalls.openat(directory, name, OPEN_DIRECTORY);
  if (fd < 0) return fd === -ENOENT ? fd : 0;
  const inside = treeCalls.readNames(fd);
  treeCalls.close(fd);
  if (typeof inside === "number") return inside;
  return inside.names.some((each) => !isOwnPath(each)) ? -ENOTEMPTY : 0;
}
