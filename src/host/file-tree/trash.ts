/**
 * The trash of a target: ROOT/.ropewalk-trash/YYYY-MM-DDTHH-MM-SS.mmm/PATH, for what the policy `trash` removes.
 *
 * Always holds: a name that is there is never replaced; what was moved at one time has a directory of its own. Whoever
 * looks at the trash sees times in UTC.
 */
import type { TreePath } from "../../ports/file-tree.ts";
import { TRASH_NAME } from "../../wire/filesync/mod.ts";
import { EEXIST, ENOENT, ENOTDIR } from "./errno-names.ts";
import { type RootReference, withRoot } from "./opened-root.ts";
import { removeTree } from "./remove-tree.ts";
import { nameOf, parentOf, TargetDirectories } from "./target-directories.ts";
import { copied, type Handed } from "./thread-jobs.ts";
import { treeCalls } from "./tree-calls.ts";

const STAMP = /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d\.\d{3})$/;
/** Times of one path at one moment that are tried. */
const STAMPS_MAX = 1000;

export function stampOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, -1).replaceAll(":", "-");
}

/** Milliseconds; undefined for a name that is no stamp. */
export function timeOfStamp(stamp: string): number | undefined {
  const parts = STAMP.exec(stamp);
  const time = parts === null ? Number.NaN : Date.parse(`${parts[1]}T${parts[2]}:${parts[3]}:${parts[4]}Z`);
  return Number.isNaN(time) ? undefined : time;
}

/** Moves what `name` in `directory` stands for into the trash. Negated errno. */
export function moveToTrash(
  directories: TargetDirectories,
  from: { readonly directory: number; readonly name: string; readonly path: TreePath },
  nowMs: number,
): number {
  let result = -EEXIST;
  for (let later = 0; later < STAMPS_MAX && (result === -EEXIST || result === -ENOTDIR); later += 1) {
    const place = directories.openOrMake(
      [TRASH_NAME, stampOf(nowMs + later), parentOf(from.path)].filter((part) => part !== "").join("/"),
    );
    result =
      typeof place === "number"
        ? place
        : treeCalls.renameat2(from.directory, from.name, place.fd, nameOf(from.path), "noReplace");
  }
  return result;
}

export interface ExpireJob {
  readonly root: RootReference;
  /** What was moved before is removed. */
  readonly beforeMs: number;
}

/** A handler: how many times of removal were forgotten. */
export function expireTrash(job: ExpireJob): Handed<number> {
  return withRoot(job.root, (root) => {
    const directories = new TargetDirectories(root);
    try {
      const trash = directories.open(TRASH_NAME);
      if (typeof trash === "number") return copied(0);
      const inside = treeCalls.readNames(trash.fd);
      let expired = 0;
      for (const name of typeof inside === "number" ? [] : inside.names) {
        const time = timeOfStamp(name);
        if (time === undefined || time >= job.beforeMs) continue;
        const result = removeTree(trash.fd, name);
        if (result === 0 || result === -ENOENT) expired += 1;
      }
      return copied(expired);
    } finally {
      directories.close();
    }
  });
}
