/**
 * Where a read need not send bytes: the holes and known zeros of its range.
 * Always holds: the ranges cover the read exactly, in order, without overlap.
 */
import type { BlockDevice, Extent } from "../../device/mod.ts";

export interface ReadRange {
  readonly offset: number;
  readonly length: number;
  readonly kind: "data" | "hole";
}

/** Shorter reads are sent as they are: looking for holes costs more than a page of zeros does. */
export const SPARSE_READ_BYTES_MIN = 8 * 1024;
/** Ranges of one read; what is behind is sent as data. */
const RANGES_MAX = 64;

/** The ranges of a read, or undefined when all of it is data. */
export function sparseRanges(
  device: BlockDevice,
  offset: number,
  length: number,
): readonly ReadRange[] | undefined | Promise<readonly ReadRange[] | undefined> {
  const extents = device.extents(offset, length, RANGES_MAX);
  if (extents instanceof Promise) return extents.then((known) => rangesOf(known, offset, length));
  return rangesOf(extents, offset, length);
}

function rangesOf(
  extents: readonly Extent[],
  offset: number,
  length: number,
): readonly ReadRange[] | undefined {
  const end = offset + length;
  const ranges: { offset: number; length: number; kind: "data" | "hole" }[] = [];
  let position = offset;
  const add = (kind: "data" | "hole", until: number) => {
    const last = ranges.at(-1);
    if (last?.kind === kind) last.length = until - last.offset;
    else ranges.push({ offset: position, length: until - position, kind });
    position = until;
  };
  for (const extent of extents) {
    const until = Math.min(extent.offsetBytes + extent.lengthBytes, end);
    if (until <= position) continue;
    add(extent.kind === "data" ? "data" : "hole", until);
  }
  if (position < end) add("data", end);
  return ranges.length === 1 && ranges[0]!.kind === "data" ? undefined : ranges;
}
