/**
 * What the last statx of this thread said.
 *
 * | byte | is (struct statx, the same on every architecture) |
 * | --- | --- |
 * | 16 | links, user id, group id (u32 each), mode (u16) |
 * | 32 | inode, size, blocks of 512 (u64 each) |
 * | 96, 112 | ctime, mtime: seconds (s64), nanoseconds (u32) |
 * | 128 | device of a node: major, minor; device of the file system: major, minor (u32 each) |
 *
 * Always holds: the numbers are those of the last statx that did not fail.
 */
import type { FileAttributes, FileKind } from "../../ports/mod.ts";
import { addressOf, kernelMemory, WORD } from "./kernel-memory.ts";

const memory = kernelMemory(256);
const words = new Uint32Array(memory.buffer);
const signed = new Int32Array(memory.buffer);
export const statusAddress = addressOf(memory);

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

export const lastStatus = {
  get kind(): FileKind {
    return KINDS[(words[7]! >>> 12) & 15] ?? "file";
  },
  get mode(): number {
    return words[7]! & 0o7777;
  },
  get links(): number {
    return words[4]!;
  },
  get inode(): number {
    return identity(words[8]!, words[9]!);
  },
  get device(): number {
    return words[34]! * WORD + words[35]!;
  },
  get sizeBytes(): number {
    return words[11]! * WORD + words[10]!;
  },
  /** What the file takes on disk. */
  get allocatedBytes(): number {
    return (words[13]! * WORD + words[12]!) * 512;
  },
  get changedSeconds(): number {
    return signed[25]! * WORD + words[24]!;
  },
  get changedNanoseconds(): number {
    return words[26]!;
  },
  get modifiedSeconds(): number {
    return signed[29]! * WORD + words[28]!;
  },
  get modifiedNanoseconds(): number {
    return words[30]!;
  },

  /** All of it; `extendedHash` is what the caller found. */
  attributes(extendedHash: number): FileAttributes {
    const kind = this.kind;
    return {
      kind,
      mode: words[7]! & 0o7777,
      userId: words[5]!,
      groupId: words[6]!,
      sizeBytes: kind === "file" || kind === "symlink" ? this.sizeBytes : 0,
      modifiedSeconds: this.modifiedSeconds,
      modifiedNanoseconds: words[30]!,
      changedSeconds: this.changedSeconds,
      changedNanoseconds: words[26]!,
      links: kind === "directory" ? 1 : words[4]!,
      inode: this.inode,
      device: this.device,
      deviceNode: kind === "character" || kind === "block" ? words[32]! * WORD + words[33]! : 0,
      extendedHash,
    };
  },
};
