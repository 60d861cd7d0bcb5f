/**
 * What a copy manager says of itself: VPD page 8Fh (SPC-4, 7.8.17; SBC-3, 6.6.6) and RECEIVE COPY OPERATING PARAMETERS.
 *
 * Always holds: the block device ROD token limits stand first in the page and are 20h bytes long, because an initiator
 * that is in wide use looks nowhere else for them; each descriptor's length is a multiple of four.
 */
import { CSCD_IDENTIFICATION, CSCD_OWN_UNIT, RodType, SegmentType } from "./constants.ts";
import { descriptorListBytesMax } from "./extended-copy-parameters.ts";

export interface CopyFeatures {
  readonly rangesMax: number;
  readonly inactivitySecondsDefault: number;
  readonly inactivitySecondsMax: number;
  readonly tokenSecondsMax: number;
  /** Of one token, and what is best. */
  readonly tokenBlocksMax: number;
  readonly tokenBlocksOptimal: number;
  readonly cscdsMax: number;
  readonly segmentsMax: number;
  readonly segmentBytesMax: number;
  readonly concurrentCopiesMax: number;
  /** Opcodes with their service actions. */
  readonly commands: ReadonlyMap<number, readonly number[]>;
}

export function encodeVpdPage8F(features: CopyFeatures): Uint8Array {
  const descriptors = [
    tokenLimits(features),
    supportedCommands(features),
    parameterData(features),
    descriptor(0x0008, 1 + DESCRIPTOR_TYPES.length, (view) => {
      view.setUint8(4, DESCRIPTOR_TYPES.length);
      DESCRIPTOR_TYPES.forEach((type, index) => void view.setUint8(5 + index, type));
    }),
    descriptor(0x000c, 4, (view) => {
      view.setUint16(4, 2);
      view.setUint16(6, CSCD_OWN_UNIT);
    }),
    tokenFeatures(features),
    rodTypes(),
    generalCopies(features),
  ];
  const lengthBytes = descriptors.reduce((sum, { length }) => sum + length, 0);
  const page = new Uint8Array(4 + lengthBytes);
  page[1] = 0x8f;
  new DataView(page.buffer).setUint16(2, lengthBytes);
  let at = 4;
  for (const bytes of descriptors) {
    page.set(bytes, at);
    at += bytes.length;
  }
  return page;
}

/** Segment and CSCD descriptor types, ascending. */
const DESCRIPTOR_TYPES = [SegmentType.blockToBlock, SegmentType.blockToBlockWithOffset, CSCD_IDENTIFICATION];

/** Type and length in front, the content rounded up to a multiple of four; `fill` counts from the type on. */
function descriptor(type: number, contentBytes: number, fill: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(4 + Math.ceil(contentBytes / 4) * 4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, type);
  view.setUint16(2, bytes.length - 4);
  fill(view);
  return bytes;
}

function tokenLimits(features: CopyFeatures): Uint8Array {
  return descriptor(0x0000, 0x20, (view) => {
    view.setUint16(10, features.rangesMax);
    view.setUint32(12, features.inactivitySecondsMax);
    view.setUint32(16, features.inactivitySecondsDefault);
    view.setBigUint64(20, BigInt(features.tokenBlocksMax));
    view.setBigUint64(28, BigInt(features.tokenBlocksOptimal));
  });
}

/** Each opcode, how many service actions, and these. */
function supportedCommands(features: CopyFeatures): Uint8Array {
  const list = [...features.commands].flatMap(([opcode, actions]) => [opcode, actions.length, ...actions]);
  return descriptor(0x0001, 1 + list.length, (view) => {
    view.setUint8(4, list.length);
    list.forEach((byte, index) => void view.setUint8(5 + index, byte));
  });
}

function parameterData(features: CopyFeatures): Uint8Array {
  return descriptor(0x0004, 0x1c, (view) => {
    view.setUint16(8, features.cscdsMax);
    view.setUint16(10, features.segmentsMax);
    view.setUint32(12, descriptorListBytesMax(features));
  });
}

/** How long tokens live; then the limits of a disk's once more, in bytes (0: none is reported). */
function tokenFeatures(features: CopyFeatures): Uint8Array {
  const typeSpecificBytes = 48;
  return descriptor(0x0106, 44 + typeSpecificBytes, (view) => {
    view.setUint32(16, 0);
    view.setUint32(20, features.tokenSecondsMax);
    view.setUint32(24, features.inactivitySecondsMax);
    view.setUint16(46, typeSpecificBytes);
    view.setUint16(48 + 2, typeSpecificBytes - 4);
  });
}

const TOKEN_OUT = 0x01;
const TOKEN_IN = 0x02;
const ROD_TYPE_BYTES = 64;
/** In order of preference. The zero token is only ever received. */
const ROD_TYPES: readonly (readonly [type: number, flags: number])[] = [
  [RodType.pointInTime, TOKEN_IN | TOKEN_OUT],
  [RodType.anyPointInTime, TOKEN_IN | TOKEN_OUT],
  [RodType.changeVulnerable, TOKEN_IN | TOKEN_OUT],
  [RodType.persistent, TOKEN_IN | TOKEN_OUT],
  [RodType.onReference, TOKEN_IN | TOKEN_OUT],
  [RodType.zero, TOKEN_IN],
];

function rodTypes(): Uint8Array {
  const listBytes = ROD_TYPES.length * ROD_TYPE_BYTES;
  return descriptor(0x0108, 4 + listBytes, (view) => {
    view.setUint16(6, listBytes);
    ROD_TYPES.forEach(([type, flags], index) => {
      const at = 8 + index * ROD_TYPE_BYTES;
      view.setUint32(at, type);
      view.setUint8(at + 4, flags);
      view.setUint16(at + 6, index + 1);
    });
  });
}

function generalCopies(features: CopyFeatures): Uint8Array {
  return descriptor(0x8001, 0x20, (view) => {
    view.setUint32(4, features.concurrentCopiesMax);
    view.setUint32(8, features.concurrentCopiesMax);
    view.setUint32(12, features.segmentBytesMax);
  });
}

/**
 * RECEIVE COPY OPERATING PARAMETERS (SPC-4, 6.19).
 *
 * | byte  | field                              |
 * | ----- | ---------------------------------- |
 * | 0–3   | available data                     |
 * | 4     | 01h: lists without identifier may be sent |
 * | 8–9   | CSCDs                              |
 * | 10–11 | segments                           |
 * | 12–15 | bytes of both lists                |
 * | 16–19 | bytes of a segment's data          |
 * | 20–23 | bytes of inline data: none         |
 * | 34–35 | copies at one time                 |
 * | 36    | copies with identifier at one time |
 * | 37–39 | granularities as powers of two     |
 * | 43    | length of the list of types        |
 * | 44–   | descriptor types                   |
 */
export function encodeOperatingParameters(features: CopyFeatures): Uint8Array {
  const bytes = new Uint8Array(44 + DESCRIPTOR_TYPES.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  view.setUint8(4, 0x01);
  view.setUint16(8, features.cscdsMax);
  view.setUint16(10, features.segmentsMax);
  view.setUint32(12, descriptorListBytesMax(features));
  view.setUint32(16, features.segmentBytesMax);
  view.setUint16(34, features.concurrentCopiesMax);
  view.setUint8(36, Math.min(features.concurrentCopiesMax, 0xff));
  view.setUint8(43, DESCRIPTOR_TYPES.length);
  bytes.set(DESCRIPTOR_TYPES, 44);
  return bytes;
}
