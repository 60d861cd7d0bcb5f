/**
 * What the pool's callers see: plain values about volumes, snapshots, cursors and the pool itself.
 * Always holds: ids are never reused inside a pool; times are milliseconds since 1970-01-01 UTC.
 */
import type { ExtentKind } from "../device/mod.ts";

export interface VolumeInfo {
  readonly id: number;
  readonly name: string;
  /** RFC 9562 UUID of the volume, for those that outlive a name. */
  readonly uuid: string;
  readonly sizeBytes: number;
  /** Bytes of data that the volume's own map holds (shared or not). */
  readonly usedBytes: number;
  readonly snapshots: number;
  readonly createdAtMs: number;
  /** What it was cloned from (`VOLUME` or `VOLUME@SNAPSHOT`), until detached. */
  readonly origin: string | undefined;
  readonly clients: number;
}

export interface SnapshotInfo {
  readonly id: number;
  readonly volume: string;
  readonly name: string;
  readonly uuid: string;
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly createdAtMs: number;
  /** Position in the log: every request with a lower or equal sequence is inside. */
  readonly sequence: number;
  readonly clones: number;
  readonly clients: number;
}

/** A frozen or live map: a volume as it is now, a snapshot, or a pin. */
export type MapRef = { readonly volume: string; readonly snapshot?: string } | { readonly pin: number };

/** A frozen map that is kept until it is unpinned. */
export interface PinInfo {
  readonly id: number;
  /** It outlives a restart. */
  readonly persistent: boolean;
  /** As given when it was made. */
  readonly label: string | undefined;
  readonly sizeBytes: number;
}

/** A range that differs between two maps, and what the newer one holds there. */
export interface Difference {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly kind: ExtentKind;
}

export interface PoolStatus {
  /** Limit of the pool's size, a setting. */
  readonly sizeBytes: number;
  /** Bytes of all segments that exist, the reserve included. */
  readonly usedBytes: number;
  /** Bytes of data that maps refer to. */
  readonly liveBytes: number;
  readonly segments: number;
  readonly volumes: number;
  readonly readOnly: boolean;
  /** Highest sequence that is durable. */
  readonly durableSequence: number;
  readonly sequence: number;
  readonly checkpoint: number;
  readonly cachedNodeBytes: number;
  readonly dirtyNodes: number;
}

/** Counters since the pool was opened; all only grow. */
export interface PoolCounters {
  clientBytesWritten: number;
  logBytesWritten: number;
  collectorBytesWritten: number;
  metadataBytesWritten: number;
  clientBytesRead: number;
  nodeFetches: number;
  syncs: number;
  checkpoints: number;
  segmentsCollected: number;
  checksumErrors: number;
}

export interface ScrubResult {
  /** Blocks and nodes read and compared with their checksums. */
  readonly blocks: number;
  readonly errors: number;
}

export interface PoolSettings {
  /** Largest total size of the pool's segments. */
  sizeBytes: number;
  /** Size of a segment file; a power of two from 1 MiB (simulator) to 1 GiB. Fixed when the pool is made. */
  segmentBytes: number;
  /** Budget for cached nodes, clean and dirty. */
  nodeCacheBytes: number;
  /** Segments kept allocated for checkpoints, the collector and deletions, so that these work when the pool is full. */
  reserveSegments: number;
  /** Log, records and memory of changed nodes between two checkpoints at most; one begins at half of each. */
  checkpointBytes: number;
  checkpointRecords: number;
  checkpointNodeBytes: number;
  /** The log is synced at least this often while there is something to sync. */
  syncIntervalMs: number;
  syncBytes: number;
  /** A turn's records of at least this many bytes are written on another thread; fewer are written at once. */
  writeAsideBytes: number;
  /** A read of at least this many bytes may go to the page threads, when it does not come by itself. */
  readAsideBytes: number;
  /** Log that one cursor may pin before it is dropped; can be set for each cursor. */
  cursorLogBytes: number;
  /** Collection begins when used space exceeds this multiple of live data and the pool is more than half full. */
  collectAboveRatio: number;
  /** Background scrub: bytes a second; 0 is off. */
  scrubBytesPerSecond: number;
}

/** One operation of a volume's record stream, as a cursor delivers it. `data` is whole requests' bytes. */
export type CursorOperation =
  | { readonly kind: "write"; readonly offsetBytes: number; readonly data: Uint8Array }
  | { readonly kind: "zero"; readonly offsetBytes: number; readonly lengthBytes: number }
  | { readonly kind: "trim"; readonly offsetBytes: number; readonly lengthBytes: number }
  | { readonly kind: "resize"; readonly sizeBytes: number }
  | { readonly kind: "snapshot"; readonly name: string }
  | { readonly kind: "snapshot-delete"; readonly name: string }
  | {
      readonly kind: "graft";
      readonly offsetBytes: number;
      readonly lengthBytes: number;
      readonly source: MapRef;
      readonly sourceOffsetBytes: number;
    }
  | { readonly kind: "rollback"; readonly name: string; readonly map: MapRef }
  | { readonly kind: "marker"; readonly text: string };

export interface CursorRecord {
  readonly sequence: number;
  readonly atMs: number;
  readonly operation: CursorOperation;
}

export interface CursorInfo {
  readonly name: string;
  readonly volume: string;
  /** Everything up to here was acknowledged by the reader. */
  readonly sequence: number;
  readonly pinnedLogBytes: number;
  /** `following`; `dropped`: read the difference from `base`; `lost`: a full copy is needed. */
  readonly state: "following" | "dropped" | "lost";
  /** Pin of the frozen map that is no newer than `sequence`; absent when lost. */
  readonly base: number | undefined;
}
