/**
 * Frames: what goes over a connection, in both directions.
 *
 * Always holds: a payload is at most FRAME_BYTES_MAX; only a reply may be longer, and then comes in several frames, one
 * directly behind the other, all but the last with the flag MORE.
 *
 * | offset | size | field |
 * | ------ | ---- | ----- |
 * | 0      | 4    | length of the payload |
 * | 4      | 1    | type |
 * | 5      | 1    | flags: 1 MORE |
 * | 6      | 2    | zero |
 * | 8      | 4    | request id |
 * | 12     |      | payload |
 */
import { RopewalkError } from "../../base/errors.ts";
import { FRAME_BYTES_MAX, FrameType, REPLY_FRAMES_MAX } from "./constants.ts";

export const FRAME_HEADER_BYTES = 12;
export const FLAG_MORE = 1;

/** A whole frame, or a reply of several put together. */
export interface Frame {
  readonly type: number;
  readonly id: number;
  /** Memory of its own, until it is given back to the reader. */
  readonly payload: Uint8Array;
}

/** The frame of a request, as parts. TOO_LARGE */
export function packFrame(type: number, id: number, payload: readonly Uint8Array[]): Uint8Array[] {
  const length = totalBytes(payload);
  if (length > FRAME_BYTES_MAX)
    throw new RopewalkError(
      "TOO_LARGE",
      `A request has ${length} bytes, and ${FRAME_BYTES_MAX} are the limit; ask for less at once.`,
    );
  return withHeader({ type, flags: 0, id }, payload, length);
}

/** The frame or frames of a reply, as parts. They have to be sent with no other frame between them. TOO_LARGE */
export function packReplyFrames(id: number, payload: readonly Uint8Array[]): Uint8Array[] {
  let left = totalBytes(payload);
  if (left > REPLY_FRAMES_MAX * FRAME_BYTES_MAX)
    throw new RopewalkError(
      "TOO_LARGE",
      `A reply has ${left} bytes, and ${REPLY_FRAMES_MAX * FRAME_BYTES_MAX} are the limit; ask for less at once.`,
    );
  const parts: Uint8Array[] = [];
  let rest = payload;
  while (left > FRAME_BYTES_MAX) {
    const [frame, behind] = split(rest, FRAME_BYTES_MAX);
    parts.push(...withHeader({ type: FrameType.ok, flags: FLAG_MORE, id }, frame, FRAME_BYTES_MAX));
    rest = behind;
    left -= FRAME_BYTES_MAX;
  }
  parts.push(...withHeader({ type: FrameType.ok, flags: 0, id }, rest, left));
  return parts;
}

function totalBytes(parts: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes;
}

/** The first part is put behind the header in one piece of memory where it is short. */
function withHeader(
  frame: { readonly type: number; readonly flags: number; readonly id: number },
  payload: readonly Uint8Array[],
  length: number,
): Uint8Array[] {
  const first = payload[0];
  const joined = first !== undefined && first.length <= 4096 ? first : undefined;
  const head = new Uint8Array(FRAME_HEADER_BYTES + (joined?.length ?? 0));
  const view = new DataView(head.buffer);
  view.setUint32(0, length, true);
  view.setUint8(4, frame.type);
  view.setUint8(5, frame.flags);
  view.setUint32(8, frame.id, true);
  if (joined === undefined) return [head, ...payload];
  head.set(joined, FRAME_HEADER_BYTES);
  return [head, ...payload.slice(1)];
}

/** The first `bytes` bytes of the parts, and what is behind them. */
function split(parts: readonly Uint8Array[], bytes: number): [Uint8Array[], Uint8Array[]] {
  const before: Uint8Array[] = [];
  let left = bytes;
  for (const [index, part] of parts.entries()) {
    if (part.length > left) {
      if (left > 0) before.push(part.subarray(0, left));
      return [before, [part.subarray(left), ...parts.slice(index + 1)]];
    }
    before.push(part);
    left -= part.length;
  }
  return [before, []];
}
