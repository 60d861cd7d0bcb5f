/**
 * Gives what stands under a name the attributes that the source's has there.
 *
 * Always holds: they are set only on what is of their kind, and on a file only when it has the content that they belong
 * to. The name is never followed. ENOTDIR, EEXIST, ESTALE, and what the calls say.
 */
import { isSameContent, type TargetAbilities } from "../../wire/filesync/mod.ts";
import {
  type FailedStep,
  makeAttributes,
  NamedHolder,
  OpenHolder,
  type WantedAttributes,
} from "./apply-attributes.ts";
import { EEXIST, ENOTDIR, ESTALE } from "./errno-names.ts";
import { lastStatus } from "./last-status.ts";
import type { LostKinds } from "./target-job.ts";
import { OPEN_DIRECTORY, OPEN_FILE, treeCalls } from "./tree-calls.ts";

export function setAttributes(
  directory: number,
  name: string,
  wanted: WantedAttributes,
  { lost, abilities }: { readonly lost: LostKinds; readonly abilities: TargetAbilities },
): FailedStep | undefined {
  const found = treeCalls.statat(directory, name);
  if (found < 0) return { result: found, doing: "statx" };
  const before = { ...lastStatus.attributes(0), hasExtended: true };
  const { kind } = wanted.attributes;
  if (before.kind !== kind)
    return { result: kind === "directory" ? -ENOTDIR : -EEXIST, doing: `find a ${kind}` };
  // A size and a time that are another content's would say of this one that it is the same.
  if (kind === "file" && !isSameContent(before, wanted.attributes, abilities.timeStepNanoseconds))
    return { result: -ESTALE, doing: "find the content that the attributes belong to" };
  const isOpened = kind === "file" || kind === "directory";
  const fd = isOpened ? treeCalls.openat(directory, name, kind === "file" ? OPEN_FILE : OPEN_DIRECTORY) : -1;
  // By name where it cannot be opened: a link, a node, a file that its owner may not read.
  if (fd < 0) return makeAttributes(new NamedHolder(directory, name), before, wanted, lost);
  try {
    return makeAttributes(new OpenHolder(fd), before, wanted, lost);
  } finally {
    treeCalls.close(fd);
  }
}
