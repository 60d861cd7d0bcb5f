/**
 * Tells a name that a file system cannot have from one whose directory is gone: some say ENOENT of both.
 * Always holds: what is no ENOENT is given back as it is; `lastStatus` is another one afterwards.
 */
import { EINVAL, ENOENT } from "./errno-names.ts";
import { lastStatus } from "./last-status.ts";
import { treeCalls } from "./tree-calls.ts";

/**
 * EINVAL in place of ENOENT where a name could not be made although its directory is there, and `from`, the name that was to
 * become it.
 */
export function ofMadeName(
  result: number,
  directory: number,
  from?: { directory: number; name: string },
): number {
  if (result !== -ENOENT) return result;
  if (treeCalls.fstat(directory) < 0 || lastStatus.links === 0) return result;
  if (from !== undefined && treeCalls.statat(from.directory, from.name) < 0) return result;
  return -EINVAL;
}
