/**
 * The record chain: which records count, from a checkpoint's cut to where the log ends.
 *
 * Always holds: sequences have no gaps; where a segment of a higher incarnation begins at a sequence, everything
 * older from there on is void. Damage at or below the highest durable sequence found anywhere is corruption
 * (POOL_DAMAGED); damage above it is an ordinary power cut, and the log is cut there.
 */
import { RopewalkError } from "../../base/errors.ts";
import { PAGE_BYTES, roundUp, SEGMENT_HEADER_BYTES } from "../format/layout.ts";
import { type RecordHeader, recordBytes } from "../format/record.ts";
import type { SegmentHeader } from "../format/segment.ts";
import { SegmentScanner } from "./segment-scanner.ts";
import type { Segments } from "./segments.ts";

export interface ChainStart {
  readonly sequence: number;
  readonly segment: number;
  readonly position: number;
  readonly incarnation: number;
}

export interface ChainRecord {
  readonly segment: number;
  readonly header: RecordHeader;
}

export interface Chain {
  readonly records: ChainRecord[];
  /** Segments of the chain, in order. */
  readonly segments: number[];
  readonly lastSequence: number;
}

export async function readChain(options: {
  segments: Segments;
  start: ChainStart;
  /** Headers of all log segments at or behind the cut. */
  headers: Map<number, SegmentHeader>;
  /** Highest sequence that slots say is durable or checkpointed. */
  durable: number;
  plants?: ReadonlySet<string> | undefined;
}): Promise<Chain> {
  const { segments, start, headers } = options;
  let durable = options.durable;
  const firsts = new Map<number, SegmentHeader[]>();
  for (const header of headers.values()) {
    durable = Math.max(durable, header.durable);
    const list = firsts.get(header.firstSequence) ?? [];
    list.push(header);
    firsts.set(header.firstSequence, list);
  }
  const records: ChainRecord[] = [];
  const walked: number[] = [];
  let sequence = start.sequence;
  let incarnation = start.incarnation;
  let header = headers.get(start.segment);
  let position = start.position;
  let scanner = header === undefined ? undefined : new SegmentScanner(segments, header.number, header);
  const ends = new Map<number, number>();
  if (header !== undefined) walked.push(header.number);
  for (;;) {
    const superseding = highest(
      firsts.get(sequence + 1),
      (each) => each.begins && each.incarnation > incarnation,
    );
    if (superseding === undefined && scanner !== undefined) {
      const record = await nextRecord(scanner, position, sequence + 1, incarnation);
      if (record !== undefined) {
        records.push({ segment: scanner.number, header: record });
        sequence += 1;
        durable = Math.max(durable, record.durable);
        position = record.position + recordBytes(record);
        continue;
      }
    }
    if (scanner !== undefined) ends.set(scanner.number, position);
    const next =
      superseding ??
      highest(
        firsts.get(sequence + 1),
        (each) => each.incarnation === incarnation && each.number !== header?.number,
      );
    if (next === undefined || walked.includes(next.number)) break;
    header = next;
    incarnation = next.incarnation;
    scanner = new SegmentScanner(segments, next.number, next);
    position = SEGMENT_HEADER_BYTES;
    walked.push(next.number);
  }
  // What stands behind the break may tell that more was durable.
  for (const each of headers.values()) {
    const from = ends.get(each.number);
    if (from === undefined && walked.includes(each.number)) continue;
    if (each.incarnation < incarnation) continue;
    const scan = new SegmentScanner(segments, each.number, each);
    durable = Math.max(durable, await scan.highestDurable(roundUp(from ?? SEGMENT_HEADER_BYTES, 8)));
  }
  if (sequence < durable) {
    throw new RopewalkError(
      "POOL_DAMAGED",
      `the log ends at sequence ${sequence} (segment ${walked.at(-1) ?? start.segment}, offset ${position}), but ${durable} is known to be durable`,
    );
  }
  const kept = await wholeRecords(options, records, durable);
  const used = new Set(kept.map((record) => record.segment));
  return {
    records: kept,
    segments: walked.filter((segment, index) => index === 0 || used.has(segment)),
    lastSequence: kept.at(-1)?.header.sequence ?? start.sequence,
  };
}

/** Behind the last durable record, a record counts only if its data is whole: the log is cut at the first that is not. */
async function wholeRecords(
  options: {
    segments: Segments;
    headers: Map<number, SegmentHeader>;
    plants?: ReadonlySet<string> | undefined;
  },
  records: ChainRecord[],
  durable: number,
): Promise<ChainRecord[]> {
  const { segments, headers } = options;
  let scanner: SegmentScanner | undefined;
  for (let index = 0; index < records.length; index += 1) {
    const { segment, header } = records[index]!;
    if (header.sequence <= durable || header.dataPages === 0) continue;
    if (scanner?.number !== segment) scanner = new SegmentScanner(segments, segment, headers.get(segment)!);
    if (await scanner.dataMatches(header)) continue;
    if (options.plants?.has("replay-past-cut")) return records.toSpliced(index, 1);
    return records.slice(0, index);
  }
  return records;
}

function highest(
  headers: SegmentHeader[] | undefined,
  fits: (header: SegmentHeader) => boolean,
): SegmentHeader | undefined {
  let best: SegmentHeader | undefined;
  for (const header of headers ?? [])
    if (fits(header) && (best === undefined || header.incarnation > best.incarnation)) best = header;
  return best;
}

/** The record behind `position`: right there, or behind the padding that a sync left. */
export async function nextRecord(
  scanner: SegmentScanner,
  position: number,
  sequence: number,
  incarnation: number,
): Promise<RecordHeader | undefined> {
  for (const at of new Set([position, roundUp(position, PAGE_BYTES)])) {
    const record = await scanner.recordAt(at);
    if (record !== undefined && record.sequence === sequence && record.incarnation === incarnation)
      return record;
  }
  return undefined;
}
