/**
 * Changes the content of a file in its place: cuts it, or writes a range of it.
 *
 * Always holds: only a regular file is opened to be written, and opening waits for nobody. EINVAL where the name is
 * something else's, and what the calls say.
 */
import { constants } from "node:fs";
import type { Operation } from "../../wire/filesync/mod.ts";
import type { FailedStep } from "./apply-attributes.ts";
import { EINVAL } from "./errno-names.ts";
import { lastStatus } from "./last-status.ts";
import { writeFully } from "./stage-file.ts";
import { treeCalls } from "./tree-calls.ts";

export type ContentOperation = Operation & { readonly op: "truncate" | "writeRange" };

const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;

export function changeContent(
  directory: number,
  name: string,
  operation: ContentOperation,
): FailedStep | undefined {
  const found = treeCalls.statat(directory, name);
  if (found < 0) return { result: found, doing: "open" };
  if (lastStatus.kind !== "file") return { result: -EINVAL, doing: "open" };
  const fd = treeCalls.openat(directory, name, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return { result: fd, doing: "open" };
  const result =
    operation.op === "truncate"
      ? treeCalls.ftruncate(fd, operation.sizeBytes)
      : writeFully(fd, operation.bytes, operation.offset);
  treeCalls.close(fd);
  return result < 0 ? { result, doing: operation.op === "truncate" ? "truncate" : "write" } : undefined;
}
