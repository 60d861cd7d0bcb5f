/**
 * Walks over, lists and stats many paths at the same time: they are cut into parts, and each part is a job of a thread.
 *
 * Always holds: the results are in the order of the paths; all jobs have ended when a call ends, also when one failed, so
 * that none works on with what its caller closes.
 */
import type { FileAttributes, ScanResult, TreePath, WalkResult } from "../../ports/mod.ts";
import { AttributesTable } from "./attributes-table.ts";
import { type ScannedColumns, scanResultOf } from "./scan-directories.ts";

/** Fewer paths than this for each thread are not worth another one. */
const SCAN_PATHS_MIN = 4;
const STAT_PATHS_MIN = 256;

/** Parts of nearly the same length, at most `threads`, each of at least `lengthMin` but for a single one. */
function partsOf<T>(
  all: readonly T[],
  { threads, lengthMin }: { threads: number; lengthMin: number },
): T[][] {
  const count = Math.max(1, Math.min(threads, Math.floor(all.length / lengthMin)));
  const length = Math.ceil(all.length / count);
  return Array.from({ length: count }, (_, part) => all.slice(part * length, (part + 1) * length));
}

/** Results of jobs that all have ended, so that none works on after a failure was told. */
export async function allEnded<T>(jobs: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(jobs);
  return Promise.all(jobs);
}

/** Errors: those of `scan`, which lists one part. */
export async function scanParts(
  paths: readonly TreePath[],
  threads: number,
  scan: (paths: TreePath[]) => Promise<ScannedColumns>,
): Promise<ScanResult> {
  const parts = partsOf(paths, { threads, lengthMin: SCAN_PATHS_MIN });
  return scanResultOf(await allEnded(parts.map(scan)));
}

/** Errors: those of `walk`, which walks over one part. */
export async function walkParts(
  paths: readonly TreePath[],
  threads: number,
  walk: (paths: TreePath[]) => Promise<WalkResult>,
): Promise<WalkResult> {
  const parts = await allEnded(partsOf(paths, { threads, lengthMin: SCAN_PATHS_MIN }).map(walk));
  return {
    directories: parts.flatMap(({ directories }) => directories),
    failures: parts.flatMap(({ failures }) => failures),
  };
}

/** Errors: those of `stat`, which gives the rows of an attributes table for one part. */
export async function statParts(
  paths: readonly TreePath[],
  threads: number,
  stat: (paths: TreePath[]) => Promise<ConstructorParameters<typeof AttributesTable>[0]>,
): Promise<(FileAttributes | undefined)[]> {
  const rows: (FileAttributes | undefined)[] = [];
  for (const numbers of await allEnded(partsOf(paths, { threads, lengthMin: STAT_PATHS_MIN }).map(stat))) {
    const table = new AttributesTable(numbers);
    for (let row = 0; row < table.length; row += 1) rows.push(table.row(row));
  }
  return rows;
}
