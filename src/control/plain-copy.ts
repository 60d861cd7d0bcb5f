/**
 * Copying by reading and writing, where tokens are not the way (T19).
 *
 * Always holds: memory is bounded by the pieces in flight; holes and zeros of the source become zeros of the
 * destination without passing through memory (T30); what was written is told piece by piece, in order.
 */
import type { BlockDevice, Extent } from "../device/mod.ts";
import { zeroRange } from "./zeroing.ts";

export interface PlainCopy {
  readonly source: BlockDevice;
  readonly destination: BlockDevice;
  readonly fromBytes: number;
  readonly toBytes: number;
  readonly lengthBytes: number;
  readonly signal: AbortSignal;
  /** What was written now, and what was read and written for it. */
  readonly onWritten: (bytes: number, movedBytes: number) => void;
}

const PIECE_BYTES = 2 ** 20;
const PIECES_IN_FLIGHT_MAX = 4;
const EXTENTS_MAX = 256;
/** Extents are asked for over at most this much at once, so that asking takes bounded work. */
const EXTENT_SPAN_BYTES = 2 ** 30;

export async function copyPlainly(copy: PlainCopy): Promise<void> {
  const { fromBytes, lengthBytes, toBytes, destination, signal, onWritten } = copy;
  for (let done = 0; done < lengthBytes; ) {
    signal.throwIfAborted();
    for (const { lengthBytes: length, kind } of await extentsAt(copy, done)) {
      if (kind === "data") await copyData(copy, { done, length });
      else
        await zeroRange(destination, {
          offsetBytes: toBytes + done,
          lengthBytes: length,
          signal,
          onZeroed: (bytes) => onWritten(bytes, 0),
        });
      done += length;
    }
  }

  /** The next extents, cut to the range; all is data where the source cannot tell. */
  async function extentsAt({ source }: PlainCopy, done: number): Promise<Extent[]> {
    const offsetBytes = fromBytes + done;
    const spanBytes = Math.min(lengthBytes - done, EXTENT_SPAN_BYTES);
    if (source.capabilities.extents === "absent")
      return [{ offsetBytes, lengthBytes: spanBytes, kind: "data" }];
    const extents = await source.extents(offsetBytes, spanBytes, EXTENTS_MAX);
    return extents.map((extent) => {
      const endBytes = Math.min(extent.offsetBytes + extent.lengthBytes, offsetBytes + spanBytes);
      return { ...extent, lengthBytes: endBytes - extent.offsetBytes };
    });
  }
}

async function copyData(copy: PlainCopy, { done, length }: { done: number; length: number }): Promise<void> {
  const { source, destination, fromBytes, toBytes, signal, onWritten } = copy;
  const pieceMax = Math.min(
    PIECE_BYTES,
    source.geometry.maximumRequestBytes,
    destination.geometry.maximumRequestBytes,
  );
  const copyPiece = async (at: number, bytes: number): Promise<void> => {
    const piece = new Uint8Array(bytes);
    await source.read(fromBytes + at, piece);
    await destination.write(toBytes + at, piece, 0);
  };
  const end = done + length;
  for (let at = done; at < end; ) {
    signal.throwIfAborted();
    const pieces: Promise<void>[] = [];
    const start = at;
    for (; at < end && pieces.length < PIECES_IN_FLIGHT_MAX; at += pieceMax)
      pieces.push(copyPiece(at, Math.min(pieceMax, end - at)));
    // All end before the first failure is handed on, so that nothing writes after the copy has failed.
    for (const [index, outcome] of (await Promise.allSettled(pieces)).entries()) {
      if (outcome.status === "rejected") throw outcome.reason;
      const bytes = Math.min(pieceMax, end - start - index * pieceMax);
      onWritten(bytes, 2 * bytes);
    }
  }
}
