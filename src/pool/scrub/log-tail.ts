/**
 * The log's tail: the record headers from a checkpoint's cut on, which the next open would replay.
 *
 * Always holds: what is appended while the tail is read is not looked for; a segment that was given up meanwhile
 * is not damaged.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { SEGMENT_HEADER_BYTES } from "../format/layout.ts";
import { recordBytes } from "../format/record.ts";
import { type SegmentHeader, SegmentKind } from "../format/segment.ts";
import type { Superblock } from "../format/superblock.ts";
import { nextRecord } from "../log/log-chain.ts";
import type { Segment } from "../log/segment.ts";
import { SegmentScanner } from "../log/segment-scanner.ts";

type LogSegment = Segment & { readonly header: SegmentHeader };

/** A sentence for each segment in which a record's header is missing; what stands behind it is not looked at. */
export async function damagedTail(
  engine: Engine,
  cut: Superblock,
  step: (bytes: number) => Promise<void>,
): Promise<string[]> {
  const { segments, log } = engine;
  // After a failed log nobody knows what of it is with the kernel, only what is durable.
  const last = log.failed === undefined ? log.sequence : log.durable;
  if (log.failed === undefined) await log.whenWritten();
  const isTail = (segment: Segment): segment is LogSegment =>
    segment.kind === SegmentKind.log &&
    segment.row >= 0 &&
    segment.number >= cut.cutSegment &&
    segment.header !== undefined;
  const tail = [...segments.all.values()].filter(isTail).sort((one, other) => one.number - other.number);
  const damaged: string[] = [];
  for (const [index, segment] of tail.entries()) {
    const isCut = segment.number === cut.cutSegment;
    let sequence = isCut ? cut.cutSequence : segment.header.firstSequence - 1;
    let position = isCut ? cut.cutPosition : SEGMENT_HEADER_BYTES;
    const end = Math.min(last, (tail[index + 1]?.header.firstSequence ?? Number.POSITIVE_INFINITY) - 1);
    const scanner = new SegmentScanner(segments, segment.number, segment.header);
    while (sequence < end && segment.row >= 0) {
      const record = await nextRecord(scanner, position, sequence + 1, segment.header.incarnation).catch(
        unreadable,
      );
      if (record === undefined) {
        // Behind a newer cut records are needed no more, and the segments that had them may be gone.
        const isNeeded = segments.age === cut.checkpoint + 1;
        if (segment.row >= 0 && isNeeded)
          damaged.push(
            `the header of record ${sequence + 1}, in the log's tail, behind offset ${position} of segment ${segment.number}, is damaged`,
          );
        break;
      }
      sequence += 1;
      position = record.position + recordBytes(record);
      await step(recordBytes(record));
    }
  }
  return damaged;
}

function unreadable(error: unknown): undefined {
  if (!(error instanceof RopewalkError)) throw error;
}
