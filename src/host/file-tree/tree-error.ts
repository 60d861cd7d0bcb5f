/**
 * What the kernel says of a path of a tree, as a catalogued error: the path as people read it.
 * Always holds: what a user may not do is PERMISSION_DENIED wherever it happens; each call names the rest of its codes.
 */
import type { RopewalkError } from "../../base/errors.ts";
import type { TreePath } from "../../ports/mod.ts";
import { diskError, type FailedCall } from "../disk-error.ts";

export interface FailedTreeCall extends FailedCall {
  /** latin1. */
  readonly path: TreePath;
}

export function treeError({ call, path, cause, codes }: FailedTreeCall): RopewalkError {
  return diskError({
    call,
    path: Buffer.from(path, "latin1").toString(),
    cause,
    codes: { EACCES: "PERMISSION_DENIED", EPERM: "PERMISSION_DENIED", ...codes },
  });
}
