/**
 * The pool: one log, and the volumes, snapshots and clones that are maps into it.
 * Errors: the codes named at each method; any method rejects with SHUTTING_DOWN after `close`.
 */
import type { BlockDevice } from "../device/mod.ts";
import type { Clock, Disk, Random } from "../ports/mod.ts";
import type {
  CursorInfo,
  CursorRecord,
  Difference,
  MapRef,
  PoolCounters,
  PoolSettings,
  PoolStatus,
  ScrubResult,
  SnapshotInfo,
  VolumeInfo,
} from "./pool-api.ts";

export interface PoolWorld {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
}

/** SKELETON of the interface: being implemented; signatures are stable. */
export declare class Pool {
  /** Makes an empty pool on an empty disk. */
  static format(world: PoolWorld, settings?: Partial<PoolSettings>): Promise<void>;
  /** Opens (recovers) the pool; POOL_IN_USE, POOL_NEWER, POOL_DAMAGED, DATA_DIRECTORY (no pool there). */
  static open(world: PoolWorld, settings?: Partial<PoolSettings>): Promise<Pool>;
  /** Flushes, checkpoints, releases the disk. */
  close(): Promise<void>;

  volumes(): VolumeInfo[];
  /** VOLUME_NOT_FOUND */
  volume(name: string): VolumeInfo;
  /** All of a volume's, or everybody's when no name is given. */
  snapshots(volume?: string): SnapshotInfo[];
  snapshot(volume: string, name: string): SnapshotInfo;

  /** All of these resolve when the change is durable. */
  createVolume(options: { name: string; sizeBytes: number }): Promise<VolumeInfo>;
  deleteVolume(name: string): Promise<void>;
  resizeVolume(name: string, sizeBytes: number): Promise<VolumeInfo>;
  cloneVolume(options: { source: string; snapshot?: string; name: string }): Promise<VolumeInfo>;
  /** Forgets what the volume was cloned from. */
  detachVolume(name: string): Promise<VolumeInfo>;
  createSnapshot(volume: string, name: string): Promise<SnapshotInfo>;
  deleteSnapshot(volume: string, name: string): Promise<void>;
  /** IN_USE while clients are connected to the volume. */
  rollback(volume: string, snapshot: string): Promise<VolumeInfo>;
  /** Puts a marker into the volume's record stream. */
  mark(volume: string, text: string): Promise<number>;

  /** Opens for serving; counts as a client until closed. Snapshots are read-only. */
  openVolume(name: string): BlockDevice;
  openSnapshot(volume: string, name: string): BlockDevice;

  /** Ranges where `to` differs from `from`, in order; found by skipping what the two maps share. */
  difference(options: { from: MapRef; to: MapRef; offset?: number; length?: number }): AsyncIterable<Difference>;
  /** How many maps below a range's data is: 0 own leaf, 1 shared (what qemu calls allocation depth), as extents. */
  allocationDepth(map: MapRef, offset: number, length: number, extentsMax: number): Promise<{ lengthBytes: number; depth: number }[]>;

  /**
   * Makes [offset, offset+length) of a volume refer to what [sourceOffset, …) of a map holds, at 4 KiB alignment,
   * without moving data. Several records when large; resolves when written (durable with `fua`).
   */
  graft(options: {
    source: MapRef;
    sourceOffset: number;
    volume: string;
    offset: number;
    length: number;
    fua?: boolean;
  }): Promise<void>;
  /** Freezes a map and keeps it until `unpin`. A pin that is not persistent ends when the pool is reopened. */
  pin(map: MapRef, options?: { persistent?: boolean }): Promise<number>;
  unpin(pin: number): Promise<void>;
  /** A pin as a read-only device. */
  openPin(pin: number): BlockDevice;

  createCursor(options: { name: string; volume: string; logBytesMax?: number }): Promise<CursorInfo>;
  cursors(): CursorInfo[];
  /** The next durable records behind `after` (exclusive; default: what was acknowledged), at most `bytesMax` of data. Waits up to `waitMs`. PIN_DROPPED */
  readCursor(name: string, options?: { after?: number; bytesMax?: number; waitMs?: number }): Promise<CursorRecord[]>;
  /** The reader has everything up to `sequence`; log before it is no longer pinned for it. */
  acknowledgeCursor(name: string, sequence: number): Promise<void>;
  /** After PIN_DROPPED: a new start at a frozen map of now; the old base stays until then for `difference`. */
  restartCursor(name: string): Promise<{ from: number | undefined; to: number; sequence: number }>;
  deleteCursor(name: string): Promise<void>;

  status(): PoolStatus;
  readonly counters: PoolCounters;
  /** Live settings; sizeBytes may only fall to what is used. */
  set(settings: Partial<Pick<PoolSettings, "sizeBytes" | "collectAboveRatio" | "scrubBytesPerSecond" | "nodeCacheBytes">>): Promise<void>;
  checkpoint(): Promise<void>;
  /** Collects until used space is at most `ratio` × live, or nothing more can be gained. */
  collect(options?: { ratio?: number }): Promise<{ segmentsFreed: number }>;
  scrub(options?: { onError?: (sentence: string) => void; signal?: AbortSignal }): Promise<ScrubResult>;
}
