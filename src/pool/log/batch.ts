/**
 * A batch: the records of a turn or more, gathered in one arena so that they leave in one call.
 *
 * Always holds: headers and small data stand in the arena in their order; large data is a part of its own that is
 * written from where it stands, between the arena's parts around it.
 */
import { assert } from "../../base/assert.ts";
import { checksum, checksumAt } from "../../base/checksum.ts";
import { bytesOfWords } from "../../base/words.ts";
import type { PageThreads } from "../../ports/mod.ts";
import { PAGE_BYTES } from "../format/layout.ts";
import { RECORD_HEADER_BYTES, type RecordFields, sealRecordHeader } from "../format/record.ts";
import type { RecordToAppend } from "./record-to-append.ts";

const ARENA_BYTES = 4 * 1024 * 1024;
/** Data of at least this length is written from where it stands; below, a copy is cheaper than another part. */
const DIRECT_BYTES = 32 * 1024;

export class Batch {
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  /** Bytes of the arena that are in use. */
  filled = 0;
  #partStart = 0;
  #parts: Uint8Array[] = [];

  /** In memory that the page threads see, if there is some. */
  constructor(pageThreads: PageThreads | undefined) {
    const shared = pageThreads?.allocate(ARENA_BYTES);
    this.words =
      shared === undefined
        ? new Uint32Array(ARENA_BYTES / 4)
        : new Uint32Array(shared.buffer, shared.byteOffset, ARENA_BYTES / 4);
    this.bytes = bytesOfWords(this.words);
  }

  /** Whether another record fits. */
  fits(headerBytes: number, dataBytes: number): boolean {
    return (
      this.filled + headerBytes + (dataBytes >= DIRECT_BYTES ? 2 * PAGE_BYTES : dataBytes) <= ARENA_BYTES
    );
  }

  /** The word where the next record's checksums will stand. */
  get checksumsAt(): number {
    return this.filled / 4 + RECORD_HEADER_BYTES / 4;
  }

  /** Puts a record behind what is there: its header, sealed with the segment's key, checksums, payload and data. */
  put(
    record: RecordToAppend,
    { headerBytes, dataBytes }: { headerBytes: number; dataBytes: number },
    { keyLow, keyHigh }: { keyLow: number; keyHigh: number },
    fields: RecordFields,
  ): void {
    const { words, bytes } = this;
    const { data, payload } = record;
    let sum = this.checksumsAt;
    if (record.checksums !== undefined) {
      assert(record.checksums.length === fields.dataPages, "a checksum for each page");
      words.set(record.checksums, sum);
      sum += fields.dataPages;
    } else {
      sum = this.#putChecksums(data, sum);
    }
    if (payload !== undefined) bytes.set(payload, sum * 4);
    bytes.fill(0, sum * 4 + fields.payloadBytes, this.filled + headerBytes);
    sealRecordHeader(words, bytes, this.filled / 4, headerBytes, fields, keyLow, keyHigh);
    this.filled += headerBytes;
    this.#putData(data, dataBytes);
  }

  /** Writes the checksums of whole pages to the words from `at`; returns the word behind them. */
  #putChecksums(data: readonly Uint8Array[], at: number): number {
    let sum = at;
    for (const part of data) {
      for (let offset = 0; offset < part.length; offset += PAGE_BYTES) {
        this.words[sum] = part.length === PAGE_BYTES ? checksum(part) : checksumAt(part, offset, PAGE_BYTES);
        sum += 1;
      }
    }
    return sum;
  }

  #putData(data: readonly Uint8Array[], dataBytes: number): void {
    const direct = dataBytes >= DIRECT_BYTES;
    for (const part of data) {
      if (direct && part.length > PAGE_BYTES) {
        this.#closePart();
        this.#parts.push(part);
      } else {
        this.bytes.set(part, this.filled);
        this.filled += part.length;
      }
    }
  }

  /** What was gathered, in order; the batch takes nothing more until `clear`. */
  parts(): Uint8Array[] {
    this.#closePart();
    return this.#parts;
  }

  clear(): void {
    this.filled = 0;
    this.#partStart = 0;
    this.#parts = [];
  }

  #closePart(): void {
    if (this.filled > this.#partStart) this.#parts.push(this.bytes.subarray(this.#partStart, this.filled));
    this.#partStart = this.filled;
  }
}
