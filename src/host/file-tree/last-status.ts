/**
 * What statx says of a file: of the last one of this thread, or of many in memory one behind the other.
 *
 * | byte | is (struct statx, the same on every architecture) |
 * | --- | --- |
 * | 16 | links, user id, group id (u32 each), mode (u16) |
 * | 32 | inode, size, blocks of 512 (u64 each) |
 * | 64 | atime: seconds (s64), nanoseconds (u32) |
 * | 96, 112 | ctime, mtime: seconds (s64), nanoseconds (u32) |
 * | 128 | device of a node: major, minor; device of the file system: major, minor (u32 each) |
 *
 * Always holds: the numbers of `lastStatus` are those of the last statx that did not fail.
 */
import type { FileAttributes, FileKind } from "../../ports/mod.ts";
import { addressOf, kernelMemory, WORD } from "./kernel-memory.ts";

/** What the kernel writes. */
export const STATUS_BYTES = 256;
/** Up to the device: what there is to know. */
export const STATUS_KNOWN_BYTES = 144;
const WORD_BYTES = 4;

const KINDS: readonly (FileKind | undefined)[] = [
  undefined,
  "fifo",
  "character",
  undefined,
  "directory",
  undefined,
  "block",
  undefined,
  "file",
  undefined,
  "symlink",
  undefined,
  "socket",
];

/** 53 bits of a u64 that tells things apart: what is above is mixed in. */
function identity(low: number, high: number): number {
  return ((high & 0x1fffff) ^ (high >>> 21)) * WORD + low;
}

export class FileStatus {
  readonly #words: Uint32Array;
  readonly #signed: Int32Array;
  #at = 0;

  constructor(memory: ArrayBufferLike) {
    this.#words = new Uint32Array(memory);
    this.#signed = new Int32Array(memory);
  }

  /** Where in the memory it is, in bytes; a multiple of 8. */
  set offset(offsetBytes: number) {
    this.#at = offsetBytes / WORD_BYTES;
  }

  get kind(): FileKind {
    return KINDS[(this.#words[this.#at + 7]! >>> 12) & 15] ?? "file";
  }
  get mode(): number {
    return this.#words[this.#at + 7]! & 0o7777;
  }
  get links(): number {
    return this.#words[this.#at + 4]!;
  }
  get inode(): number {
    return identity(this.#words[this.#at + 8]!, this.#words[this.#at + 9]!);
  }
  get device(): number {
    return this.#words[this.#at + 34]! * WORD + this.#words[this.#at + 35]!;
  }
  get sizeBytes(): number {
    return this.#words[this.#at + 11]! * WORD + this.#words[this.#at + 10]!;
  }
  /** What the file takes on disk. */
  get allocatedBytes(): number {
    return (this.#words[this.#at + 13]! * WORD + this.#words[this.#at + 12]!) * 512;
  }
  get changedSeconds(): number {
    return this.#signed[this.#at + 25]! * WORD + this.#words[this.#at + 24]!;
  }
  get changedNanoseconds(): number {
    return this.#words[this.#at + 26]!;
  }
  get modifiedSeconds(): number {
    return this.#signed[this.#at + 29]! * WORD + this.#words[this.#at + 28]!;
  }
  get modifiedNanoseconds(): number {
    return this.#words[this.#at + 30]!;
  }

  get #deviceNode(): number {
    return this.#words[this.#at + 32]! * WORD + this.#words[this.#at + 33]!;
  }

  /** All of it; `extendedHash` is what the caller found. */
  attributes(extendedHash: number): FileAttributes {
    const kind = this.kind;
    return {
      kind,
      mode: this.mode,
      userId: this.#words[this.#at + 5]!,
      groupId: this.#words[this.#at + 6]!,
      sizeBytes: kind === "file" || kind === "symlink" ? this.sizeBytes : 0,
      modifiedSeconds: this.modifiedSeconds,
      modifiedNanoseconds: this.modifiedNanoseconds,
      changedSeconds: this.changedSeconds,
      changedNanoseconds: this.changedNanoseconds,
      links: kind === "directory" ? 1 : this.links,
      inode: this.inode,
      device: this.device,
      deviceNode: kind === "character" || kind === "block" ? this.#deviceNode : 0,
      extendedHash,
    };
  }

  /** Reading a file changes its atime, which says nothing of what it is. */
  forgetAccess(): void {
    this.#words[this.#at + 16] = 0;
    this.#words[this.#at + 17] = 0;
    this.#words[this.#at + 18] = 0;
  }
}

const memory = kernelMemory(STATUS_BYTES);
export const statusAddress = addressOf(memory);
export const lastStatus = new FileStatus(memory.buffer);
