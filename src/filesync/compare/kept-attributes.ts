/**
 * Which attributes count when two trees are compared: those that the target can keep.
 * Always holds: what the target cannot keep is not found different again and again.
 */
import type { ListingEntry } from "../../wire/filesync/mod.ts";

export interface KeptAttributes {
  /** Owners can be set. */
  readonly ownership: boolean;
  readonly extendedAttributes: boolean;
  readonly accessControlLists: boolean;
}

export const ALL_KEPT: KeptAttributes = {
  ownership: true,
  extendedAttributes: true,
  accessControlLists: true,
};

export function isSameAsKept(
  { ownership, extendedAttributes, accessControlLists }: KeptAttributes,
  source: ListingEntry,
  target: ListingEntry,
): boolean {
  const [one, other] = [source.attributes, target.attributes];
  if (one.kind !== other.kind || source.linkHash !== target.linkHash) return false;
  if (one.kind !== "symlink" && one.mode !== other.mode) return false;
  if (one.kind === "file" && one.sizeBytes !== other.sizeBytes) return false;
  if (one.modifiedSeconds !== other.modifiedSeconds) return false;
  if (one.modifiedNanoseconds !== other.modifiedNanoseconds || one.deviceNode !== other.deviceNode)
    return false;
  if (ownership && (one.userId !== other.userId || one.groupId !== other.groupId)) return false;
  // The hash is over all of them, so it says nothing where some kinds cannot be kept.
  return !extendedAttributes || !accessControlLists || one.extendedHash === other.extendedHash;
}
