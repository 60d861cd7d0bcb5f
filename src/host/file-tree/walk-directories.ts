/**
 * Watches directories and names those in them: all that is needed to watch a whole tree.
 *
 * Always holds: a watch is set before its directory is read, so that what comes afterwards has an event. Nothing else is
 * looked at than names and, where the file system does not tell it with them, their kinds.
 */
import type { FileFailure, TreePath, WalkedDirectory, WalkResult } from "../../ports/mod.ts";
import { DirectoryEntries } from "./directory-entries.ts";
import { errnoName } from "./errno-names.ts";
import { openDirectory } from "./open-directory.ts";
import { type RootReference, withRoot } from "./opened-root.ts";
import { PassedNames } from "./passed-names.ts";
import { copied, type Handed } from "./thread-jobs.ts";
import { treeCalls } from "./tree-calls.ts";
import { watchDirectory } from "./watch-groups.ts";

export interface WalkJob {
  readonly root: RootReference;
  readonly paths: readonly TreePath[];
  readonly patterns: readonly string[];
  /** Descriptors of inotify, by group. */
  readonly groups: readonly number[];
}

/** Of this thread: jobs run one after the other. */
const entries = new DirectoryEntries();

/** The handler of a tree thread. */
export function walkDirectories({ root, paths, patterns, groups }: WalkJob): Handed<WalkResult> {
  return withRoot(root, ({ fd: rootFd }) => {
    const directories: WalkedDirectory[] = [];
    const failures: FileFailure[] = [];
    const passing = new PassedNames(patterns);
    for (const path of paths) {
      passing.in(path);
      const walked = walkDirectory(rootFd, path, { groups, passing });
      if ("errno" in walked) failures.push(walked);
      else directories.push(walked);
    }
    return copied({ directories, failures });
  });
}

function walkDirectory(
  root: number,
  path: TreePath,
  { groups, passing }: { readonly groups: readonly number[]; readonly passing: PassedNames },
): WalkedDirectory | FileFailure {
  const fd = openDirectory(root, path);
  if (fd < 0) return { path, errno: errnoName(fd), doing: "open" };
  try {
    const watch = watchDirectory(groups, path, fd);
    if (watch < 0) return { path, errno: errnoName(watch), doing: "inotify_add_watch" };
    const read = entries.readNames(fd);
    if (read < 0) return { path, errno: errnoName(read), doing: "getdents64" };
    const directories = entries.subdirectories(fd, passing);
    if (typeof directories === "number") return { path, errno: errnoName(directories), doing: "statx" };
    return { path, watch, directories };
  } finally {
    treeCalls.close(fd);
  }
}
