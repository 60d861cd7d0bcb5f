/**
 * Which attributes count when two trees are compared: those that the target can keep.
 * Always holds: what the target cannot keep is not found different again and again.
 */
import type { FileAttributes } from "../../ports/mod.ts";
import {
  isSameContent,
  isSameTime,
  type ListingEntry,
  type TargetAbilities,
} from "../../wire/filesync/mod.ts";

export type KeptAttributes = Pick<
  TargetAbilities,
  "ownership" | "extendedAttributes" | "accessControlLists" | "modeBits" | "timeStepNanoseconds"
>;

export const ALL_KEPT: KeptAttributes = {
  ownership: true,
  extendedAttributes: true,
  accessControlLists: true,
  modeBits: 0o7777,
  timeStepNanoseconds: 1,
};

/** What a target drops without a word; undefined: nothing. */
export function describeDropped({ modeBits, timeStepNanoseconds }: KeptAttributes): string | undefined {
  const dropped: string[] = [];
  if (modeBits !== ALL_KEPT.modeBits) dropped.push("some or all permissions");
  if (timeStepNanoseconds !== 1) dropped.push(`times but for steps of ${timeStepNanoseconds / 1e9} s`);
  if (dropped.length === 0) return undefined;
  return `Its file system does not keep ${dropped.join(" and ")}; what differs by no more is taken for the same.`;
}

export class KeptComparison {
  /** Until the target has said what it keeps: everything. */
  kept: KeptAttributes = ALL_KEPT;

  /** Entries of listings, with their names and links. */
  isSame(source: ListingEntry, target: ListingEntry): boolean {
    return source.linkHash === target.linkHash && this.isAlike(source.attributes, target.attributes);
  }

  isAlike(source: FileAttributes, target: FileAttributes): boolean {
    const { ownership, extendedAttributes, accessControlLists, modeBits, timeStepNanoseconds } = this.kept;
    if (source.kind !== target.kind) return false;
    if (source.kind !== "symlink" && ((source.mode ^ target.mode) & modeBits) !== 0) return false;
    if (source.kind === "file" && source.sizeBytes !== target.sizeBytes) return false;
    if (!isSameTime(source, target, timeStepNanoseconds) || source.deviceNode !== target.deviceNode)
      return false;
    if (ownership && (source.userId !== target.userId || source.groupId !== target.groupId)) return false;
    // The hash is over all of them, so it says nothing where some kinds cannot be kept.
    return !extendedAttributes || !accessControlLists || source.extendedHash === target.extendedHash;
  }

  /** As far as attributes tell (F9). */
  isSameContent(source: FileAttributes, target: FileAttributes): boolean {
    return isSameContent(source, target, this.kept.timeStepNanoseconds);
  }
}
