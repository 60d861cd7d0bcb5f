/**
 * Extended attributes and ACLs of a file, read and packed.
 *
 * Always holds: what can be listed is read; only `trusted.*` is left out where it may not be read, since only root sees
 * it at all. Anything else that cannot be read is the file's failure, never a silent loss.
 */
import { RopewalkError } from "../../base/errors.ts";
import { type ExtendedAttribute, extendedHash, packExtended } from "../../wire/filesync/mod.ts";
import { E2BIG, EACCES, ENODATA, EOPNOTSUPP, EPERM } from "./errno-names.ts";
import { extendedCalls } from "./extended-calls.ts";

const NONE = new Uint8Array(0);

function read(
  names: readonly string[] | number,
  get: (name: string) => Uint8Array | number,
): Uint8Array | number {
  if (typeof names === "number") return names === -EOPNOTSUPP ? NONE : names;
  if (names.length === 0) return NONE;
  const attributes: ExtendedAttribute[] = [];
  for (const name of names) {
    const value = get(name);
    if (typeof value !== "number") attributes.push({ name, value });
    else if (value === -ENODATA) continue;
    else if (name.startsWith("trusted.") && (value === -EPERM || value === -EACCES)) continue;
    else return value;
  }
  try {
    return packExtended(attributes);
  } catch (error) {
    if (error instanceof RopewalkError) return -E2BIG;
    throw error;
  }
}

/** Of an open file: packed, or the negated errno. */
export function extendedOf(fd: number): Uint8Array | number {
  return read(extendedCalls.flistxattr(fd), (name) => extendedCalls.fgetxattr(fd, name));
}

/** Of a name, which is not followed. */
export function extendedAt(directory: number, name: string): Uint8Array | number {
  return read(extendedCalls.llistxattr(directory, name), (extended) =>
    extendedCalls.lgetxattr(directory, name, extended),
  );
}

/** What is compared of them. Where they cannot be read: 1, so that the file is looked at and its failure is seen. */
export function extendedHashOf(packed: Uint8Array | number): number {
  return typeof packed === "number" ? 1 : extendedHash(packed);
}

/** Whether any change of them gives the file a new change time: the kernel makes some of these up, as its policy says. */
export function hasTimedChanges(packed: Uint8Array | number): boolean {
  if (typeof packed === "number") return false;
  return (
    packed.length === 0 || !Buffer.from(packed.buffer, packed.byteOffset, packed.length).includes("security.")
  );
}
