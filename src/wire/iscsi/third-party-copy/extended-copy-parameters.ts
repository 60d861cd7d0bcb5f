/**
 * The parameter lists of EXTENDED COPY (SPC-4, 6.4 and 6.5): where to copy between, and what.
 *
 * Always holds: counts are within the limits, every descriptor is of a kind that is known here; indices of CSCDs are
 * not checked, because a wrong one ends the copy at its segment and not before.
 * Errors: CheckConditions 1Ah (cut short, or longer than all descriptors may be), 26h/00h, 26h/06h to 0Bh.
 *
 * | LID1  | LID4  | header                                        |
 * | ----- | ----- | --------------------------------------------- |
 * |       | 0     | format, 01h                                   |
 * | 0     | 20–23 | list identifier                               |
 * | 1     | 1     | bits 3–4: use of the list identifier          |
 * |       | 2–3   | header CSCD length, 0020h                     |
 * |       | 15    | 01h: immediate                                |
 * |       | 16    | header CSCD type, FFh                         |
 * | 2–3   | 42–43 | length of the CSCD list                       |
 * | 8–11  | 44–45 | length of the segment list                    |
 * | 12–15 | 46–47 | length of inline data                         |
 */
import { illegal, invalidParameter, parameterListLength } from "../scsi/check-condition.ts";
import { CSCD_BYTES, CSCD_IDENTIFICATION, SegmentType } from "./constants.ts";

export interface ExtendedCopyLimits {
  readonly cscdsMax: number;
  readonly segmentsMax: number;
}

/** A copy source or destination, by its name. */
export interface CopyEnd {
  /** A designation descriptor as in VPD page 83h, without protocol identifier. */
  readonly designator: Uint8Array;
  readonly peripheralType: number;
  /** 0: not said. */
  readonly blockBytes: number;
}

export type CopySegment = {
  readonly source: number;
  readonly destination: number;
  readonly sourceLba: number;
  readonly destinationLba: number;
} & (
  | { readonly kind: "blocks"; readonly blocks: number; readonly countedIn: "source" | "destination" }
  | {
      readonly kind: "bytes";
      readonly lengthBytes: number;
      readonly sourceOffsetBytes: number;
      readonly destinationOffsetBytes: number;
    }
);

export interface ExtendedCopyParameters {
  /** Undefined: the initiator will not ask for the result (use 11b). */
  readonly listId: number | undefined;
  readonly immediate: boolean;
  readonly ends: readonly CopyEnd[];
  readonly segments: readonly CopySegment[];
}

/** MAXIMUM DESCRIPTOR LIST LENGTH: CSCDs and segments together. */
export function descriptorListBytesMax({ cscdsMax, segmentsMax }: ExtendedCopyLimits): number {
  return cscdsMax * CSCD_BYTES + segmentsMax * SEGMENT_BYTES_MAX;
}

const LID1_HEADER_BYTES = 16;
const LID4_HEADER_BYTES = 48;

export function parseExtendedCopyLid1(list: Uint8Array, limits: ExtendedCopyLimits): ExtendedCopyParameters {
  const view = viewOf(list);
  if (list.length < LID1_HEADER_BYTES) throw parameterListLength();
  const lengths = { cscds: view.getUint16(2), segments: view.getUint32(8), inline: view.getUint32(12) };
  const listId = view.getUint8(0);
  return {
    listId: usesListId(view.getUint8(1), listId) ? listId : undefined,
    immediate: false,
    ...parseDescriptors(list, LID1_HEADER_BYTES, { cscds: 2, segments: 8, inline: 12 }, lengths, limits),
  };
}

export function parseExtendedCopyLid4(list: Uint8Array, limits: ExtendedCopyLimits): ExtendedCopyParameters {
  const view = viewOf(list);
  if (list.length < LID4_HEADER_BYTES) throw parameterListLength();
  if (view.getUint8(0) !== 0x01) throw invalidParameter(0);
  if (view.getUint16(2) !== CSCD_BYTES) throw invalidParameter(2);
  if (view.getUint8(16) !== 0xff) throw invalidParameter(16);
  const lengths = { cscds: view.getUint16(42), segments: view.getUint16(44), inline: view.getUint16(46) };
  const listId = view.getUint32(20);
  return {
    listId: usesListId(view.getUint8(1), listId) ? listId : undefined,
    immediate: (view.getUint8(15) & 0x01) !== 0,
    ...parseDescriptors(list, LID4_HEADER_BYTES, { cscds: 42, segments: 44, inline: 46 }, lengths, limits),
  };
}

function viewOf(list: Uint8Array): DataView {
  return new DataView(list.buffer, list.byteOffset, list.byteLength);
}

function usesListId(flags: number, listId: number): boolean {
  const use = (flags >> 3) & 0x03;
  if (use === 0b01) throw invalidParameter(1, 4);
  if (use === 0b11 && listId !== 0) throw invalidParameter(1, 4);
  return use !== 0b11;
}

interface ThreeParts {
  readonly cscds: number;
  readonly segments: number;
  readonly inline: number;
}

function parseDescriptors(
  list: Uint8Array,
  headerBytes: number,
  fieldsAt: ThreeParts,
  lengths: ThreeParts,
  limits: ExtendedCopyLimits,
): Pick<ExtendedCopyParameters, "ends" | "segments"> {
  if (lengths.cscds + lengths.segments > descriptorListBytesMax(limits)) throw parameterListLength();
  if (lengths.cscds % CSCD_BYTES !== 0) throw invalidParameter(fieldsAt.cscds);
  if (lengths.cscds / CSCD_BYTES > limits.cscdsMax) throw inList(0x06, fieldsAt.cscds);
  if (lengths.segments > limits.segmentsMax * SEGMENT_BYTES_MAX) throw inList(0x08, fieldsAt.segments);
  if (lengths.inline > 0) throw inList(0x0b, fieldsAt.inline);
  const segmentsAt = headerBytes + lengths.cscds;
  const endAt = segmentsAt + lengths.segments;
  if (endAt > list.length) throw parameterListLength();
  const ends: CopyEnd[] = [];
  for (let at = headerBytes; at < segmentsAt; at += CSCD_BYTES) ends.push(parseEnd(list, at));
  const segments: CopySegment[] = [];
  for (let at = segmentsAt; at < endAt; ) {
    if (segments.length === limits.segmentsMax) throw inList(0x08, fieldsAt.segments);
    const type = list[at] as number;
    const bytes = SEGMENT_BYTES[type];
    if (bytes === undefined) throw inList(0x09, at);
    if (at + bytes > endAt) throw invalidParameter(at);
    segments.push(parseSegment(list, at, bytes));
    at += bytes;
  }
  return { ends, segments };
}

/**
 * | byte  | identification CSCD                         |
 * | ----- | ------------------------------------------- |
 * | 0     | E4h                                         |
 * | 1     | bits 6–7 ignored (SPC-4), 20h null device, 0–4 peripheral type |
 * | 4–7   | head of the designation descriptor          |
 * | 8–27  | designator                                  |
 * | 29–31 | block length                                |
 */
function parseEnd(list: Uint8Array, at: number): CopyEnd {
  const view = viewOf(list);
  if (view.getUint8(at) !== CSCD_IDENTIFICATION) throw inList(0x07, at);
  const flags = view.getUint8(at + 1);
  if ((flags & 0x20) !== 0) throw invalidParameter(at + 1, 5);
  const designatorBytes = view.getUint8(at + 7);
  if (designatorBytes > 20) throw invalidParameter(at + 7);
  const designator = Uint8Array.from(list.subarray(at + 4, at + 8 + designatorBytes));
  designator[0] = (designator[0] as number) & 0x0f;
  designator[1] = (designator[1] as number) & 0x3f;
  designator[2] = 0;
  return {
    designator,
    peripheralType: flags & 0x1f,
    blockBytes: view.getUint32(at + 28) & 0xffffff,
  };
}

/** Bytes of each segment descriptor that is known here. */
const SEGMENT_BYTES: Partial<Record<number, number>> = {
  [SegmentType.blockToBlock]: 28,
  [SegmentType.blockToBlockWithOffset]: 32,
};
const SEGMENT_BYTES_MAX = 32;

/**
 * | byte  | 02h                                            | 0Ah                       |
 * | ----- | ---------------------------------------------- | ------------------------- |
 * | 1     | 02h: the count is of destination blocks        |                           |
 * | 2–3   | bytes that follow                              | the same                  |
 * | 4–5   | source's index                                 | the same                  |
 * | 6–7   | destination's index                            | the same                  |
 * | 8–11  | 10–11: blocks                                  | bytes                     |
 * | 12–19 | source LBA                                     | the same                  |
 * | 20–27 | destination LBA                                | the same                  |
 * | 28–31 |                                                | byte offsets behind the LBAs |
 */
function parseSegment(list: Uint8Array, at: number, bytes: number): CopySegment {
  const view = viewOf(list);
  if (view.getUint16(at + 2) !== bytes - 4) throw invalidParameter(at + 2);
  const shared = {
    source: view.getUint16(at + 4),
    destination: view.getUint16(at + 6),
    sourceLba: Number(view.getBigUint64(at + 12)),
    destinationLba: Number(view.getBigUint64(at + 20)),
  };
  if (view.getUint8(at) === SegmentType.blockToBlock) {
    const countedIn = (view.getUint8(at + 1) & 0x02) === 0 ? "source" : "destination";
    return { ...shared, kind: "blocks", blocks: view.getUint16(at + 10), countedIn };
  }
  return {
    ...shared,
    kind: "bytes",
    lengthBytes: view.getUint32(at + 8),
    sourceOffsetBytes: view.getUint16(at + 28),
    destinationOffsetBytes: view.getUint16(at + 30),
  };
}

function inList(ascq: number, byte: number) {
  return illegal(0x26, ascq, { byte, isInParameterList: true });
}
