/**
 * NBD's CACHE: the client will read a range soon. Devices have no operation for it, so the range is read and
 * thrown away, which warms whatever caches are below.
 * Always holds: the work is bounded (`CACHE_BYTES_MAX`); a range that cannot be read fails the request.
 */
import type { BlockDevice } from "../../device/mod.ts";
import { type ChunkPool, LARGE_BYTES } from "../stream/mod.ts";

/** What one request warms at most; the rest of a longer range is left as it is, which the protocol allows. */
const CACHE_BYTES_MAX = 32 * 1024 * 1024;
const STEP_BYTES = LARGE_BYTES - (LARGE_BYTES % (64 * 1024));

export async function warmCache(
  device: BlockDevice,
  pool: ChunkPool,
  offset: number,
  length: number,
): Promise<void> {
  const end = offset + Math.min(length, CACHE_BYTES_MAX);
  const chunk = pool.atLeast(LARGE_BYTES);
  try {
    for (let position = offset; position < end; position += STEP_BYTES) {
      const stepBytes = Math.min(STEP_BYTES, end - position, device.geometry.maximumRequestBytes);
      await device.read(position, chunk.bytes.subarray(0, stepBytes));
    }
  } finally {
    chunk.release();
  }
}
