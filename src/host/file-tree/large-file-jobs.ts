/**
 * The calls on a large file that is written beside its name, on a target's thread.
 *
 * Always holds: the temporary is in the directory of the name, opened once; so is the file that stands there when the
 * writing begins, from which equal parts are kept. Holes stay holes. The name is given after the content is durable.
 */
import { constants } from "node:fs";
import { RopewalkError } from "../../base/errors.ts";
import type { FileFailure, HashRequest, TreePath } from "../../ports/file-tree.ts";
import { readOperation } from "../../wire/filesync/mod.ts";
import { makeAttributes, OpenHolder } from "./apply-attributes.ts";
import { EEXIST, EINTR, EISDIR, ENOENT, ENOTUNIQ, EPERM, errnoName } from "./errno-names.ts";
import { dataRange } from "./file-content.ts";
import { hashBlocks } from "./hash-blocks.ts";
import { lastStatus } from "./last-status.ts";
import { withRoot } from "./opened-root.ts";
import { ofMadeName } from "./refused-name.ts";
import { keepingTime, removeTree } from "./remove-tree.ts";
import { nameOf, parentOf, TargetDirectories } from "./target-directories.ts";
import { isOwnPath, type LostKind, LostKinds, type TargetReference, temporaryName } from "./target-job.ts";
import { copied, type Handed } from "./thread-jobs.ts";
import { moveToTrash } from "./trash.ts";
import { OPEN_DIRECTORY, OPEN_FILE, treeCalls } from "./tree-calls.ts";
import { treeError } from "./tree-error.ts";

const { O_RDWR, O_CREAT, O_EXCL } = constants;
const COPY_BYTES_MAX = 2 ** 30;

/** Descriptors; of what stood there -1 when that was no file. */
export interface LargeFile {
  readonly directory: number;
  readonly fd: number;
  readonly old: number;
  readonly temporary: string;
}

export interface BeginJob {
  readonly target: TargetReference;
  readonly path: TreePath;
  readonly number: number;
}

function fail(call: string, path: TreePath, cause: number): RopewalkError {
  return treeError({
    call,
    path,
    cause,
    codes: {
      ENOENT: "NOT_FOUND",
      ENOTDIR: "NOT_FOUND",
      ENOSPC: "NO_SPACE",
      EDQUOT: "NO_SPACE",
    },
  });
}

/** A regular file for reading; negated errno. */
function openOld(directory: number, name: string): number {
  const found = treeCalls.statat(directory, name);
  if (found < 0) return found;
  return lastStatus.kind === "file" ? treeCalls.openat(directory, name, OPEN_FILE) : -ENOENT;
}

/** A handler: the descriptors belong to the one who asked. */
export function beginFile({ target, path, number }: BeginJob): Handed<LargeFile> {
  return withRoot(target.root, (root) => {
    const directories = new TargetDirectories(root);
    try {
      const parent = isOwnPath(path) ? -EPERM : directories.openOrMake(parentOf(path));
      if (typeof parent === "number") throw fail("open of the directory", path, parent);
      // Another descriptor than the one that is closed with the job.
      const directory = treeCalls.openBeneath(parent.fd, "", OPEN_DIRECTORY);
      if (directory < 0) throw fail("open of the directory", path, directory);
      const temporary = temporaryName(target.session, `large.${number}`);
      const fd = treeCalls.openat(directory, temporary, O_RDWR | O_CREAT | O_EXCL, 0o600);
      if (fd < 0) {
        treeCalls.close(directory);
        throw fail("open", path, fd);
      }
      return copied({ directory, fd, old: Math.max(-1, openOld(directory, nameOf(path))), temporary });
    } finally {
      directories.close();
    }
  });
}

export interface KeepJob {
  readonly fd: number;
  readonly old: number;
  readonly offset: number;
  readonly length: number;
}

/** A handler: blocks are shared where the file system can, else copied without passing through the process. */
export function keepRange({ fd, old, offset, length }: KeepJob): Handed<undefined> {
  if (old < 0) throw new RopewalkError("NOT_FOUND", "There is no file to keep content of; send all of it.");
  const end = offset + length;
  for (let at = offset; at < end; ) {
    const data = dataRange(old, at, end);
    // Only a hole follows, or the file system does not tell.
    if (data === undefined) break;
    if (typeof data === "number") throw fail("lseek", "", data);
    copyRange(fd, old, data.offset, Math.min(data.end, end));
    at = data.end;
  }
  return copied(undefined);
}

function copyRange(fd: number, old: number, from: number, end: number): void {
  if (treeCalls.cloneRange(old, from, fd, from, end - from) === 0) return;
  for (let at = from; at < end; ) {
    const count = treeCalls.copyRange(old, at, fd, at, Math.min(COPY_BYTES_MAX, end - at));
    if (count === -EINTR) continue;
    if (count < 0) throw fail("copy_file_range", "", count);
    if (count === 0) return;
    at += count;
  }
}

/** A handler. What fails here fails the sync of the commit, too. */
export function startWriteback(fd: number): Handed<undefined> {
  treeCalls.startWriteback(fd);
  return copied(undefined);
}

export interface CommitJob extends LargeFile {
  readonly target: TargetReference;
  readonly path: TreePath;
  readonly packed: Uint8Array;
  readonly nowMs: number;
}

export interface CommittedFile {
  readonly failure: FileFailure | undefined;
  /** Whether it has its name. */
  readonly isPlaced: boolean;
  readonly lost: readonly LostKind[];
}

/** A handler. The descriptors stay open; of a failure the temporary is removed by `endFile`. PROTOCOL_ERROR */
export function commitFile(job: CommitJob): Handed<CommittedFile> {
  const { fd, path, target } = job;
  const operation = readOperation(job.packed);
  if (operation.op !== "file" || operation.path !== path)
    throw new RopewalkError("PROTOCOL_ERROR", "A file is committed by an operation of another path or kind.");
  const lost = new LostKinds();
  lost.at(0, path);
  let isPlaced = false;
  const failed = (result: number, doing: string): Handed<CommittedFile> =>
    copied({ failure: { path, errno: errnoName(result), doing }, isPlaced, lost: lost.all });
  const sized = treeCalls.ftruncate(fd, operation.attributes.sizeBytes);
  if (sized < 0) return failed(sized, "truncate");
  const step = makeAttributes(new OpenHolder(fd), { hasExtended: true }, operation, lost);
  const synced = target.durability === "batch" ? treeCalls.fdatasync(fd) : 0;
  if (synced < 0) return failed(synced, "fdatasync");
  if (target.abilities.foldsCase && isSpeltOtherwise(job))
    return failed(-ENOTUNIQ, "use a name that stands there in another spelling");
  const placed = place(job);
  if (placed < 0) return failed(placed, "rename");
  isPlaced = true;
  return step === undefined
    ? copied({ failure: undefined, isPlaced, lost: lost.all })
    : failed(step.result, step.doing);
}

function isSpeltOtherwise({ target, path }: CommitJob): boolean {
  return withRoot(target.root, (root) => {
    const directories = new TargetDirectories(root);
    try {
      return directories.otherSpelling(path) !== undefined;
    } finally {
      directories.close();
    }
  });
}

function place(job: CommitJob): number {
  const name = nameOf(job.path);
  const from = { directory: job.directory, name: job.temporary };
  const put = () =>
    ofMadeName(treeCalls.renameat2(job.directory, job.temporary, job.directory, name), job.directory, from);
  const result = put();
  if (result !== -EISDIR) return result;
  const { deletes, root: reference } = job.target;
  if (deletes === "keep") return -EEXIST;
  if (deletes === "mirror") {
    const removed = removeTree(job.directory, name);
    return removed < 0 ? removed : put();
  }
  return withRoot(reference, (root) => {
    const directories = new TargetDirectories(root);
    try {
      const moved = moveToTrash(directories, { directory: job.directory, name, path: job.path }, job.nowMs);
      return moved < 0 ? moved : put();
    } finally {
      directories.close();
    }
  });
}

/** A handler: closes the descriptors, and removes the temporary unless it has its name. Closing a large one takes long. */
export function endFile(file: LargeFile & { readonly isPlaced: boolean }): Handed<undefined> {
  const { directory, temporary } = file;
  if (!file.isPlaced) keepingTime(directory, () => treeCalls.unlinkat(directory, temporary));
  treeCalls.close(file.fd);
  if (file.old >= 0) treeCalls.close(file.old);
  treeCalls.close(directory);
  return copied(undefined);
}

export interface HashPathJob {
  readonly target: TargetReference;
  readonly path: TreePath;
  readonly request: HashRequest;
}

/** A handler: of what stands there now; nothing of what is no file. */
export function hashPath({ target, path, request }: HashPathJob): Handed<Uint8Array<ArrayBuffer>> {
  return withRoot(target.root, (root) => {
    const located = root.locate(path);
    const fd = located < 0 ? located : openOld(root.parent, root.name);
    if (fd < 0) return copied(new Uint8Array(0));
    try {
      return hashBlocks({ ...request, fd });
    } finally {
      treeCalls.close(fd);
    }
  });
}
