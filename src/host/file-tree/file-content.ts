/**
 * Reads the content of an open file that is not long: only its data, not its holes.
 *
 * Always holds: extents are in order inside [0, size); their bytes stand one behind the other in the memory. A file that
 * is shorter by now ends there: whether it changed is found out by its attributes afterwards.
 */
import { ENXIO } from "./errno-names.ts";
import { treeCalls } from "./tree-calls.ts";

export interface FileExtent {
  readonly offset: number;
  readonly length: number;
}

export const NO_EXTENTS: readonly FileExtent[] = [];

/** Fills the memory from `offset` as far as the file goes: bytes, or the negated errno. */
export function readFully(fd: number, memory: Uint8Array, offset: number): number {
  let filled = 0;
  while (filled < memory.length) {
    const count = treeCalls.pread(fd, filled === 0 ? memory : memory.subarray(filled), offset + filled);
    if (count < 0) return count;
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

/** All of a file without holes; `memory` is as long as the file. */
export function readWhole(fd: number, memory: Uint8Array): readonly FileExtent[] | number {
  const length = readFully(fd, memory, 0);
  if (length < 0) return length;
  return length === 0 ? NO_EXTENTS : [{ offset: 0, length }];
}

/** The next range of data at or behind `offset`, within [0, sizeBytes); undefined: only a hole follows. */
export function dataRange(
  fd: number,
  offset: number,
  sizeBytes: number,
): { offset: number; end: number } | undefined | number {
  const from = treeCalls.seek(fd, offset, "data");
  if (from === -ENXIO) return undefined;
  if (from < 0) return from;
  if (from >= sizeBytes) return undefined;
  const end = treeCalls.seek(fd, from, "hole");
  if (end < 0) return end === -ENXIO ? undefined : end;
  return { offset: from, end: Math.min(end, sizeBytes) };
}

/** A file with holes; more than `extentsMax` ranges, or a file system that does not tell: all of it, zeros and all. */
export function readData(fd: number, memory: Uint8Array, extentsMax: number): readonly FileExtent[] | number {
  const sizeBytes = memory.length;
  const extents: FileExtent[] = [];
  let filled = 0;
  for (let at = 0; at < sizeBytes; ) {
    const range = dataRange(fd, at, sizeBytes);
    if (range === undefined) break;
    if (typeof range === "number" || extents.length === extentsMax) return readWhole(fd, memory);
    const length = readFully(fd, memory.subarray(filled, filled + range.end - range.offset), range.offset);
    if (length < 0) return length;
    if (length > 0) extents.push({ offset: range.offset, length });
    filled += length;
    at = range.end;
    if (length < range.end - range.offset) break;
  }
  return extents;
}
