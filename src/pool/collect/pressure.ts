/**
 * How full the pool is, and how urgent that makes collecting.
 *
 * What was emptied comes back to clients only behind two more checkpoints, so collecting has to begin while there
 * is still room for what they append meanwhile. Always holds: nothing is changed here.
 */
import type { Checkpointer } from "../checkpoint/checkpointer.ts";
import { PAGE_BYTES } from "../format/layout.ts";
import type { Segments } from "../log/segments.ts";
import type { PoolSettings } from "../pool-api.ts";

/** Emptied segments wait for two checkpoints; what is appended during so many finds room meanwhile. */
const CHECKPOINTS_AHEAD = 3;
const SEGMENTS_AHEAD_MIN = 4;

export interface Fullness {
  /** Data segments' bytes over live bytes. */
  readonly ratio: number;
  /** Segments with nothing live, which the next checkpoints give back. */
  readonly pending: number;
  /** 0 while there is room enough, 1 when there is none. */
  readonly pressure: number;
}

export function fullness(segments: Segments, checkpointer: Checkpointer, settings: PoolSettings): Fullness {
  let used = 0;
  let empty = 0;
  let metadata = 0;
  const pinned = checkpointer.pinnedFrom();
  for (const segment of segments.all.values()) {
    if (segment.row < 0) {
      if (segment.freedAt === 0) metadata += 1;
      continue;
    }
    // What is empty goes with the next checkpoints, or stays for a cursor's sake: collecting gains nothing there.
    if (!segment.sealed || segments.live(segment) > 0) used += 1;
    else if (segment.number < pinned) empty += 1;
  }
  const liveBytes = segments.liveBlocks * PAGE_BYTES;
  const liveSegments = Math.ceil(liveBytes / segments.segmentBytes);
  const pending = empty + checkpointer.freed.length;
  const slack = segments.filesMax - settings.reserveSegments - liveSegments - metadata;
  const ahead =
    SEGMENTS_AHEAD_MIN + Math.ceil((CHECKPOINTS_AHEAD * settings.checkpointBytes) / segments.segmentBytes);
  // In a tight pool at most half of what is free is kept so: the emptier the victims, the less is moved.
  const wanted = Math.max(2, Math.min(ahead, Math.floor(slack / 2)));
  const coming = Math.min(wanted, segments.freeForClients + pending);
  return {
    ratio: (used * segments.segmentBytes) / Math.max(PAGE_BYTES, liveBytes),
    pending,
    pressure: (wanted - coming) / wanted,
  };
}
