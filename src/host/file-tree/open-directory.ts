/** Opens a directory of a tree: one way for all who read or fill it. */
import type { TreePath } from "../../ports/mod.ts";
import { ELOOP, ENOTDIR } from "./errno-names.ts";
import { OPEN_DIRECTORY, treeCalls } from "./tree-calls.ts";

/** Below `root`, through no link; a link in its place is no directory (ENOTDIR). The descriptor, or the negated errno. */
export function openDirectory(root: number, path: TreePath): number {
  const fd = treeCalls.openBeneath(root, path, OPEN_DIRECTORY);
  return fd === -ELOOP ? -ENOTDIR : fd;
}
