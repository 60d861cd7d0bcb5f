/**
 * Record headers (docs/formats/record.md). A record is a header, then whole pages of data.
 *
 * Always holds: a header is checked whole before anything in it is used; its checksum covers the page
 * checksums and the payload. Positions of records are multiples of 8 bytes.
 */
import { checksum } from "../../base/checksum.ts";
import { highWord, joinWords } from "../../base/words.ts";
import {
  PAGE_BYTES,
  RECORD_ALIGN_BYTES,
  RECORD_PAYLOAD_BYTES_MAX,
  REQUEST_BYTES_MAX,
  roundUp,
} from "./layout.ts";

export const RECORD_MAGIC = 0x6352_7752;
export const RECORD_HEADER_BYTES = 88;
const RECORD_HEADER_WORDS = RECORD_HEADER_BYTES / 4;
/** A request of the longest size that is aligned to no page touches one page more. */
export const RECORD_PAGES_MAX = REQUEST_BYTES_MAX / PAGE_BYTES + 1;

export const RecordKind = {
  write: 1,
  zero: 2,
  trim: 3,
  resize: 4,
  graft: 5,
  catalogue: 6,
  mark: 7,
} as const;

export const RecordFlag = {
  /** Data begins with the merged page at the head edge of a zeroed range. */
  headEdge: 1,
  /** Data ends with the merged page at its tail edge. */
  tailEdge: 2,
  /** Zeroed pages stay allocated. */
  noHole: 4,
} as const;

export interface RecordFields {
  readonly kind: number;
  readonly flags: number;
  readonly sequence: number;
  readonly durable: number;
  readonly incarnation: number;
  /** Object the record acts on; 0 for none. */
  readonly volume: number;
  /** The client's byte range. */
  readonly offset: number;
  readonly length: number;
  readonly atMs: number;
  readonly dataPages: number;
  readonly payloadBytes: number;
}

export interface RecordHeader extends RecordFields {
  /** Offset of the record in its segment. */
  readonly position: number;
  readonly headerBytes: number;
  readonly pageChecksums: Uint32Array;
  readonly payload: Uint8Array;
}

export function recordHeaderBytes(dataPages: number, payloadBytes: number): number {
  return roundUp(RECORD_HEADER_BYTES + dataPages * 4 + payloadBytes, RECORD_ALIGN_BYTES);
}

/**
 * Writes a header at word `at` of `words` (whose bytes are `bytes`); page checksums must already stand behind
 * its fixed part, the payload behind them. Returns nothing; the caller knows the length.
 */
export function sealRecordHeader(
  words: Uint32Array,
  bytes: Uint8Array,
  at: number,
  headerBytes: number,
  fields: RecordFields,
  keyLow: number,
  keyHigh: number,
): void {
  words[at] = RECORD_MAGIC;
  words[at + 1] = headerBytes;
  words[at + 2] = 0;
  words[at + 3] = fields.kind | (fields.flags << 8);
  words[at + 4] = keyLow;
  words[at + 5] = keyHigh;
  words[at + 6] = fields.sequence >>> 0;
  words[at + 7] = highWord(fields.sequence);
  words[at + 8] = fields.durable >>> 0;
  words[at + 9] = highWord(fields.durable);
  words[at + 10] = fields.incarnation;
  words[at + 11] = fields.dataPages;
  words[at + 12] = fields.volume >>> 0;
  words[at + 13] = highWord(fields.volume);
  words[at + 14] = fields.offset >>> 0;
  words[at + 15] = highWord(fields.offset);
  words[at + 16] = fields.length >>> 0;
  words[at + 17] = highWord(fields.length);
  words[at + 18] = fields.atMs >>> 0;
  words[at + 19] = highWord(fields.atMs);
  words[at + 20] = fields.payloadBytes;
  words[at + 21] = 0;
  words[at + 2] = checksum(bytes.subarray(at * 4, at * 4 + headerBytes));
}

/**
 * The record header at `position` of a segment, from `source` whose first byte stands there, or undefined when
 * there is none. `source` must hold the header whole; `headerBytesAt` tells how much that is.
 */
export function decodeRecordHeader(
  source: Uint8Array,
  position: number,
  keyLow: number,
  keyHigh: number,
): RecordHeader | undefined {
  if (source.length < RECORD_HEADER_BYTES) return undefined;
  const fixed = new DataView(source.buffer, source.byteOffset, RECORD_HEADER_BYTES);
  const headerBytes = headerBytesAt(source, keyLow, keyHigh);
  if (headerBytes === undefined || headerBytes > source.length) return undefined;
  const copy = new Uint8Array(source.subarray(0, headerBytes));
  const words = new Uint32Array(copy.buffer);
  const sum = words[2]!;
  words[2] = 0;
  if (checksum(copy) !== sum) return undefined;
  const dataPages = words[11]!;
  const payloadBytes = words[20]!;
  if (recordHeaderBytes(dataPages, payloadBytes) !== headerBytes) return undefined;
  const payloadAt = RECORD_HEADER_BYTES + dataPages * 4;
  return {
    position,
    headerBytes,
    kind: fixed.getUint8(12),
    flags: fixed.getUint8(13),
    sequence: joinWords(words[6]!, words[7]!),
    durable: joinWords(words[8]!, words[9]!),
    incarnation: words[10]!,
    dataPages,
    volume: joinWords(words[12]!, words[13]!),
    offset: joinWords(words[14]!, words[15]!),
    length: joinWords(words[16]!, words[17]!),
    atMs: joinWords(words[18]!, words[19]!),
    payloadBytes,
    pageChecksums: words.subarray(RECORD_HEADER_WORDS, RECORD_HEADER_WORDS + dataPages),
    payload: copy.subarray(payloadAt, payloadAt + payloadBytes),
  };
}

/** Length of the header that begins at `source`, as its fixed part claims; undefined when it is no header. */
export function headerBytesAt(source: Uint8Array, keyLow: number, keyHigh: number): number | undefined {
  if (source.length < RECORD_HEADER_BYTES) return undefined;
  const view = new DataView(source.buffer, source.byteOffset, RECORD_HEADER_BYTES);
  if (view.getUint32(0, true) !== RECORD_MAGIC) return undefined;
  if (view.getUint32(16, true) !== keyLow || view.getUint32(20, true) !== keyHigh) return undefined;
  const headerBytes = view.getUint32(4, true);
  const dataPages = view.getUint32(44, true);
  const payloadBytes = view.getUint32(80, true);
  if (dataPages > RECORD_PAGES_MAX || payloadBytes > RECORD_PAYLOAD_BYTES_MAX) return undefined;
  return headerBytes === recordHeaderBytes(dataPages, payloadBytes) ? headerBytes : undefined;
}

/** Bytes of a whole record. */
export function recordBytes(header: { headerBytes: number; dataPages: number }): number {
  return header.headerBytes + header.dataPages * PAGE_BYTES;
}
