/**
 * Groups of watches: each is an inotify instance of its own, so that an overflow loses the events of one part of the
 * tree only. A directory's group comes from the top-level name of its path.
 *
 * Always holds: the number of a watch is the group * WATCH_GROUP_SPAN + the kernel's number, which it gives once.
 */
import { readFileSync } from "node:fs";
import { checksum } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import { type TreePath, WATCH_GROUP_SPAN } from "../../ports/mod.ts";
import { diskError } from "../disk-error.ts";
import { EMFILE, ENFILE, ENOSPC } from "./errno-names.ts";
import { treeCalls } from "./tree-calls.ts";
import { watchCalls } from "./watch-calls.ts";

function limit(name: string): string {
  try {
    return readFileSync(`/proc/sys/fs/inotify/${name}`, "latin1").trim();
  } catch {
    return "unknown";
  }
}

/** An instance for each group. WATCH_LIMIT; none is left open then. */
export function createGroups(count: number): number[] {
  const groups: number[] = [];
  for (let group = 0; group < count; group += 1) {
    const fd = watchCalls.createInotify();
    if (fd >= 0) {
      groups.push(fd);
      continue;
    }
    for (const open of groups) treeCalls.close(open);
    if (fd !== -EMFILE && fd !== -ENFILE)
      throw diskError({ call: "inotify_init1", path: "inotify", cause: fd });
    throw new RopewalkError(
      "WATCH_LIMIT",
      `No further inotify instance: this needs ${count}, and fs.inotify.max_user_instances is ${limit("max_user_instances")}; raise it (sysctl), or the limit of open files.`,
    );
  }
  return groups;
}

/** An eventfd that belongs to the groups; without it they are closed. IO_ERROR */
export function createBell(groups: readonly number[]): number {
  const bell = watchCalls.createEventfd();
  if (bell >= 0) return bell;
  for (const open of groups) treeCalls.close(open);
  throw diskError({ call: "eventfd", path: "inotify", cause: bell });
}

export function groupOf(path: TreePath, groups: number): number {
  const slash = path.indexOf("/");
  const top = slash < 0 ? path : path.slice(0, slash);
  return top === "" ? 0 : checksum(Buffer.from(top, "latin1")) % groups;
}

/** Watches the directory that is open; the watch's number, or the negated errno. WATCH_LIMIT */
export function watchDirectory(groups: readonly number[], path: TreePath, directory: number): number {
  const group = groupOf(path, groups.length);
  const watch = watchCalls.addWatch(groups[group]!, directory);
  if (watch === -ENOSPC)
    throw new RopewalkError(
      "WATCH_LIMIT",
      `No further directory can be watched: fs.inotify.max_user_watches is ${limit("max_user_watches")}; raise it (sysctl) above the number of directories.`,
    );
  return watch < 0 ? watch : group * WATCH_GROUP_SPAN + watch;
}

export function unwatch(groups: readonly number[], watch: number): void {
  const fd = groups[Math.floor(watch / WATCH_GROUP_SPAN)];
  if (fd !== undefined) watchCalls.removeWatch(fd, watch % WATCH_GROUP_SPAN);
}
