/**
 * Block device range descriptors (SBC-3, 5.30.3): the ranges of POPULATE TOKEN and WRITE USING TOKEN.
 *
 * Always holds: parsed ranges are in order of the list, inside the medium, without overlap, at most as many and as
 * long as the limits say; ranges of zero blocks were legal and are left out. An incomplete last descriptor is
 * ignored, as the standard says. Errors: CheckConditions 26h/00h, 26h/08h, 21h/00h.
 *
 * | byte  | field                     |
 * | ----- | ------------------------- |
 * | 0–7   | logical block address     |
 * | 8–11  | number of logical blocks  |
 * | 12–15 | reserved                  |
 */
import { blockOutOfRange, illegal, invalidParameter } from "../scsi/check-condition.ts";

const RANGE_BYTES = 16;

export interface BlockRange {
  readonly lba: number;
  readonly blocks: number;
}

export interface RangeLimits {
  /** Blocks of the medium. */
  readonly capacityBlocks: number;
  readonly rangesMax: number;
  /** Of all ranges together. */
  readonly totalBlocksMax: number;
}

/** The ranges whose list begins at `listAt` and whose length stands in the two bytes before it. */
export function parseBlockRanges(list: Uint8Array, listAt: number, limits: RangeLimits): BlockRange[] {
  const lengthAt = listAt - 2;
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  const listBytes = view.getUint16(lengthAt);
  const count = Math.floor(listBytes / RANGE_BYTES);
  if (count === 0) throw invalidParameter(lengthAt);
  if (count > limits.rangesMax) throw illegal(0x26, 0x08, { byte: lengthAt, isInParameterList: true });
  if (listAt + count * RANGE_BYTES > list.length) throw invalidParameter(lengthAt);
  const ranges: BlockRange[] = [];
  let total = 0;
  for (let at = listAt; at < listAt + count * RANGE_BYTES; at += RANGE_BYTES) {
    // Above 2^53 the number loses its low bits, which is harmless: it is beyond every medium.
    const lba = Number(view.getBigUint64(at));
    const blocks = view.getUint32(at + 8);
    if (lba > limits.capacityBlocks || lba + blocks > limits.capacityBlocks) throw blockOutOfRange(lba);
    total += blocks;
    if (blocks > 0) ranges.push({ lba, blocks });
  }
  if (total > limits.totalBlocksMax) throw invalidParameter(lengthAt);
  if (overlap(ranges)) throw invalidParameter(listAt);
  return ranges;
}

function overlap(ranges: readonly BlockRange[]): boolean {
  let end = 0;
  for (const range of ranges.toSorted((a, b) => a.lba - b.lba)) {
    if (range.lba < end) return true;
    end = range.lba + range.blocks;
  }
  return false;
}
