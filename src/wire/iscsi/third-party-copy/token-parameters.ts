/**
 * The parameter lists of POPULATE TOKEN and WRITE USING TOKEN (SBC-3, 5.30.2 and 5.50.2).
 *
 * Always holds: the list was there in full, as its own length says. Errors: CheckConditions 26h/00h, 26h/08h, 21h/00h.
 *
 * | POPULATE TOKEN | WRITE USING TOKEN | field                                             |
 * | -------------- | ----------------- | ------------------------------------------------- |
 * | 0–1            | 0–1               | length of what follows these two bytes            |
 * | 2              | 2                 | 02h: ROD type valid / delete token; 01h: immediate |
 * | 4–7            |                   | inactivity timeout in seconds                     |
 * | 8–11           |                   | ROD type                                          |
 * |                | 8–15              | offset into the ROD, in destination blocks        |
 * |                | 16–527            | ROD token                                         |
 * | 14–15          | 534–535           | length of the range list                          |
 * | 16–            | 536–              | ranges                                            |
 */
import { invalidParameter } from "../scsi/check-condition.ts";
import { type BlockRange, parseBlockRanges, type RangeLimits } from "./block-ranges.ts";
import { ROD_TOKEN_BYTES } from "./constants.ts";

const POPULATE_RANGES_AT = 16;
const WRITE_TOKEN_AT = 16;
const WRITE_RANGES_AT = 536;
/** The most that a length field of two bytes can say, with the field. */
export const TOKEN_PARAMETER_BYTES_MAX = 2 + 0xffff;

export interface PopulateTokenParameters {
  readonly immediate: boolean;
  /** 0: the default. */
  readonly inactivitySeconds: number;
  /** Undefined: the copy manager chooses. */
  readonly rodType: number | undefined;
  readonly ranges: readonly BlockRange[];
}

export interface WriteUsingTokenParameters {
  readonly immediate: boolean;
  readonly deleteToken: boolean;
  /** In blocks of the destination. */
  readonly offsetBlocks: number;
  /** A copy, so that it outlives the list. */
  readonly token: Uint8Array;
  readonly ranges: readonly BlockRange[];
}

export function parsePopulateToken(list: Uint8Array, limits: RangeLimits): PopulateTokenParameters {
  const [stated, view] = statedPart(list, POPULATE_RANGES_AT);
  const flags = view.getUint8(2);
  return {
    immediate: (flags & 0x01) !== 0,
    inactivitySeconds: view.getUint32(4),
    rodType: (flags & 0x02) === 0 ? undefined : view.getUint32(8),
    ranges: parseBlockRanges(stated, POPULATE_RANGES_AT, limits),
  };
}

export function parseWriteUsingToken(list: Uint8Array, limits: RangeLimits): WriteUsingTokenParameters {
  const [stated, view] = statedPart(list, WRITE_RANGES_AT);
  const flags = view.getUint8(2);
  return {
    immediate: (flags & 0x01) !== 0,
    deleteToken: (flags & 0x02) !== 0,
    offsetBlocks: Number(view.getBigUint64(8)),
    token: Uint8Array.from(list.subarray(WRITE_TOKEN_AT, WRITE_TOKEN_AT + ROD_TOKEN_BYTES)),
    ranges: parseBlockRanges(stated, WRITE_RANGES_AT, limits),
  };
}

/** The part of the list that its length field covers, which must be there and reach the ranges. */
function statedPart(list: Uint8Array, rangesAt: number): [Uint8Array, DataView] {
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  if (list.length < rangesAt) throw invalidParameter(0);
  const statedBytes = 2 + view.getUint16(0);
  if (statedBytes < rangesAt || statedBytes > list.length) throw invalidParameter(0);
  return [list.subarray(0, statedBytes), view];
}
