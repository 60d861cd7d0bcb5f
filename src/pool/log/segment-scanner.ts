/**
 * Reads records out of one segment, in order or by scanning for headers, through a window of bounded size.
 * Always holds: a header is returned only if its key, checksum and lengths are right and it ends inside the
 * segment.
 */
import { checksum } from "../../base/checksum.ts";
import { PAGE_BYTES, RECORD_ALIGN_BYTES, SEGMENT_FOOTER_BYTES } from "../format/layout.ts";
import {
  decodeRecordHeader,
  headerBytesAt,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  type RecordHeader,
  recordBytes,
} from "../format/record.ts";
import type { Segments } from "./segments.ts";

const WINDOW_BYTES = 1024 * 1024;

export class SegmentScanner {
  readonly #segments: Segments;
  readonly number: number;
  readonly #keyLow: number;
  readonly #keyHigh: number;
  readonly #end: number;
  #window = new Uint8Array(0);
  #windowAt = 0;

  constructor(segments: Segments, number: number, key: { keyLow: number; keyHigh: number }) {
    this.#segments = segments;
    this.number = number;
    this.#keyLow = key.keyLow;
    this.#keyHigh = key.keyHigh;
    this.#end = segments.segmentBytes - SEGMENT_FOOTER_BYTES;
  }

  /** `length` bytes at `position`, fewer at the segment's end. Valid until the next call. */
  async #bytes(position: number, length: number): Promise<Uint8Array> {
    const wanted = Math.min(length, this.#end - position);
    if (wanted <= 0) return this.#window.subarray(0, 0);
    if (position < this.#windowAt || position + wanted > this.#windowAt + this.#window.length) {
      const size = Math.min(Math.max(WINDOW_BYTES, wanted), this.#end - position);
      if (this.#window.length !== size) this.#window = new Uint8Array(size);
      await this.#segments.read(this.number, position, this.#window, 0, size);
      this.#windowAt = position;
    }
    return this.#window.subarray(position - this.#windowAt, position - this.#windowAt + wanted);
  }

  /** The record at a position, or undefined when there is none. */
  async recordAt(position: number): Promise<RecordHeader | undefined> {
    const fixed = await this.#bytes(position, RECORD_HEADER_BYTES);
    const headerBytes = headerBytesAt(fixed, this.#keyLow, this.#keyHigh);
    if (headerBytes === undefined) return undefined;
    const header = decodeRecordHeader(
      await this.#bytes(position, headerBytes),
      position,
      this.#keyLow,
      this.#keyHigh,
    );
    if (header === undefined || position + recordBytes(header) > this.#end) return undefined;
    return header;
  }

  /** Whether a record's pages match their checksums. */
  async dataMatches(header: RecordHeader): Promise<boolean> {
    for (let page = 0; page < header.dataPages; page += 1) {
      const bytes = await this.#bytes(header.position + header.headerBytes + page * PAGE_BYTES, PAGE_BYTES);
      if (bytes.length < PAGE_BYTES || checksum(bytes) !== header.pageChecksums[page]) return false;
    }
    return true;
  }

  /** Highest durable sequence that any record header from `position` on tells; 0 when there is none. */
  async highestDurable(position: number): Promise<number> {
    let highest = 0;
    for (let at = position; at < this.#end; ) {
      const bytes = await this.#bytes(at, WINDOW_BYTES);
      const usable = bytes.length - (bytes.length % RECORD_ALIGN_BYTES);
      const found: number[] = [];
      const words = new Int32Array(bytes.buffer, bytes.byteOffset, usable / 4);
      for (let word = 0; word < words.length; word += RECORD_ALIGN_BYTES / 4)
        if (words[word] === RECORD_MAGIC) found.push(at + word * 4);
      for (const candidate of found) {
        const header = await this.recordAt(candidate);
        if (header !== undefined) highest = Math.max(highest, header.durable);
      }
      if (usable === 0) break;
      at += usable;
    }
    return highest;
  }
}
