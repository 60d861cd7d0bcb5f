/**
 * What is done for an entry, as the threads see it; `work/` does it.
 *
 * Always holds, whoever implements it: a call works only on the entries that it is given and only over the connection that
 * it is given; it may be called again with the same entry (its reply was lost, or its connection died), and then ends in
 * the same state. What fails with one file is in the result (`failures`, `append`), and its entry is done. A call rejects
 * only when it could not go on as a whole: the connection died, or source or target cannot be used. Then all its entries
 * are processed again, perhaps by another thread: nothing is dropped. It rejects soon when the connection dies.
 */
import type { FileFailure } from "../../ports/mod.ts";
import type { Entry, NewEntry } from "../queue/entry.ts";
import type { TargetAbilities, TargetConnection } from "./connection.ts";

/** How long a call may go on. */
export interface RunBudget {
  /**
   * True when it should come to an end: live commands wait behind a copy that has had its slice of time, or the threads are
   * paused or stopped. Asked between files, and between parts of a large file. At least one part is done in each call.
   */
  mustEnd(): boolean;
}

export interface WorkResult {
  /** Entries for which nothing is left to do, also those that failed, were skipped or became repairs. */
  readonly done: readonly Entry[];
  /** Entries that were not begun. Of `nonSyncRun`: the last ones. */
  readonly untouched: readonly Entry[];
  /** Entries to be appended: directories to be compared again (`kind: "repair"`), and what a repair found. */
  readonly append: readonly NewEntry[];
  readonly failures: readonly FileFailure[];
}

export interface CopyResult extends WorkResult {
  /**
   * Large files of which a part was sent and whose file at the target is kept open on this connection. The same entry comes
   * again in a `copyRun` of its own: over the same connection, or over another one after `connectionEnded` of the first,
   * and then from the beginning. When it does, the source may have changed: the work looks itself (size, mtime, ctime,
   * inode), and `isTouched` says that a command for its path was processed meanwhile. What was sent before is then old, and
   * is compared with the source before the file is put in place. `path` may have changed with a rename above it.
   */
  readonly putBack: readonly Entry[];
  /** Bytes of files that were looked at or sent in this call; for the rate. */
  readonly bytes: number;
}

export interface EntryWork {
  /** SYNC_COPY entries only, in any order, each with its own mode; a large file is alone. */
  copyRun(entries: readonly Entry[], connection: TargetConnection, budget: RunBudget): Promise<CopyResult>;
  /**
   * Commands in their order, none of them a SYNC_COPY. An entry of no file (`sync-start`, `sync-finish`, `mark`) and a `repair`
   * come alone. No copy runs that the commands could disturb. When a `mark` is done, all before it is durable at the target;
   * when a `sync-finish` is done, all copies are.
   */
  nonSyncRun(entries: readonly Entry[], connection: TargetConnection, budget: RunBudget): Promise<WorkResult>;
  /** Something is to be sent when the main thread has nothing to do: attributes of directories whose entries changed. */
  readonly isUnsettled: boolean;
  /** Sends it; over the main connection, while copies may run over others. */
  settle(connection: TargetConnection): Promise<void>;
  /** The connection said hello; before it is used. */
  connectionOpened(connection: TargetConnection, abilities: TargetAbilities): void;
  /** It closed or died: what was kept open on it is gone. No call is under way on it. */
  connectionEnded(connection: TargetConnection): void;
}
