/**
 * Which directories synchronizations may have: no target of theirs overlaps its source, another target or the daemon's
 * own data, and none leads back to where it came from.
 *
 * Always holds: paths are compared without the symbolic links on the way to them, as far as they exist.
 * Errors: INVALID_ARGUMENT, SOURCE_MISSING, TARGET_IN_USE.
 */
import { RopewalkError } from "../base/errors.ts";
import { quoted } from "../base/object-name.ts";

/** What stands at a path, and how it is called without symbolic links; where the end is missing, as far as it goes. */
export interface LookedAt {
  readonly path: string;
  readonly kind: "directory" | "absent" | "other";
}

export type LookAt = (path: string) => Promise<LookedAt>;

/** A directory that is written to, and for whom. */
export interface WrittenRoot {
  /** For sentences: `the synchronization "home"`. */
  readonly owner: string;
  /** Where what is written comes from; undefined: from elsewhere. */
  readonly source: string | undefined;
  readonly path: string;
}

/** The source's path without symbolic links. */
export async function lookAtSource(lookAt: LookAt, source: string): Promise<string> {
  const { path, kind } = await lookAt(source);
  if (kind === "directory") return path;
  const reason = kind === "absent" ? "does not exist" : "is no directory";
  throw new RopewalkError("SOURCE_MISSING", `The source ${quoted(source)} ${reason}; name a directory.`);
}

/** The path without symbolic links of a directory to be written to, which may be absent. */
export async function lookAtTarget(lookAt: LookAt, target: string): Promise<LookedAt> {
  const found = await lookAt(target);
  if (found.kind !== "other") return found;
  throw new RopewalkError(
    "INVALID_ARGUMENT",
    `The target ${quoted(target)} is no directory; name one, or what does not exist yet.`,
  );
}

/** The path without symbolic links of what is known already; as it was given where it cannot be looked at now. */
export async function knownPath(lookAt: LookAt, path: string): Promise<string> {
  return lookAt(path).then(
    (found) => found.path,
    () => path,
  );
}

export function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

export function overlaps(one: string, other: string): boolean {
  return isInside(one, other) || isInside(other, one);
}

/** A target beside its own source. */
export function checkApart(source: string, target: string): void {
  if (!overlaps(source, target)) return;
  const reason =
    source === target
      ? "are one directory"
      : isInside(target, source)
        ? "overlap: the target lies in the source"
        : "overlap: the source lies in the target";
  throw new RopewalkError(
    "INVALID_ARGUMENT",
    `The source ${quoted(source)} and the target ${quoted(target)} ${reason}; choose directories apart from each other.`,
  );
}

/** A target beside what is written to already, and the daemon's data. */
export function checkFree(
  target: string,
  { written, data }: { written: readonly WrittenRoot[]; data: string },
): void {
  if (overlaps(target, data))
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `The target ${quoted(target)} and the daemon's data directory ${quoted(data)} overlap; choose another directory.`,
    );
  const taken = written.find(({ path }) => overlaps(path, target));
  if (taken === undefined) return;
  const where = taken.path === target ? "there" : `to ${quoted(taken.path)}`;
  throw new RopewalkError(
    "TARGET_IN_USE",
    `The target ${quoted(target)} is taken: ${taken.owner} writes ${where}; each needs a directory of its own.`,
  );
}

/** Whether what is written to `target` would come back to `source` by other synchronizations. */
export function checkNoCircle(
  { source, target }: { source: string; target: string },
  written: readonly WrittenRoot[],
): void {
  const left = new Set(written);
  const reached = [target];
  for (const from of reached)
    for (const next of left) {
      if (next.source === undefined || !overlaps(next.source, from)) continue;
      left.delete(next);
      reached.push(next.path);
      if (!overlaps(next.path, source)) continue;
      throw new RopewalkError(
        "INVALID_ARGUMENT",
        `What is written to ${quoted(target)} would come back to ${quoted(source)} by ${next.owner}; replicate each directory one way only.`,
      );
    }
}
