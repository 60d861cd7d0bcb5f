/**
 * What the main thread and the reader of inotify share and say to each other.
 *
 * Always holds: `taken` and `drain` are written by the main thread only, `joining` by the reader only.
 */
import type { EventBytes } from "./tree-events.ts";

export const WatchWord = {
  /** Events that were taken, modulo 2^32. */
  taken: 0,
  /** Number of the last request to drain. */
  drain: 1,
  ending: 2,
  /** 1: events are being joined; ring when some were taken. */
  joining: 3,
} as const;
export const WATCH_WORDS = 4;

export interface WatchThreadStart {
  readonly groups: readonly number[];
  /** An eventfd: something changed in `words`. */
  readonly bell: number;
  readonly words: SharedArrayBuffer;
}

/** From the reader. `joined`: watch and flags, watch and flags … */
export type WatchMessage =
  | { readonly ready: true }
  | EventBytes
  | { readonly joined: Float64Array<ArrayBuffer> }
  | { readonly drained: number };
