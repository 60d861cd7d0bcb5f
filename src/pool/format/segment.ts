/**
 * Segment headers and footers (docs/formats/segment.md).
 *
 * Always holds: a header is written once, before anything in the segment counts, and never again. The key is
 * fresh and random for each segment; every record header repeats it, so that no bytes a client wrote and no
 * older content of a file can pass for a record.
 */
import { checksum } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import { bytesOfWords, highWord, joinWords } from "../../base/words.ts";
import { FORMAT_VERSION, SEGMENT_FOOTER_BYTES, SEGMENT_HEADER_BYTES } from "./layout.ts";

const HEADER_MAGIC = 0x6753_7752;
const FOOTER_MAGIC = 0x6653_7752;

export const SegmentKind = { log: 1, collector: 2, metadata: 3 } as const;

export interface SegmentHeader {
  readonly kind: number;
  readonly number: number;
  readonly segmentBytes: number;
  /** Names the pool, so that a file of another pool is not taken for ours. */
  readonly poolLow: number;
  readonly poolHigh: number;
  readonly incarnation: number;
  /** Log segments: sequence of the first record that may stand here. */
  readonly firstSequence: number;
  /** Log segments: whether an incarnation begins here; then everything older from `firstSequence` on is void. */
  readonly begins: boolean;
  /** Highest sequence known durable when the header was written. */
  readonly durable: number;
  readonly keyLow: number;
  readonly keyHigh: number;
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const words = new Uint32Array(SEGMENT_HEADER_BYTES / 4);
  words[0] = HEADER_MAGIC;
  words[2] = FORMAT_VERSION;
  words[3] = header.kind | (header.begins ? 0x100 : 0);
  words[4] = header.number;
  words[5] = header.segmentBytes;
  words[6] = header.poolLow;
  words[7] = header.poolHigh;
  words[8] = header.incarnation;
  words[10] = header.firstSequence >>> 0;
  words[11] = highWord(header.firstSequence);
  words[12] = header.durable >>> 0;
  words[13] = highWord(header.durable);
  words[14] = header.keyLow;
  words[15] = header.keyHigh;
  const bytes = bytesOfWords(words);
  words[1] = checksum(bytes);
  return bytes;
}

/** The header, or undefined when these bytes are none (never written, torn, damaged). POOL_NEWER for another version. */
export function decodeSegmentHeader(source: Uint8Array): SegmentHeader | undefined {
  const bytes = new Uint8Array(source.subarray(0, SEGMENT_HEADER_BYTES));
  const words = new Uint32Array(bytes.buffer);
  if (words[0] !== HEADER_MAGIC) return undefined;
  const sum = words[1]!;
  words[1] = 0;
  if (checksum(bytes) !== sum) return undefined;
  if (words[2]! > FORMAT_VERSION) {
    throw new RopewalkError(
      "POOL_NEWER",
      `a segment has format version ${words[2]}; this program knows ${FORMAT_VERSION}`,
    );
  }
  const kind = words[3]! & 0xff;
  if (kind < SegmentKind.log || kind > SegmentKind.metadata) return undefined;
  return {
    kind,
    begins: (words[3]! & 0x100) !== 0,
    number: words[4]!,
    segmentBytes: words[5]!,
    poolLow: words[6]!,
    poolHigh: words[7]!,
    incarnation: words[8]!,
    firstSequence: joinWords(words[10]!, words[11]!),
    durable: joinWords(words[12]!, words[13]!),
    keyLow: words[14]!,
    keyHigh: words[15]!,
  };
}

export interface SegmentFooter {
  readonly number: number;
  /** End of the last record in bytes from the start of the file. */
  readonly end: number;
  readonly lastSequence: number;
  readonly blocks: number;
  readonly keyLow: number;
  readonly keyHigh: number;
}

export function encodeSegmentFooter(footer: SegmentFooter): Uint8Array {
  const words = new Uint32Array(SEGMENT_FOOTER_BYTES / 4);
  words[0] = FOOTER_MAGIC;
  words[2] = footer.number;
  words[3] = footer.end;
  words[4] = footer.lastSequence >>> 0;
  words[5] = highWord(footer.lastSequence);
  words[6] = footer.blocks;
  words[8] = footer.keyLow;
  words[9] = footer.keyHigh;
  const bytes = bytesOfWords(words);
  words[1] = checksum(bytes);
  return bytes;
}

/** The footer of the segment with that header, or undefined when these bytes are none. */
export function decodeSegmentFooter(source: Uint8Array, header: SegmentHeader): SegmentFooter | undefined {
  const bytes = new Uint8Array(source.subarray(0, SEGMENT_FOOTER_BYTES));
  const words = new Uint32Array(bytes.buffer);
  if (words[0] !== FOOTER_MAGIC) return undefined;
  const sum = words[1]!;
  words[1] = 0;
  if (checksum(bytes) !== sum) return undefined;
  if (words[2] !== header.number || words[8] !== header.keyLow || words[9] !== header.keyHigh)
    return undefined;
  return {
    number: words[2]!,
    end: words[3]!,
    lastSequence: joinWords(words[4]!, words[5]!),
    blocks: words[6]!,
    keyLow: words[8]!,
    keyHigh: words[9]!,
  };
}

/** File name of a segment. */
export function segmentName(number: number): string {
  return `segment-${number.toString(16).padStart(8, "0")}`;
}

export function segmentNumberOf(name: string): number | undefined {
  const match = /^segment-([0-9a-f]{8})$/.exec(name);
  return match === null ? undefined : Number.parseInt(match[1]!, 16);
}
