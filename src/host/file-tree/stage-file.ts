/**
 * Writes a file's content and attributes to a temporary beside its name.
 *
 * Always holds: the temporary is in the same directory as the name, since a rename between directories takes a lock of
 * the whole file system. A named temporary and a rename cost the same as O_TMPFILE and a link (33 to 31 µs a file on
 * ext4), need no open descriptor until the group's sync, and replace as well as make. What fails leaves nothing behind.
 */
import { constants } from "node:fs";
import { constants as system } from "node:os";
import type { ContentExtent, Operation } from "../../wire/filesync/mod.ts";
import { makeAttributes, OpenHolder } from "./apply-attributes.ts";
import { EINTR } from "./errno-names.ts";
import { lastStatus } from "./last-status.ts";
import type { TargetDirectory } from "./target-directories.ts";
import type { LostKinds } from "./target-job.ts";
import { treeCalls } from "./tree-calls.ts";

export type FileOperation = Operation & { readonly op: "file" };

const { O_WRONLY, O_CREAT, O_EXCL } = constants;
const PERMISSIONS = 0o777;
const OWNER_ONLY = 0o600;
const umask = process.umask();
const { EIO } = system.errno;

export interface StageRequest {
  readonly directory: TargetDirectory;
  readonly temporary: string;
  readonly operation: FileOperation;
  /** By fdatasync; else a sync of the whole group follows. */
  readonly isDurable: boolean;
}

export interface StageFailure {
  readonly result: number;
  readonly doing: string;
  /** The file is there all the same: only something of its attributes could not be set. */
  readonly isStaged: boolean;
}

export function stageFile(request: StageRequest, lost: LostKinds): StageFailure | undefined {
  const { directory, temporary, operation } = request;
  const { attributes } = operation;
  // The mode is final from the start when nothing but creation decides about it.
  const isOwnerGiven =
    directory.createdOwner?.userId === attributes.userId &&
    directory.createdOwner.groupId === attributes.groupId;
  const isModeGiven =
    isOwnerGiven &&
    (attributes.mode & ~PERMISSIONS) === 0 &&
    (attributes.mode & umask) === 0 &&
    !directory.handsAclOn;
  const mode = isModeGiven ? attributes.mode : OWNER_ONLY;
  const fd = treeCalls.openat(directory.fd, temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
  if (fd < 0) return { result: fd, doing: "open", isStaged: false };
  let failure: StageFailure | undefined;
  try {
    const written = writeContent(fd, operation.extents, attributes.sizeBytes);
    if (written < 0) failure = { result: written, doing: "write", isStaged: false };
    else {
      const hasExtended = directory.handedAclOn();
      const before = {
        ...ownerOf(fd, directory),
        mode: isModeGiven && !hasExtended ? mode : undefined,
        hasExtended,
      };
      const failed = makeAttributes(new OpenHolder(fd), before, operation, lost);
      if (failed !== undefined) failure = { ...failed, isStaged: true };
      const synced = request.isDurable ? treeCalls.fdatasync(fd) : 0;
      if (synced < 0) failure = { result: synced, doing: "fdatasync", isStaged: false };
    }
  } finally {
    treeCalls.close(fd);
    if (failure?.isStaged === false) treeCalls.unlinkat(directory.fd, temporary);
  }
  return failure;
}

/** Of what was created: another connection may have made the directory hand another group on since the last time. */
function ownerOf(fd: number, directory: TargetDirectory) {
  if (treeCalls.fstat(fd) < 0) return undefined;
  const { userId, groupId } = lastStatus.attributes(0);
  directory.createdOwner = { userId, groupId };
  return directory.createdOwner;
}

function writeContent(fd: number, extents: readonly ContentExtent[], sizeBytes: number): number {
  let end = 0;
  for (const { offset, bytes } of extents) {
    const written = writeFully(fd, bytes, offset);
    if (written < 0) return written;
    end = offset + bytes.length;
  }
  return end < sizeBytes ? treeCalls.ftruncate(fd, sizeBytes) : 0;
}

/** 0, or the negated errno. */
export function writeFully(fd: number, bytes: Uint8Array, offset: number): number {
  for (let at = 0; at < bytes.length; ) {
    const left = at === 0 ? bytes : bytes.subarray(at);
    const count = Number(treeCalls.pwrite(fd, left, offset + at));
    if (count === -EINTR) continue;
    if (count <= 0) return count < 0 ? count : -EIO;
    at += count;
  }
  return 0;
}
