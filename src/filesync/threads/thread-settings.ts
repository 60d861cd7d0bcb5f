/** What can be set of the threads of a target. */

export interface ThreadSettings {
  /** A connection over which nothing moves for so long is dead. */
  readonly replyTimeoutMs: number;
  readonly keepAliveMs: number;
  /** A copy of a large file goes on for so long while commands wait behind it. */
  readonly sliceMs: number;
  /** The first wait before a connection, or work that failed as a whole, is tried again; it doubles up to the last. */
  readonly retryMsFirst: number;
  readonly retryMsLast: number;
  /** So long `stop` waits for what is in work before connections are cut. */
  readonly stopMsMax: number;
}

export const DEFAULT_THREAD_SETTINGS: ThreadSettings = {
  replyTimeoutMs: 60_000,
  keepAliveMs: 10_000,
  sliceMs: 100,
  retryMsFirst: 100,
  retryMsLast: 30_000,
  stopMsMax: 5000,
};
