/**
 * Finds out what a target's file system and user can do, by trying it on a temporary of its own in the root.
 *
 * Always holds: nothing is left behind. A root that cannot be written to is told as an error at once: READ_ONLY,
 * PERMISSION_DENIED, NO_SPACE, IO_ERROR.
 */
import { constants } from "node:fs";
import type { FileAttributes } from "../../ports/file-tree.ts";
import { isSameTime, NAME_BYTES_MAX, type TargetAbilities, TIME_STEPS } from "../../wire/filesync/mod.ts";
import { extendedCalls } from "./extended-calls.ts";
import { lastStatus } from "./last-status.ts";
import { type OpenedRoot, rootAttributes, withRoot } from "./opened-root.ts";
import { fileSystemStatus } from "./target-calls.ts";
import { temporaryName } from "./target-job.ts";
import { copied, type Handed } from "./thread-jobs.ts";
import { treeCalls } from "./tree-calls.ts";
import { treeError } from "./tree-error.ts";

const { O_WRONLY, O_CREAT, O_EXCL } = constants;
const VALUE = new Uint8Array([1]);
/** Version 2, owner, group and others: an ACL that says nothing but a mode. */
const MINIMAL_ACL = new Uint8Array([
  2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 0, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
]);

const PERMISSIONS = 0o777;
const SPECIAL_BITS = 0o7000;
/** One of them has each permission, the other one has not. */
const PROBED_MODES = [0o640, 0o137] as const;
/** Not root's. */
const PROBED_OWNER = 1;
/** No step but that of a nanosecond keeps it. */
const PROBED_TIME = { modifiedSeconds: 1_000_000_001, modifiedNanoseconds: 123_456_789 };

export interface ProbeJob {
  /** Real path, latin1. */
  readonly path: string;
  readonly session: string;
}

export interface ProbedRoot {
  readonly attributes: FileAttributes;
  readonly abilities: TargetAbilities;
}

/** A handler of a target's thread. NOT_FOUND, INVALID_ARGUMENT, READ_ONLY, PERMISSION_DENIED, NO_SPACE, IO_ERROR */
export function probeRoot({ path, session }: ProbeJob): Handed<ProbedRoot> {
  const attributes = rootAttributes(path);
  return withRoot({ path, device: attributes.device, inode: attributes.inode }, (root) =>
    copied({ attributes, abilities: probe(root, path, temporaryName(session, "probe.a")) }),
  );
}

function probe(root: OpenedRoot, path: string, name: string): TargetAbilities {
  const status = fileSystemStatus(root.fd);
  const fd = treeCalls.openat(root.fd, name, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  if (fd < 0)
    throw treeError({
      call: "open of a new file",
      path,
      cause: fd,
      codes: {
        EROFS: "READ_ONLY",
        ENOSPC: "NO_SPACE",
        EDQUOT: "NO_SPACE",
      },
    });
  const isRoot = process.geteuid?.() === 0;
  try {
    return {
      extendedAttributes: extendedCalls.fsetxattr(fd, "user.ropewalk", VALUE) === 0,
      accessControlLists: extendedCalls.fsetxattr(fd, "system.posix_acl_access", MINIMAL_ACL) === 0,
      deviceNodes: isRoot,
      ownership: isRoot && keepsOwner(fd),
      modeBits: probeMode(fd),
      timeStepNanoseconds: probeTime(fd),
      foldsCase: treeCalls.statat(root.fd, name.slice(0, -1) + name.slice(-1).toUpperCase()) === 0,
      nameBytesMax:
        typeof status === "number" ? NAME_BYTES_MAX : Math.min(status.nameBytesMax, NAME_BYTES_MAX),
      freeBytes: Math.max(0, treeCalls.freeBytes(root.fd)),
    };
  } finally {
    treeCalls.close(fd);
    treeCalls.unlinkat(root.fd, name);
  }
}

/** A file system without owners refuses others than its own, or says that it took them. */
function keepsOwner(fd: number): boolean {
  if (treeCalls.fchown(fd, PROBED_OWNER, PROBED_OWNER) < 0 || treeCalls.fstat(fd) < 0) return false;
  const { userId, groupId } = lastStatus.attributes(0);
  return userId === PROBED_OWNER && groupId === PROBED_OWNER;
}

/** A file system without modes may well say that it set one. */
function probeMode(fd: number): number {
  let kept = PERMISSIONS;
  for (const mode of PROBED_MODES) {
    treeCalls.fchmod(fd, mode);
    kept &= treeCalls.fstat(fd) < 0 ? 0 : ~(lastStatus.attributes(0).mode ^ mode);
  }
  return kept === PERMISSIONS ? kept | SPECIAL_BITS : kept;
}

/** Where times cannot be set at all they are compared as they are. */
function probeTime(fd: number): number {
  const { modifiedSeconds, modifiedNanoseconds } = PROBED_TIME;
  treeCalls.futimens(fd, modifiedSeconds, modifiedNanoseconds);
  if (treeCalls.fstat(fd) < 0) return 1;
  const found = lastStatus.attributes(0);
  return TIME_STEPS.find((step) => isSameTime(PROBED_TIME, found, step)) ?? 1;
}
