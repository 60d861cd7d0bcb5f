/**
 * Makes a symbolic link or a special file with its attributes, as a temporary beside its name.
 *
 * Always holds: as of a file (`stageFile`) nothing is seen of it until it is renamed, and what could not be made leaves
 * nothing behind.
 */
import type { Operation, WireAttributes } from "../../wire/filesync/mod.ts";
import { makeAttributes, NamedHolder } from "./apply-attributes.ts";
import { EINVAL } from "./errno-names.ts";
import type { StageFailure } from "./stage-file.ts";
import type { TargetDirectory } from "./target-directories.ts";
import type { LostKinds } from "./target-job.ts";
import { treeCalls } from "./tree-calls.ts";

export type NodeOperation = Operation & { readonly op: "symlink" | "special" };

const KIND_BITS = { fifo: 0o010000, socket: 0o140000, character: 0o020000, block: 0o060000 } as const;
const OWNER_ONLY = 0o600;

export interface StageNodeRequest {
  readonly directory: TargetDirectory;
  readonly temporary: string;
  readonly operation: NodeOperation;
}

export function stageNode(request: StageNodeRequest, lost: LostKinds): StageFailure | undefined {
  const { directory, temporary, operation } = request;
  const made =
    operation.op === "symlink"
      ? treeCalls.symlinkat(operation.target, directory.fd, temporary)
      : makeSpecial(directory.fd, temporary, operation.attributes);
  if (made < 0) {
    // A file system that has no such thing may leave an empty file.
    treeCalls.unlinkat(directory.fd, temporary);
    return { result: made, doing: operation.op === "symlink" ? "symlink" : "mknod", isStaged: false };
  }
  const before = { hasExtended: operation.op === "special" && directory.handedAclOn() };
  const failed = makeAttributes(new NamedHolder(directory.fd, temporary), before, operation, lost);
  return failed === undefined ? undefined : { ...failed, isStaged: true };
}

function makeSpecial(directory: number, name: string, attributes: WireAttributes): number {
  const { kind, deviceNode } = attributes;
  if (kind === "file" || kind === "directory" || kind === "symlink") return -EINVAL;
  return treeCalls.mknodat(directory, name, KIND_BITS[kind] | OWNER_ONLY, deviceNode);
}
