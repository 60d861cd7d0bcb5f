/** A thread of a source tree: does the jobs of `source-tree.ts`, one after the other. */
import { hashBlocks } from "./hash-blocks.ts";
import { attributesOfFile, dataOfFile, openFile } from "./open-file.ts";
import { rootAttributes } from "./opened-root.ts";
import { packPaths } from "./pack-paths.ts";
import { scanDirectories } from "./scan-directories.ts";
import { statPaths } from "./stat-paths.ts";
import { copied, serveJobs } from "./thread-jobs.ts";
import { walkDirectories } from "./walk-directories.ts";

const handlers = {
  root: (path: string) => copied(rootAttributes(path)),
  walk: walkDirectories,
  scan: scanDirectories,
  stat: statPaths,
  pack: packPaths,
  open: openFile,
  now: attributesOfFile,
  data: dataOfFile,
  hash: hashBlocks,
} as const;

export type SourceJobs = typeof handlers;

serveJobs(handlers);
