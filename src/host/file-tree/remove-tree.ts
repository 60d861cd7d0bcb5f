/**
 * Removes what a name stands for, directories with all that is in them, by descriptors.
 *
 * Always holds: no symbolic link is followed and no other file system is entered: what is mounted below stays (EXDEV).
 * What cannot be removed stops nothing else; the first errno is the result.
 */
import { EISDIR, ENOENT, ENOTEMPTY, EPERM, EXDEV } from "./errno-names.ts";
import { lastStatus } from "./last-status.ts";
import { sessionOf } from "./target-job.ts";
import { EntryType, OPEN_DIRECTORY, treeCalls } from "./tree-calls.ts";

/** Unlinks a name, or removes an empty directory. */
export function removeName(directory: number, name: string): number {
  const result = treeCalls.unlinkat(directory, name);
  // POSIX says EPERM for a directory, Linux EISDIR.
  if (result !== -EISDIR && result !== -EPERM) return result;
  const removed = treeCalls.rmdirat(directory, name);
  return removed === 0 || result === -EISDIR ? removed : result;
}

export function removeTree(directory: number, name: string): number {
  const result = removeName(directory, name);
  if (result !== -ENOTEMPTY) return result;
  if (treeCalls.fstat(directory) < 0) return -ENOTEMPTY;
  return removeFull(directory, name, lastStatus.device);
}

function removeFull(directory: number, name: string, device: number): number {
  const fd = treeCalls.openat(directory, name, OPEN_DIRECTORY);
  if (fd < 0) return fd;
  let failed = treeCalls.fstat(fd);
  try {
    if (failed < 0) return failed;
    if (lastStatus.device !== device) return -EXDEV;
    const inside = treeCalls.readNames(fd);
    if (typeof inside === "number") return inside;
    for (const [index, each] of inside.names.entries()) {
      const isDirectory = inside.types[index] === EntryType.directory;
      let result = isDirectory ? treeCalls.rmdirat(fd, each) : removeName(fd, each);
      if (result === -ENOTEMPTY) result = removeFull(fd, each, device);
      if (result < 0 && result !== -ENOENT && failed === 0) failed = result;
    }
  } finally {
    treeCalls.close(fd);
  }
  const removed = treeCalls.rmdirat(directory, name);
  return failed < 0 && removed < 0 ? failed : removed;
}

/** Removes temporaries of sessions that are not among `live`, from an open directory. How many. */
export function removeLeftovers(fd: number, live: readonly string[]): number {
  const inside = treeCalls.readNames(fd);
  return typeof inside === "number" ? 0 : removeLeftoverNames(fd, inside.names, live);
}

/** The same where the names are known. */
export function removeLeftoverNames(fd: number, names: readonly string[], live: readonly string[]): number {
  const leftovers = names.filter((name) => {
    const session = sessionOf(name);
    return session !== undefined && !live.includes(session);
  });
  if (leftovers.length === 0) return 0;
  return keepingTime(fd, () => leftovers.filter((name) => removeName(fd, name) === 0).length);
}

/**
 * Removes own names of an open directory and leaves its modification time: it may have been compared already, or set to that
 * of the source.
 */
export function keepingTime<Result>(fd: number, remove: () => Result): Result {
  const known = treeCalls.fstat(fd);
  const { modifiedSeconds, modifiedNanoseconds } = lastStatus;
  const result = remove();
  if (known === 0) treeCalls.futimens(fd, modifiedSeconds, modifiedNanoseconds);
  return result;
}
