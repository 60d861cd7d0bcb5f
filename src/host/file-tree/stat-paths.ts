/**
 * Attributes of paths.
 *
 * Always holds: a path of which nothing is known (no permission, a failed disk) is never said to be absent: the whole
 * call fails then, because absence is what lets a target remove something.
 */
import type { TreePath } from "../../ports/mod.ts";
import { AttributesTable } from "./attributes-table.ts";
import { ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR } from "./errno-names.ts";
import { lastStatus } from "./last-status.ts";
import { type OpenedRoot, type RootReference, withRoot } from "./opened-root.ts";
import { extendedAt, extendedHashOf } from "./read-extended.ts";
import type { Handed } from "./thread-jobs.ts";
import { treeCalls } from "./tree-calls.ts";
import { treeError } from "./tree-error.ts";

export interface StatJob {
  readonly root: RootReference;
  readonly paths: readonly TreePath[];
}

/** No such name, or what leads there is no directory (a link is none). */
export function isAbsent(result: number): boolean {
  return result === -ENOENT || result === -ENOTDIR || result === -ELOOP || result === -ENAMETOOLONG;
}

function statPath(root: OpenedRoot, path: TreePath) {
  let result = root.locate(path);
  if (result === 0) result = treeCalls.statat(root.parent, root.name);
  if (result === 0) {
    const hash = extendedHashOf(extendedAt(root.parent, root.name));
    return lastStatus.attributes(hash);
  }
  if (isAbsent(result)) return undefined;
  throw treeError({
    call: "statx",
    path,
    cause: result,
  });
}

/** The handler of a tree thread: a row for each path. PERMISSION_DENIED, IO_ERROR */
export function statPaths(job: StatJob): Handed<Float64Array<ArrayBuffer>> {
  return withRoot(job.root, (root) => {
    const { numbers } = AttributesTable.ofRows(job.paths.map((path) => statPath(root, path)));
    return { result: numbers, transfer: [numbers.buffer] };
  });
}
