/**
 * The root of a tree, open for the length of one job, and the directories that the job's paths are in.
 *
 * Always holds: it is the directory that the tree was opened with, by device and inode: where a file system was
 * unmounted, or another directory put in the root's place, every job fails (NOT_FOUND), and nothing looks deleted.
 * Between jobs nothing is open, so that the file system can be unmounted.
 */

import { RopewalkError } from "../../base/errors.ts";
import type { RootAttributes, TreePath } from "../../ports/mod.ts";
import { lastStatus } from "./last-status.ts";
import { fileSystemStatus } from "./target-calls.ts";
import { AT_FDCWD, OPEN_DIRECTORY, treeCalls } from "./tree-calls.ts";
import { treeError } from "./tree-error.ts";

/** Where a root is, and which directory it was. Plain data, for threads. */
export interface RootReference {
  /** Real path, latin1. */
  readonly path: string;
  readonly device: number;
  readonly inode: number;
}

function rootError(call: string, path: string, cause: number): RopewalkError {
  return treeError({
    call,
    path,
    cause,
    codes: {
      ENOENT: "NOT_FOUND",
      ELOOP: "NOT_FOUND",
      ENOTDIR: "INVALID_ARGUMENT",
    },
  });
}

/** What stands at the root's path now. NOT_FOUND, INVALID_ARGUMENT (no directory), PERMISSION_DENIED, IO_ERROR */
export function rootAttributes(path: string): RootAttributes {
  const fd = treeCalls.openat(AT_FDCWD, path, OPEN_DIRECTORY);
  if (fd < 0) throw rootError("open", path, fd);
  const result = treeCalls.fstat(fd);
  const fileSystem = fileSystemStatus(fd);
  treeCalls.close(fd);
  if (result < 0) throw rootError("statx", path, result);
  return {
    ...lastStatus.attributes(0),
    fileSystem: typeof fileSystem === "number" ? undefined : fileSystem.id,
  };
}

export class OpenedRoot {
  readonly fd: number;
  #parentPath: TreePath = "";
  #parent: number;
  /** Of the path that was located last: the directory it is in, and its name there (`.` of the root). */
  parent: number;
  name = ".";

  constructor(reference: RootReference) {
    const fd = treeCalls.openat(AT_FDCWD, reference.path, OPEN_DIRECTORY);
    if (fd < 0) throw rootError("open", reference.path, fd);
    const result = treeCalls.fstat(fd);
    if (result < 0 || lastStatus.inode !== reference.inode || lastStatus.device !== reference.device) {
      treeCalls.close(fd);
      if (result < 0) throw rootError("statx", reference.path, result);
      throw new RopewalkError(
        "NOT_FOUND",
        `${Buffer.from(reference.path, "latin1")} is another directory than before: mount what was there, or set it up anew.`,
      );
    }
    this.fd = fd;
    this.#parent = fd;
    this.parent = fd;
  }

  /** Opens the directory that the path is in; it stays open for the paths beside it. Negated errno. */
  locate(path: TreePath): number {
    const slash = path.lastIndexOf("/");
    this.name = path === "" ? "." : path.slice(slash + 1);
    const parentPath = slash < 0 ? "" : path.slice(0, slash);
    if (parentPath !== this.#parentPath) {
      this.#leave();
      const fd = treeCalls.openBeneath(this.fd, parentPath, OPEN_DIRECTORY);
      if (fd < 0) return fd;
      this.#parentPath = parentPath;
      this.#parent = fd;
    }
    this.parent = this.#parent;
    return 0;
  }

  close(): void {
    this.#leave();
    treeCalls.close(this.fd);
  }

  #leave(): void {
    if (this.#parent !== this.fd) treeCalls.close(this.#parent);
    this.#parent = this.fd;
    this.#parentPath = "";
  }
}

/** Runs a job on the root; whatever happens, it is closed afterwards. */
export function withRoot<Result>(reference: RootReference, job: (root: OpenedRoot) => Result): Result {
  const root = new OpenedRoot(reference);
  try {
    return job(root);
  } finally {
    root.close();
  }
}
