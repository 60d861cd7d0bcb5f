/**
 * The two superblock slots (docs/formats/superblock.md): each the pointer to one checkpoint.
 * Always holds: a slot is one sector of 512 bytes at the head of its own file, so it is wholly old or wholly new;
 * the slot with the higher checkpoint number is the newer.
 */
import { checksum } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import { bytesOfWords, highWord, joinWords } from "../../base/words.ts";
import { FORMAT_VERSION, PAGE_BYTES } from "./layout.ts";

const MAGIC = 0x6253_7752;
export const SLOT_BYTES = 512;
export const SLOT_FILE_BYTES = PAGE_BYTES;
export const SLOT_NAMES = ["superblock-0", "superblock-1"] as const;

/** Where a piece of metadata stands. */
export interface Place {
  readonly segment: number;
  readonly offset: number;
  readonly length: number;
  readonly checksum: number;
}

export interface Superblock {
  readonly poolLow: number;
  readonly poolHigh: number;
  readonly segmentBytes: number;
  readonly checkpoint: number;
  readonly incarnation: number;
  /** The cut: everything up to this sequence is in the checkpoint; replay starts at this place of the log. */
  readonly cutSequence: number;
  readonly cutSegment: number;
  readonly cutPosition: number;
  readonly durable: number;
  readonly nextSegment: number;
  readonly root: Place;
}

export function encodeSuperblock(block: Superblock): Uint8Array {
  const words = new Uint32Array(SLOT_BYTES / 4);
  words[0] = MAGIC;
  words[2] = FORMAT_VERSION;
  words[3] = block.segmentBytes;
  words[4] = block.poolLow;
  words[5] = block.poolHigh;
  words[6] = block.checkpoint >>> 0;
  words[7] = highWord(block.checkpoint);
  words[8] = block.incarnation;
  words[9] = block.cutSegment;
  words[10] = block.cutSequence >>> 0;
  words[11] = highWord(block.cutSequence);
  words[12] = block.cutPosition;
  words[13] = block.nextSegment;
  words[14] = block.durable >>> 0;
  words[15] = highWord(block.durable);
  words[16] = block.root.segment;
  words[17] = block.root.offset;
  words[18] = block.root.length;
  words[19] = block.root.checksum;
  const bytes = bytesOfWords(words);
  words[1] = checksum(bytes);
  return bytes;
}

export function decodeSuperblock(source: Uint8Array): Superblock | undefined {
  const bytes = new Uint8Array(source.subarray(0, SLOT_BYTES));
  const words = new Uint32Array(bytes.buffer);
  if (words[0] !== MAGIC) return undefined;
  const sum = words[1]!;
  words[1] = 0;
  if (checksum(bytes) !== sum) return undefined;
  if (words[2]! > FORMAT_VERSION) {
    throw new RopewalkError(
      "POOL_NEWER",
      `the pool has format version ${words[2]}; this program knows ${FORMAT_VERSION}. Use a newer Ropewalk`,
    );
  }
  return {
    segmentBytes: words[3]!,
    poolLow: words[4]!,
    poolHigh: words[5]!,
    checkpoint: joinWords(words[6]!, words[7]!),
    incarnation: words[8]!,
    cutSegment: words[9]!,
    cutSequence: joinWords(words[10]!, words[11]!),
    cutPosition: words[12]!,
    nextSegment: words[13]!,
    durable: joinWords(words[14]!, words[15]!),
    root: { segment: words[16]!, offset: words[17]!, length: words[18]!, checksum: words[19]! },
  };
}
