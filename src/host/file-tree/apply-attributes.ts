/**
 * Gives a file the attributes and extended attributes that the source's has; only what differs costs a call.
 *
 * Always holds: owner, then mode (a change of owner takes setuid away), then extended attributes (ACLs and
 * capabilities, which both take away), then the time. What cannot be kept is told once and left out; without the owner
 * setuid and setgid are left out too. Attributes that the system itself keeps on its files (security labels) stay.
 */
import { readExtended, type WireAttributes } from "../../wire/filesync/mod.ts";
import { EACCES, ENODATA, EOPNOTSUPP, EPERM } from "./errno-names.ts";
import { extendedCalls } from "./extended-calls.ts";
import type { LostKinds } from "./target-job.ts";
import { treeCalls } from "./tree-calls.ts";

const SAME_ID = 0xffffffff;
const SET_IDS = 0o6000;

/** A file, by descriptor or by name, as these calls see it. Results are 0 or a negated errno. */
export interface AttributeHolder {
  chown(userId: number, groupId: number): number;
  chmod(mode: number): number;
  setTime(seconds: number, nanoseconds: number): number;
  list(): readonly string[] | number;
  get(name: string): Uint8Array | number;
  set(name: string, value: Uint8Array): number;
  remove(name: string): number;
}

export class OpenHolder implements AttributeHolder {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  chown(userId: number, groupId: number): number {
    return treeCalls.fchown(this.#fd, userId, groupId);
  }
  chmod(mode: number): number {
    return treeCalls.fchmod(this.#fd, mode);
  }
  setTime(seconds: number, nanoseconds: number): number {
    return treeCalls.futimens(this.#fd, seconds, nanoseconds);
  }
  list(): readonly string[] | number {
    return extendedCalls.flistxattr(this.#fd);
  }
  get(name: string): Uint8Array | number {
    return extendedCalls.fgetxattr(this.#fd, name);
  }
  set(name: string, value: Uint8Array): number {
    return extendedCalls.fsetxattr(this.#fd, name, value);
  }
  remove(name: string): number {
    return extendedCalls.fremovexattr(this.#fd, name);
  }
}

/** Of what cannot be opened: symbolic links, special files. The name is never followed. */
export class NamedHolder implements AttributeHolder {
  readonly #directory: number;
  readonly #name: string;

  constructor(directory: number, name: string) {
    this.#directory = directory;
    this.#name = name;
  }

  chown(userId: number, groupId: number): number {
    return treeCalls.fchownat(this.#directory, this.#name, userId, groupId);
  }
  chmod(mode: number): number {
    return treeCalls.fchmodat(this.#directory, this.#name, mode);
  }
  setTime(seconds: number, nanoseconds: number): number {
    return treeCalls.utimensat(this.#directory, this.#name, seconds, nanoseconds);
  }
  list(): readonly string[] | number {
    return extendedCalls.llistxattr(this.#directory, this.#name);
  }
  get(name: string): Uint8Array | number {
    return extendedCalls.lgetxattr(this.#directory, this.#name, name);
  }
  set(name: string, value: Uint8Array): number {
    return extendedCalls.lsetxattr(this.#directory, this.#name, name, value);
  }
  remove(name: string): number {
    return extendedCalls.lremovexattr(this.#directory, this.#name, name);
  }
}

/** What is known of the file before; undefined fields differ. `hasExtended`: there may be some, the source's or others. */
export interface AttributesBefore {
  readonly userId?: number | undefined;
  readonly groupId?: number | undefined;
  readonly mode?: number | undefined;
  readonly modifiedSeconds?: number;
  readonly modifiedNanoseconds?: number;
  readonly hasExtended: boolean;
}

export interface WantedAttributes {
  readonly attributes: WireAttributes;
  readonly extended: Uint8Array;
}

/** What was tried when it failed. */
export interface FailedStep {
  readonly result: number;
  readonly doing: string;
}

const isRefused = (result: number): boolean =>
  result === -EPERM || result === -EACCES || result === -EOPNOTSUPP;

export function makeAttributes(
  holder: AttributeHolder,
  before: AttributesBefore,
  wanted: WantedAttributes,
  lost: LostKinds,
): FailedStep | undefined {
  const { attributes, extended } = wanted;
  const isOwnerOther = before.userId !== attributes.userId || before.groupId !== attributes.groupId;
  const owned = isOwnerOther ? makeOwner(holder, before, attributes, lost) : true;
  if (typeof owned !== "boolean") return owned;
  const mode = owned ? attributes.mode : attributes.mode & ~SET_IDS;
  if (attributes.kind !== "symlink" && (before.mode !== mode || isOwnerOther)) {
    const result = holder.chmod(mode);
    if (result < 0 && !isRefused(result)) return { result, doing: "chmod" };
    if (result < 0) lost.add("mode", result, "chmod");
  }
  const failed =
    before.hasExtended || extended.length > 0
      ? makeExtended(holder, before.hasExtended, extended, lost)
      : undefined;
  const { modifiedSeconds: seconds, modifiedNanoseconds: nanoseconds } = attributes;
  if (before.modifiedSeconds !== seconds || before.modifiedNanoseconds !== nanoseconds) {
    const result = holder.setTime(seconds, nanoseconds);
    if (result < 0 && !isRefused(result)) return { result, doing: "utimensat" };
    if (result < 0) lost.add("time", result, "utimensat");
  }
  return failed;
}

/** Whether owner and group are now the source's. */
function makeOwner(
  holder: AttributeHolder,
  before: AttributesBefore,
  wanted: WireAttributes,
  lost: LostKinds,
): boolean | FailedStep {
  const result = holder.chown(wanted.userId, wanted.groupId);
  if (result === 0) return true;
  if (!isRefused(result)) return { result, doing: "chown" };
  lost.add("owner", result, "chown");
  // A group that the user is in can still be given.
  if (before.groupId !== wanted.groupId) holder.chown(SAME_ID, wanted.groupId);
  return false;
}

/** Those that the file system or the user's rights keep or refuse together. */
function kindOf(name: string): string {
  return name.startsWith("system.posix_acl_") ? "ACLs" : `${name.slice(0, name.indexOf("."))}.*`;
}

/** Others belong to the system of the target: labels, signatures. */
function mayRemove(name: string): boolean {
  return (
    name.startsWith("user.") ||
    name.startsWith("trusted.") ||
    name.startsWith("system.posix_acl_") ||
    name === "security.capability"
  );
}

function makeExtended(
  holder: AttributeHolder,
  hasSome: boolean,
  packed: Uint8Array,
  lost: LostKinds,
): FailedStep | undefined {
  const there = hasSome ? holder.list() : [];
  if (typeof there === "number" && there !== -EOPNOTSUPP) return { result: there, doing: "listxattr" };
  const names = new Set(typeof there === "number" ? [] : there);
  let failed: FailedStep | undefined;
  for (const { name, value } of readExtended(packed)) {
    const kind = kindOf(name);
    const hadIt = names.delete(name);
    if (hadIt && isSame(holder.get(name), value)) continue;
    const result = holder.set(name, value);
    if (isRefused(result)) lost.add(kind, result, `set ${kind}`);
    else if (result < 0) failed ??= { result, doing: `set ${name}` };
  }
  for (const name of names) {
    if (!mayRemove(name)) continue;
    const result = holder.remove(name);
    if (result < 0 && result !== -ENODATA && !isRefused(result))
      failed ??= { result, doing: `remove ${name}` };
  }
  return failed;
}

function isSame(one: Uint8Array | number, other: Uint8Array): boolean {
  return typeof one !== "number" && Buffer.compare(one, other) === 0;
}
