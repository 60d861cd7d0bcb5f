/** What an errno of a single file means for the work. */
import { RopewalkError } from "../../base/errors.ts";
import type { FileFailure } from "../../ports/mod.ts";
import { shownPath } from "../tree-path.ts";

const GONE = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);
/** The target is otherwise than it was thought to be: looking again helps. */
const OTHERWISE = new Set(["ENOENT", "ENOTDIR", "EEXIST", "ENOTEMPTY", "EISDIR", "ELOOP", "ESTALE"]);

/** Nothing is there (any more). */
export function isGone({ errno }: FileFailure): boolean {
  return GONE.has(errno);
}

export function needsRepair({ errno }: FileFailure): boolean {
  return OTHERWISE.has(errno);
}

/** Of attributes: the file there has another size or time, as it was written by another name, or in the meantime. */
export function isOfOtherContent({ errno }: FileFailure): boolean {
  return errno === "ESTALE";
}

/** What fails one file and will fail the next one too: the target as a whole cannot be used for now. */
export function troubleOfTarget({ errno, path, doing }: FileFailure): RopewalkError | undefined {
  // Some file systems say EIO of nodes that they cannot have. A disk that fails says it of the next file, too.
  if (doing === "mknod" && errno === "EIO") return undefined;
  const what = `${doing} of ${shownPath(path)} at the target: ${errno}`;
  switch (errno) {
    case "ENOSPC":
    case "EDQUOT":
      return new RopewalkError(
        "NO_SPACE",
        `The target is full (${what}); make room, and it goes on by itself.`,
      );
    case "EROFS":
      return new RopewalkError(
        "READ_ONLY",
        `The target is read-only (${what}); make it writable, and it goes on by itself.`,
      );
    case "EIO":
    case "ENODEV":
    case "ENXIO":
      return new RopewalkError(
        "IO_ERROR",
        `The target's disk fails (${what}); look at its machine's log. It is tried again.`,
      );
    default:
      return undefined;
  }
}

/** The source's file is not there any more, or cannot be read: no trouble of the connection. */
export function isOfSource(error: unknown): boolean {
  return error instanceof RopewalkError && (error.code === "NOT_FOUND" || error.code === "PERMISSION_DENIED");
}
