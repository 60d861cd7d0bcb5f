/** A thread of a target tree: does the jobs of `target-tree.ts`, one after the other. */
import { applyBundle } from "./apply-bundle.ts";
import { GroupSync } from "./group-sync.ts";
import { beginFile, commitFile, endFile, hashPath, keepRange, startWriteback } from "./large-file-jobs.ts";
import { rootAttributes, withRoot } from "./opened-root.ts";
import { scanDirectories } from "./scan-directories.ts";
import { stageBundle } from "./stage-bundle.ts";
import { statPaths } from "./stat-paths.ts";
import { probeRoot } from "./target-abilities.ts";
import type { TargetReference } from "./target-job.ts";
import { copied, type Handed, serveJobs } from "./thread-jobs.ts";
import { expireTrash } from "./trash.ts";
import { treeCalls } from "./tree-calls.ts";

/** 0, or the negated errno. */
function syncTree(target: TargetReference): Handed<number> {
  return withRoot(target.root, (root) => copied(new GroupSync(target.sync).wait(root.fd)));
}

const handlers = {
  root: (path: string) => copied(rootAttributes(path)),
  probe: probeRoot,
  apply: applyBundle,
  stage: stageBundle,
  scan: scanDirectories,
  stat: statPaths,
  begin: beginFile,
  keep: keepRange,
  writeback: startWriteback,
  commit: commitFile,
  end: endFile,
  hash: hashPath,
  sync: syncTree,
  free: (target: TargetReference) => withRoot(target.root, (root) => copied(treeCalls.freeBytes(root.fd))),
  expire: expireTrash,
} as const;

export type TargetJobs = typeof handlers;

serveJobs(handlers);
