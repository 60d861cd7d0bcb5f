/**
 * The sizes and limits that the pool's format is made of, each with the relation that it must keep.
 * Everything on disk is little-endian; a 64-bit number is two 32-bit words, low word first, below 2^53.
 */
import { assert } from "../../base/assert.ts";
import { VOLUME_SIZE_BYTES_MAX } from "../../base/object-name.ts";

/** Version of the format; a pool of a higher one is refused (POOL_NEWER). */
export const FORMAT_VERSION = 1;

/** The unit of mapping, checksums and sharing. */
export const PAGE_BYTES = 4096;
/** Pages that one leaf maps: 2 MiB of a volume. */
export const LEAF_PAGES = 512;
export const LEAF_BYTES = LEAF_PAGES * PAGE_BYTES;
/** Children of an inner node. */
export const FANOUT = 512;
/** Longest request, one record. */
export const REQUEST_BYTES_MAX = 32 * 1024 * 1024;

/** A segment's first and last page are its header and footer. */
export const SEGMENT_HEADER_BYTES = PAGE_BYTES;
export const SEGMENT_FOOTER_BYTES = PAGE_BYTES;
export const SEGMENT_BYTES_MIN = 1024 * 1024;
export const SEGMENT_BYTES_MAX = 1024 * 1024 * 1024;
/** Segment numbers fill 30 bits of a leaf's entry. */
export const SEGMENT_NUMBER_MAX = 2 ** 30 - 1;

/** Records and nodes start at multiples of this. */
export const RECORD_ALIGN_BYTES = 8;
/** Payload of a catalogue record at most. */
export const RECORD_PAYLOAD_BYTES_MAX = 64 * 1024;

/** A node id is a table index of 30 bits and a generation of 22 bits above it. */
export const NODE_INDEX_BITS = 30;
export const NODE_GENERATION_BITS = 22;
/** Ids of the holders of maps (volumes, snapshots, pins) among the referrers of nodes. */
export const HOLDER_BASE = 2 ** 52;
/** Child "ids" that are no nodes. */
export const CHILD_HOLE = 0;
export const CHILD_ZERO = 1;
/** Indexes below this are never given to nodes. */
export const NODE_INDEX_FIRST = 16;

assert(NODE_INDEX_BITS + NODE_GENERATION_BITS === 52, "node ids stay below HOLDER_BASE");
assert(LEAF_PAGES === 512 && FANOUT === 512, "slots are 9 bits in leaves, owner pages and inner nodes");
assert(VOLUME_SIZE_BYTES_MAX / LEAF_BYTES <= FANOUT ** 4, "four inner levels span the largest volume");

export function roundUp(value: number, unit: number): number {
  const rest = value % unit;
  return rest === 0 ? value : value + unit - rest;
}

export function roundDown(value: number, unit: number): number {
  return value - (value % unit);
}
