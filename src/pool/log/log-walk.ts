/**
 * Goes from record to record along the chain of an open log, across segments and incarnations, one at a time.
 * Always holds: it moves on only past a record that it returned; where a segment of a higher incarnation begins at
 * the next sequence, that one counts. It needs the log's segments from its place on. May fail: POOL_DAMAGED.
 */
import { RopewalkError } from "../../base/errors.ts";
import { SEGMENT_HEADER_BYTES } from "../format/layout.ts";
import { type RecordHeader, recordBytes } from "../format/record.ts";
import { decodeSegmentHeader, type SegmentHeader, SegmentKind } from "../format/segment.ts";
import type { Log } from "./log.ts";
import { nextRecord } from "./log-chain.ts";
import { SegmentScanner } from "./segment-scanner.ts";
import type { Segments } from "./segments.ts";

/** A place in the log between two records. */
export interface LogPlace {
  readonly sequence: number;
  readonly segment: number;
  readonly position: number;
}

export class LogWalk {
  readonly #log: Log;
  readonly #segments: Segments;
  at: LogPlace;
  #scanner: SegmentScanner | undefined;
  #header: SegmentHeader | undefined;

  constructor(parts: { readonly log: Log; readonly segments: Segments }, at: LogPlace) {
    this.#log = parts.log;
    this.#segments = parts.segments;
    this.at = at;
  }

  get segment(): number {
    return this.at.segment;
  }

  /** The next record, or undefined at the log's end. */
  async next(): Promise<RecordHeader | undefined> {
    this.#log.writeOut();
    this.#header ??= await headerOf(this.#segments, this.at.segment);
    this.#scanner ??= new SegmentScanner(this.#segments, this.at.segment, this.#header);
    const superseding = await this.#successor(
      (header) => header.begins && header.incarnation > this.#header!.incarnation,
    );
    if (superseding === undefined) {
      const record = await nextRecord(
        this.#scanner,
        this.at.position,
        this.at.sequence + 1,
        this.#header.incarnation,
      );
      if (record !== undefined) return this.#arrive(this.at.segment, record);
    }
    const next =
      superseding ??
      (await this.#successor(
        (header) => header.incarnation === this.#header!.incarnation && header.number !== this.at.segment,
      ));
    if (next === undefined) return undefined;
    const scanner = new SegmentScanner(this.#segments, next.number, next);
    const record = await nextRecord(scanner, SEGMENT_HEADER_BYTES, this.at.sequence + 1, next.incarnation);
    if (record === undefined) return undefined;
    this.#scanner = scanner;
    this.#header = next;
    return this.#arrive(next.number, record);
  }

  #arrive(segment: number, record: RecordHeader): RecordHeader {
    this.at = { sequence: record.sequence, segment, position: record.position + recordBytes(record) };
    return record;
  }

  async #successor(fits: (header: SegmentHeader) => boolean): Promise<SegmentHeader | undefined> {
    let best: SegmentHeader | undefined;
    for (const segment of [...this.#segments.all.values()]) {
      if (segment.kind !== SegmentKind.log || segment.row < 0 || segment.number <= this.at.segment) continue;
      const header = segment.header ?? (await headerOf(this.#segments, segment.number));
      if (header.firstSequence !== this.at.sequence + 1 || !fits(header)) continue;
      if (best === undefined || header.incarnation > best.incarnation) best = header;
    }
    return best;
  }
}

async function headerOf(segments: Segments, number: number): Promise<SegmentHeader> {
  const segment = segments.get(number);
  if (segment.header !== undefined) return segment.header;
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  await segments.read(number, 0, bytes, 0, SEGMENT_HEADER_BYTES);
  const header = decodeSegmentHeader(bytes);
  if (header === undefined || header.number !== number)
    throw new RopewalkError("POOL_DAMAGED", `the header of segment ${number} is damaged`);
  segment.header = header;
  return header;
}
