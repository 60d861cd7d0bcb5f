/** What can be set of a command queue. */

export interface QueueSettings {
  /** Entries; live ones beyond it become directories that are compared again. 1,024 to 1,048,576. */
  readonly entriesMax: number;
  /** Directories to be compared again; beyond it the whole tree is. */
  readonly rescansMax: number;
  /** `tree`: a command waits for all copies. `path`: for those of its path, its ancestors and descendants. */
  readonly barrier: "tree" | "path";
  /** So long after the last command of a synchronization the sync threads close. */
  readonly idleCloseMs: number;
  /** A bulk waits while more copies than take so long wait in the queue; as long take at most those that are claimed together. */
  readonly bulkAheadMs: number;
  /** A file larger than this is copied alone and can be put back in the middle. */
  readonly largeBytes: number;
  /** One claim of SYNC_COPY entries. */
  readonly copyRunEntriesMax: number;
  readonly copyRunBytesMax: number;
  /** Claims of SYNC_COPY entries that a thread may have at the same time, but for those of a large file. */
  readonly copyRunsMax: number;
  /** One claim of other entries. */
  readonly runEntriesMax: number;
  readonly runBytesMax: number;
}

export const DEFAULT_QUEUE_SETTINGS: QueueSettings = {
  entriesMax: 16_384,
  rescansMax: 65_536,
  barrier: "tree",
  idleCloseMs: 5000,
  bulkAheadMs: 150,
  largeBytes: 1024 * 1024,
  copyRunEntriesMax: 128,
  copyRunBytesMax: 2 * 1024 * 1024,
  copyRunsMax: 1,
  runEntriesMax: 256,
  runBytesMax: 1024 * 1024,
};
