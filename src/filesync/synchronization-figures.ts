/** What a synchronization says of itself. */
import type { ErrorCode } from "../base/errors.ts";
import type { FileFailure } from "../ports/mod.ts";

/**
 * `starting`: watches are set. `bulk`: a synchronization of the tree runs. `live`: only changes are sent. `waiting`: a target
 * cannot be reached or used, and is tried again. `held`: removals wait to be allowed. `source-missing`: the source
 * directory is gone; nothing is removed. `failed`: it cannot go on as it is, and is tried again now and then.
 */
export type SynchronizationState =
  | "starting"
  | "bulk"
  | "live"
  | "paused"
  | "waiting"
  | "held"
  | "source-missing"
  | "failed";

export type TargetState = "connecting" | "bulk" | "live" | "paused" | "waiting" | "held";

export interface ToldError {
  readonly code: ErrorCode;
  readonly message: string;
}

export interface BulkFigures {
  readonly filesDone: number;
  /** So far, while the trees are still being compared. */
  readonly filesTotal: number;
  readonly bytesDone: number;
  readonly bytesTotal: number;
  readonly bytesPerSecond: number;
  /** Known when all of the tree was compared. */
  readonly secondsLeft?: number | undefined;
}

export interface SynchronizationTargetFigures {
  readonly to: string;
  readonly state: TargetState;
  /** That are open now. */
  readonly connections: number;
  /** How far the target is behind the source's changes. */
  readonly lag: { readonly seconds: number; readonly entries: number; readonly bytes: number };
  readonly bulk?: BulkFigures | undefined;
  readonly sentBytes: number;
  readonly copiedFiles: number;
  readonly removed: number;
  /** Files that changed during each try to read them: sent as read, and again behind it. */
  readonly tornReads: number;
  readonly failures: number;
  readonly lastFailures: readonly FileFailure[];
  readonly error?: ToldError | undefined;
}

export interface SynchronizationFigures {
  readonly state: SynchronizationState;
  /** Order of changes: exact for each file, as the source only notifies (F13). */
  readonly order: "per-file";
  readonly error?: ToldError | undefined;
  readonly events: number;
  readonly overflows: number;
  /** Directories that were compared again because something in them was not known. */
  readonly rescans: number;
  readonly watches: number;
  readonly targets: readonly SynchronizationTargetFigures[];
}
