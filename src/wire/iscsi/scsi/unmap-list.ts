/**
 * The parameter list of UNMAP (SBC-3, 5.28): descriptors of ranges.
 *
 * Always holds: what is given back lies inside the list; a length that does not fit together is a check condition.
 */

import { type BlockRange, uint16, uint32, uint64 } from "./block-cdb.ts";
import { invalidParameter, parameterListLength } from "./check-condition.ts";

const HEADER_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
export const UNMAP_DESCRIPTORS_MAX = 4095;

/** The ranges in their order, those of no blocks too. An empty list is no error, one shorter than its header is. */
export function parseUnmapList(list: Uint8Array): BlockRange[] {
  if (list.length === 0) return [];
  if (list.length < HEADER_BYTES) throw parameterListLength();
  const lengthBytes = uint16(list, 2);
  if (lengthBytes > list.length - HEADER_BYTES) throw parameterListLength();
  const count = Math.floor(lengthBytes / DESCRIPTOR_BYTES);
  if (count > UNMAP_DESCRIPTORS_MAX) throw invalidParameter(2);
  const ranges: BlockRange[] = [];
  for (let index = 0; index < count; index++) {
    const at = HEADER_BYTES + DESCRIPTOR_BYTES * index;
    ranges.push({ lba: uint64(list, at), blocks: uint32(list, at + 8) });
  }
  return ranges;
}

/** A list of ranges, as an initiator sends it. */
export function encodeUnmapList(ranges: readonly BlockRange[]): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + DESCRIPTOR_BYTES * ranges.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, bytes.length - 2);
  view.setUint16(2, bytes.length - HEADER_BYTES);
  ranges.forEach(({ lba, blocks }, index) => {
    view.setBigUint64(HEADER_BYTES + DESCRIPTOR_BYTES * index, BigInt(lba));
    view.setUint32(HEADER_BYTES + DESCRIPTOR_BYTES * index + 8, blocks);
  });
  return bytes;
}
