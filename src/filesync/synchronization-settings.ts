/** What can be set of a synchronization. */
import type { DeletesPolicy } from "../wire/filesync/mod.ts";
import type { SyncMode } from "./compare/tree-comparison.ts";

export interface SynchronizationSettings {
  /** Connections to each target, the main one included: 1 to 16 (F3). */
  readonly threads: number;
  /** Of the first bulk, and of later ones that say nothing else (F9). */
  readonly mode: SyncMode;
  /** What is not at the source any more: removed, kept, or moved to the trash. */
  readonly deletes: DeletesPolicy;
  /** Patterns, see `exclude-rules.ts`. */
  readonly excludes: readonly string[];
  /** Whether a command waits for all copies, or for those of its path. */
  readonly barrier: "tree" | "path";
  /** To each target; 0: no limit. */
  readonly bandwidthBytesPerSecond: number;
  /** So long after the last SYNC_COPY the sync threads close (F11). */
  readonly idleCloseMs: number;
  /** Entries of a target's queue. */
  readonly queueEntriesMax: number;
  /** Small files that are claimed together; a connection works on several such claims at the same time. */
  readonly copyRunEntriesMax: number;
}

export const DEFAULT_SYNCHRONIZATION_SETTINGS: SynchronizationSettings = {
  threads: 4,
  mode: "attributes",
  deletes: "mirror",
  excludes: [],
  barrier: "tree",
  bandwidthBytesPerSecond: 0,
  idleCloseMs: 5000,
  queueEntriesMax: 16_384,
  copyRunEntriesMax: 128,
};
