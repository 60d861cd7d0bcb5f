/**
 * A copy through memory, for EXTENDED COPY where tokens cannot serve.
 *
 * Always holds: one buffer of at most `BUFFER_BYTES_MAX`; ranges of one device may overlap, the data is as if read first.
 * Errors: of the devices.
 */
import type { BlockDevice } from "../../../device/mod.ts";
import { copyTerminated } from "./copy-sense.ts";

const BUFFER_BYTES_MAX = 2 ** 20;

export interface PlainCopy {
  readonly source: BlockDevice;
  readonly sourceOffsetBytes: number;
  readonly destination: BlockDevice;
  readonly destinationOffsetBytes: number;
  readonly lengthBytes: number;
  readonly signal: AbortSignal;
}

export async function copyPlainly(copy: PlainCopy): Promise<void> {
  const { source, destination, lengthBytes } = copy;
  const stepBytes = Math.min(
    BUFFER_BYTES_MAX,
    lengthBytes,
    source.geometry.maximumRequestBytes,
    destination.geometry.maximumRequestBytes,
  );
  const buffer = new Uint8Array(stepBytes);
  // Backwards when the destination is behind, so that no byte is overwritten before it was read.
  const isBackwards = copy.destinationOffsetBytes > copy.sourceOffsetBytes;
  for (let doneBytes = 0; doneBytes < lengthBytes; ) {
    if (copy.signal.aborted) throw copyTerminated();
    const bytes = buffer.subarray(0, Math.min(stepBytes, lengthBytes - doneBytes));
    const at = isBackwards ? lengthBytes - doneBytes - bytes.length : doneBytes;
    await source.read(copy.sourceOffsetBytes + at, bytes);
    await destination.write(copy.destinationOffsetBytes + at, bytes, 0);
    doneBytes += bytes.length;
  }
}
