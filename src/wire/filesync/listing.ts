/**
 * Listings of directories, packed: what two ends compare, and what the one needs to know of its own files besides.
 *
 * Always holds: entries are sorted by the bytes of their names, so that equal directories have equal compared parts and
 * with them equal digests. A listing holds a directory's entries, or one entry with the empty name: the root itself.
 *
 * | size | field |
 * | ---- | ----- |
 * | 4    | count of entries |
 * | 4    | bytes of all compared parts |
 * |      | compared parts: attributes (40, size 0 of all but files and symlinks), extendedHash (4), linkHash (4), 1 when it has other names too (1), length of the name (1), name |
 * |      | own parts: change time's seconds (8), its nanoseconds (4), links (4), inode (8), device (8) |
 */
import { checksum } from "../../base/checksum.ts";
import { digest128 } from "../../base/digest.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { FileAttributes } from "../../ports/mod.ts";
import {
  comparedSize,
  OWN_ATTRIBUTES_BYTES,
  readOwnAttributes,
  readWireAttributes,
  WIRE_ATTRIBUTES_BYTES,
  type WireAttributes,
  writeOwnAttributes,
  writeWireAttributes,
} from "./attributes.ts";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { FRAME_BYTES_MAX, REPLY_FRAMES_MAX } from "./constants.ts";
import { isWireName } from "./wire-path.ts";

export interface ListingEntry {
  /** One character for each byte. */
  readonly name: string;
  readonly attributes: FileAttributes;
  /** `linkHash` of a symlink's target, else 0. */
  readonly linkHash: number;
}

export interface FinishedListing {
  readonly listing: Uint8Array;
  /** Of names and compared parts. */
  readonly digest: Uint8Array;
  readonly entries: number;
  /** Sizes of the files, added up. */
  readonly fileBytes: number;
  /** Names of directories, sorted by bytes. */
  readonly directories: string[];
}

/** A reply of one directory has to hold it: some two and a half million entries at the least. */
export const LISTING_BYTES_MAX = (REPLY_FRAMES_MAX - 1) * FRAME_BYTES_MAX;

const HEAD_BYTES = 8;
/** Of a compared part, without its name. */
const COMPARED_BYTES = WIRE_ATTRIBUTES_BYTES + 4 + 4 + 1 + 1;

/** What of a symlink's target is compared; never 0. */
export function linkHash(target: string): number {
  return checksum(Buffer.from(target, "latin1")) || 1;
}

export class ListingWriter {
  #entries: ListingEntry[] = [];
  #nameBytes = 0;
  #isSorted = true;

  /** In any order; a name once. */
  add(entry: ListingEntry): void {
    const last = this.#entries.at(-1);
    if (last !== undefined && last.name >= entry.name) this.#isSorted = false;
    this.#entries.push(entry);
    this.#nameBytes += entry.name.length;
  }

  /** The writer is empty again. TOO_LARGE; INVALID_ARGUMENT for a name that cannot be one. */
  finish(): FinishedListing {
    const entries = this.#entries;
    const comparedBytes = COMPARED_BYTES * entries.length + this.#nameBytes;
    const length = HEAD_BYTES + comparedBytes + OWN_ATTRIBUTES_BYTES * entries.length;
    if (!this.#isSorted) entries.sort(byName);
    this.#entries = [];
    this.#nameBytes = 0;
    this.#isSorted = true;
    if (length > LISTING_BYTES_MAX)
      throw new RopewalkError(
        "TOO_LARGE",
        `A directory has ${entries.length} entries, more than a listing holds.`,
      );

    const writer = new ByteWriter(length);
    writer.u32(entries.length);
    writer.u32(comparedBytes);
    let fileBytes = 0;
    const directories: string[] = [];
    for (const { name, attributes, linkHash } of entries) {
      if (!isWireName(name) && !(name === "" && entries.length === 1))
        throw new RopewalkError("INVALID_ARGUMENT", "A listing has a name that no file can have.");
      const { kind } = attributes;
      if (kind === "file") fileBytes += attributes.sizeBytes;
      else if (kind === "directory" && name !== "") directories.push(name);
      writeWireAttributes(writer, attributes, comparedSize(attributes));
      writer.u32(attributes.extendedHash);
      writer.u32(linkHash);
      writer.u8(Number(hasOtherNames(attributes)));
      writer.text8(name);
    }
    for (const entry of entries) writeOwnAttributes(writer, entry.attributes);
    const listing = writer.written();
    const digest = digest128(listing.subarray(HEAD_BYTES, HEAD_BYTES + comparedBytes));
    return {
      listing,
      digest,
      entries: entries.length,
      fileBytes: Math.min(fileBytes, Number.MAX_SAFE_INTEGER),
      directories,
    };
  }
}

/** PROTOCOL_ERROR */
export function readListing(bytes: Uint8Array): ListingEntry[] {
  const reader = new ByteReader("a listing", bytes);
  const count = reader.u32();
  const comparedBytes = reader.u32();
  if (reader.left !== comparedBytes + count * OWN_ATTRIBUTES_BYTES)
    throw reader.wrong("its length is not that of its parts");
  const own = new ByteReader("a listing", bytes.subarray(HEAD_BYTES + comparedBytes));
  const compared = new ByteReader("a listing", bytes.subarray(HEAD_BYTES, HEAD_BYTES + comparedBytes));
  const entries: ListingEntry[] = [];
  let before: string | undefined;
  for (let left = count; left > 0; left--) {
    const attributes = readWireAttributes(compared);
    if (attributes.sizeBytes !== comparedSize(attributes))
      throw compared.wrong(`a ${attributes.kind} has a size`);
    const extendedHash = compared.u32();
    const linkHash = compared.u32();
    if (linkHash !== 0 && attributes.kind !== "symlink")
      throw compared.wrong(`a ${attributes.kind} has the hash of a symbolic link's target`);
    const hasOthers = compared.flag();
    const name = readName(compared, attributes, count);
    if (before !== undefined && name <= before) throw compared.wrong("names are not in order");
    before = name;
    const whole = readOwnAttributes(own, attributes, extendedHash);
    if (hasOthers !== hasOtherNames(whole))
      throw compared.wrong("a name's other names are not those of its links");
    entries.push({ name, attributes: whole, linkHash });
  }
  compared.end();
  return entries;
}

/** Of what is no directory: hard links, which a digest has to tell from copies. */
export function hasOtherNames({ kind, links }: FileAttributes): boolean {
  return kind !== "directory" && links > 1;
}

/** Whether the two ends agree in everything that is compared but other names, which may lie outside of the tree. */
export function isSameCompared(one: ListingEntry, other: ListingEntry): boolean {
  const a = one.attributes;
  const b = other.attributes;
  return (
    one.name === other.name &&
    one.linkHash === other.linkHash &&
    a.kind === b.kind &&
    a.mode === b.mode &&
    a.userId === b.userId &&
    a.groupId === b.groupId &&
    a.modifiedSeconds === b.modifiedSeconds &&
    a.modifiedNanoseconds === b.modifiedNanoseconds &&
    a.deviceNode === b.deviceNode &&
    a.extendedHash === b.extendedHash &&
    comparedSize(a) === comparedSize(b)
  );
}

function byName(one: ListingEntry, other: ListingEntry): number {
  return one.name < other.name ? -1 : one.name > other.name ? 1 : 0;
}

/** The empty name is the root's own, which stands alone. */
function readName(reader: ByteReader, attributes: WireAttributes, count: number): string {
  const isRoot = count === 1 && attributes.kind === "directory";
  return isRoot ? reader.nameOrRoot() : reader.name();
}
