/**
 * Cuts a bundle of files into parts, whose content several threads stage at the same time, before anything of it is seen.
 *
 * Always holds: only bundles of nothing but files and directories have parts: no operation of such a bundle can make another
 * directory of a file's parent, so their content may be staged in any order. What is cut is checked by the threads.
 *
 * | offset | size | field of an operation |
 * | --- | --- | --- |
 * | 0 | 4 | length of what follows |
 * | 4 | 1 | number of the operation |
 */
import { packOperation } from "../../wire/filesync/mod.ts";
import { GROUP_FILES_MIN } from "./staged-content.ts";

/** Fewer operations are not worth a second thread's waking. */
const PART_OPERATIONS_MIN = 128;
const HEAD_BYTES = 5;

const attributes = {
  mode: 0,
  userId: 0,
  groupId: 0,
  sizeBytes: 0,
  modifiedSeconds: 0,
  modifiedNanoseconds: 0,
  deviceNode: 0,
} as const;
const extended = new Uint8Array(0);
/** The numbers that the wire gives to the two, which it keeps to itself. */
const DIRECTORY = packOperation({
  op: "makeDirectory",
  path: "",
  attributes: { ...attributes, kind: "directory" },
  extended,
})[4]!;
const FILE = packOperation({
  op: "file",
  path: "a",
  attributes: { ...attributes, kind: "file" },
  extended,
  extents: [],
})[4]!;

export interface BundlePart {
  /** Number of its first operation. */
  readonly first: number;
  /** A copy. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** One where a second thread is not worth its waking; none where the bundle is carried out as a whole. */
export function bundleParts(bundle: Uint8Array, partsMax: number): BundlePart[] {
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.byteLength);
  const starts: number[] = [];
  let files = 0;
  let at = 0;
  for (; at + HEAD_BYTES <= bundle.length; at += 4 + view.getUint32(at, true)) {
    const number = bundle[at + 4];
    if (number !== FILE && number !== DIRECTORY) return [];
    if (number === FILE) files += 1;
    starts.push(at);
  }
  if (at !== bundle.length || files < GROUP_FILES_MIN) return [];
  const count = Math.max(1, Math.min(partsMax, Math.floor(starts.length / PART_OPERATIONS_MIN)));
  const length = Math.ceil(starts.length / count);
  return Array.from({ length: count }, (_, part) => {
    const first = part * length;
    return { first, bytes: new Uint8Array(bundle.subarray(starts[first], starts[first + length])) };
  });
}
