/**
 * Extents of one meta context for one BLOCK_STATUS.
 *
 * Always holds: at least one extent, none empty, no two neighbours with equal flags; with REQ_ONE exactly one,
 * which ends within the request; in the 32-bit format lengths fit, and what would follow a cut is left out.
 */
import { assert } from "../../base/assert.ts";
import type { BlockDevice, Extent } from "../../device/mod.ts";
import { AllocationFlag, type ChunkFormat, type StatusExtent } from "../../wire/nbd/mod.ts";
import type { NbdContext } from "./exports.ts";

/** A context that the client selected, and the number that it goes by on this connection. */
export interface SelectedContext {
  readonly id: number;
  /** Undefined: `base:allocation`. */
  readonly source: NbdContext | undefined;
}

export interface BlockStatusRequest {
  readonly offset: number;
  readonly length: number;
  readonly answer: "one" | "many";
}

/** Extents in one answer; a client asks again from where they end. */
export const EXTENTS_PER_ANSWER_MAX = 32 * 1024;
/** Longest extent of the 32-bit format, a multiple of every block size. */
const SHORT_EXTENT_BYTES_MAX = 0xffff_f000;

export async function blockStatus(
  device: BlockDevice,
  context: SelectedContext,
  request: BlockStatusRequest,
  format: ChunkFormat,
): Promise<StatusExtent[]> {
  const { offset, length, answer } = request;
  const extentsMax = answer === "one" ? 1 : EXTENTS_PER_ANSWER_MAX;
  const found =
    context.source === undefined
      ? (await device.extents(offset, length, extentsMax)).map((extent) => allocation(extent, offset))
      : await context.source.query(offset, length, extentsMax);
  const extents: { lengthBytes: number; flags: number }[] = [];
  const longestBytes = format === "structured" ? SHORT_EXTENT_BYTES_MAX : Number.MAX_SAFE_INTEGER;
  for (const { lengthBytes, flags } of found) {
    const last = extents.at(-1);
    const joined = last !== undefined && last.flags === flags;
    const wholeBytes = joined ? last.lengthBytes + lengthBytes : lengthBytes;
    const keptBytes = Math.min(wholeBytes, longestBytes);
    if (joined) last.lengthBytes = keptBytes;
    else extents.push({ lengthBytes: keptBytes, flags });
    if (keptBytes < wholeBytes || extents.length > extentsMax) break;
  }
  const answered = extents.slice(0, extentsMax);
  assert(
    answered.length > 0 && answered.every((extent) => extent.lengthBytes > 0),
    "a context has an extent for every byte",
  );
  if (answer === "one") answered[0]!.lengthBytes = Math.min(answered[0]!.lengthBytes, length);
  return answered;
}

/** An extent of the device; the first may begin before `offset`. */
function allocation(extent: Extent, offset: number): StatusExtent {
  const before = Math.max(0, offset - extent.offsetBytes);
  const lengthBytes = extent.lengthBytes - before;
  if (extent.kind === "hole") return { lengthBytes, flags: AllocationFlag.hole | AllocationFlag.zero };
  return { lengthBytes, flags: extent.kind === "zero" ? AllocationFlag.zero : 0 };
}
