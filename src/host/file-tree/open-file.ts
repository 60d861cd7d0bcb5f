/**
 * Single calls on a large file of the source, on a tree thread: opening, its attributes, where its data lies.
 *
 * Always holds: only a regular file is opened. What cannot be opened is an error with a code: NOT_FOUND (it vanished, or
 * is no file any more), PERMISSION_DENIED, IO_ERROR.
 */

import type { RopewalkError } from "../../base/errors.ts";
import type { FileAttributes, TreePath } from "../../ports/mod.ts";
import { ENOENT } from "./errno-names.ts";
import { dataRange } from "./file-content.ts";
import { lastStatus } from "./last-status.ts";
import { type RootReference, withRoot } from "./opened-root.ts";
import { openForReading } from "./pack-paths.ts";
import { extendedHashOf, extendedOf } from "./read-extended.ts";
import { copied, type Handed } from "./thread-jobs.ts";
import { treeCalls } from "./tree-calls.ts";
import { treeError } from "./tree-error.ts";

export interface OpenJob {
  readonly root: RootReference;
  readonly path: TreePath;
}

export interface OpenedFile {
  readonly fd: number;
  readonly attributes: FileAttributes;
  readonly extended: Uint8Array;
}

function fileError(call: string, path: TreePath, cause: number): RopewalkError {
  return treeError({
    call,
    path,
    cause,
    codes: {
      ENOENT: "NOT_FOUND",
      ENOTDIR: "NOT_FOUND",
      ELOOP: "NOT_FOUND",
      ENXIO: "NOT_FOUND",
    },
  });
}

/** A handler: the descriptor belongs to the one who asked. */
export function openFile({ root: reference, path }: OpenJob): Handed<OpenedFile> {
  return withRoot(reference, (root) => {
    const located = root.locate(path);
    if (located < 0) throw fileError("open", path, located);
    const found = treeCalls.statat(root.parent, root.name);
    if (found < 0) throw fileError("statx", path, found);
    if (lastStatus.kind !== "file") throw fileError("open", path, -ENOENT);
    const fd = openForReading(root.parent, root.name);
    if (fd < 0) throw fileError("open", path, fd);
    try {
      const result = treeCalls.fstat(fd);
      if (result < 0) throw fileError("statx", path, result);
      if (lastStatus.kind !== "file") throw fileError("open", path, -ENOENT);
      const attributes = lastStatus.attributes(0);
      const extended = extendedOf(fd);
      if (typeof extended === "number") throw fileError("fgetxattr", path, extended);
      return copied({ fd, attributes: { ...attributes, extendedHash: extendedHashOf(extended) }, extended });
    } catch (error) {
      treeCalls.close(fd);
      throw error;
    }
  });
}

/** A handler. */
export function attributesOfFile(fd: number): Handed<FileAttributes> {
  const result = treeCalls.fstat(fd);
  if (result < 0) throw fileError("statx", "", result);
  const attributes = lastStatus.attributes(0);
  return copied({ ...attributes, extendedHash: extendedHashOf(extendedOf(fd)) });
}

/** A handler: the next range of data; to the file's end where the file system does not tell. */
export function dataOfFile(job: {
  readonly fd: number;
  readonly offset: number;
}): Handed<{ offset: number; end: number } | undefined> {
  const result = treeCalls.fstat(job.fd);
  if (result < 0) throw fileError("statx", "", result);
  const { sizeBytes } = lastStatus;
  const range = dataRange(job.fd, job.offset, sizeBytes);
  if (typeof range !== "number") return copied(range);
  return copied(job.offset < sizeBytes ? { offset: job.offset, end: sizeBytes } : undefined);
}
