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

export interface ListingSummary {
  /** Of names and compared parts. */
  readonly digest: Uint8Array;
  readonly entries: number;
  /** Sizes of the files, added up. */
  readonly fileBytes: number;
  /** Names of directories, sorted by bytes. */
  readonly directories: string[];
}

export interface FinishedListing extends ListingSummary {
  readonly listing: Uint8Array;
}

/** A reply of one directory has to hold it: some two and a half million entries at the least. */
export const LISTING_BYTES_MAX = (REPLY_FRAMES_MAX - 1) * FRAME_BYTES_MAX;

const HEAD_BYTES = 8;
/** Of a writer's memory at first, and what it keeps of it for the next listing. */
const ROOM_BYTES = 32 * 1024;
const KEPT_BYTES_MAX = 1024 * 1024;

/** What of a symlink's target is compared; never 0. */
export function linkHash(target: string): number {
  return checksum(Buffer.from(target, "latin1")) || 1;
}

/** Keeps bytes, not entries: as objects that live together they would make the heap of each thread grow. */
export class ListingWriter {
  #compared = new ByteWriter(ROOM_BYTES);
  #own = new ByteWriter(ROOM_BYTES);
  #ordered = new ByteWriter(ROOM_BYTES);
  #names: string[] = [];
  /** Where the compared part of each ends. */
  #ends: number[] = [];
  #directories: string[] = [];
  #fileBytes = 0;
  #isSorted = true;

  /** In any order; a name once. */
  add({ name, attributes, linkHash }: ListingEntry): void {
    const before = this.#names.at(-1);
    if (before !== undefined && before >= name) this.#isSorted = false;
    const { kind } = attributes;
    if (kind === "file") this.#fileBytes += attributes.sizeBytes;
    else if (kind === "directory" && name !== "") this.#directories.push(name);
    const compared = this.#compared;
    writeWireAttributes(compared, attributes, comparedSize(attributes));
    compared.u32(attributes.extendedHash);
    compared.u32(linkHash);
    compared.u8(Number(hasOtherNames(attributes)));
    compared.text8(name);
    writeOwnAttributes(this.#own, attributes);
    this.#names.push(name);
    this.#ends.push(compared.position);
  }

  /** The writer is empty again. TOO_LARGE; INVALID_ARGUMENT for a name that cannot be one. */
  finish(): FinishedListing {
    try {
      const order = this.#order();
      const compared = this.#comparedIn(order);
      const own = this.#own.written();
      const writer = new ByteWriter(HEAD_BYTES + compared.length + own.length);
      writer.u32(this.#names.length);
      writer.u32(compared.length);
      writer.copy(compared);
      if (order === undefined) writer.copy(own);
      else
        for (const entry of order)
          writer.copy(own.subarray(entry * OWN_ATTRIBUTES_BYTES, (entry + 1) * OWN_ATTRIBUTES_BYTES));
      return { ...this.#summary(compared), listing: writer.written() };
    } finally {
      this.clear();
    }
  }

  /** The same where nobody needs the listing itself. */
  finishSummary(): ListingSummary {
    try {
      return this.#summary(this.#comparedIn(this.#order()));
    } finally {
      this.clear();
    }
  }

  /** Forgets what was added. */
  clear(): void {
    this.#compared = emptied(this.#compared);
    this.#own = emptied(this.#own);
    this.#ordered = emptied(this.#ordered);
    this.#names = [];
    this.#ends = [];
    this.#directories = [];
    this.#fileBytes = 0;
    this.#isSorted = true;
  }

  /** The entries by their names; undefined where they came so. */
  #order(): number[] | undefined {
    const names = this.#names;
    const length = HEAD_BYTES + this.#compared.position + this.#own.position;
    if (length > LISTING_BYTES_MAX)
      throw new RopewalkError(
        "TOO_LARGE",
        `A directory has ${names.length} entries, more than a listing holds.`,
      );
    for (const name of names)
      if (!isWireName(name) && !(name === "" && names.length === 1))
        throw new RopewalkError("INVALID_ARGUMENT", "A listing has a name that no file can have.");
    if (this.#isSorted) return undefined;
    return Array.from(names.keys()).sort((one, other) => (names[one]! < names[other]! ? -1 : 1));
  }

  #comparedIn(order: readonly number[] | undefined): Uint8Array {
    const compared = this.#compared.written();
    if (order === undefined) return compared;
    for (const entry of order) {
      const start = entry === 0 ? 0 : this.#ends[entry - 1];
      this.#ordered.copy(compared.subarray(start, this.#ends[entry]));
    }
    return this.#ordered.written();
  }

  #summary(compared: Uint8Array): ListingSummary {
    return {
      digest: digest128(compared),
      entries: this.#names.length,
      fileBytes: Math.min(this.#fileBytes, Number.MAX_SAFE_INTEGER),
      directories: this.#directories.sort(),
    };
  }
}

/** To be used again, but for one with the room of a very long directory. */
function emptied(writer: ByteWriter): ByteWriter {
  if (writer.position > KEPT_BYTES_MAX) return new ByteWriter(ROOM_BYTES);
  writer.position = 0;
  return writer;
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

/** The empty name is the root's own, which stands alone. */
function readName(reader: ByteReader, attributes: WireAttributes, count: number): string {
  const isRoot = count === 1 && attributes.kind === "directory";
  return isRoot ? reader.nameOrRoot() : reader.name();
}
