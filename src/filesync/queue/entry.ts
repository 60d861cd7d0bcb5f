/**
 * Entries of a command queue: what happened at the source, or what is to be copied.
 *
 * Always holds: what is sent for an entry is read from the source when it is processed, so that one that is processed
 * late, or twice, does no harm. Only `rename` and `remove` say more than "make this path equal".
 */
import type { TreePath } from "../../ports/mod.ts";
import type { SourcePlace } from "../capture/change.ts";
import type { DirectoryNode } from "../capture/directory-node.ts";
import type { SyncMode } from "../compare/tree-comparison.ts";
import { isWithin } from "../tree-path.ts";

/**
 * | kinds | who processes them | what they are |
 * | --- | --- | --- |
 * | `sync-copy` | any thread | SYNC_COPY: a file or directory of a bulk is made equal |
 * | `sync-start`, `sync-finish` | the main thread | brackets of a bulk; of no file (F5) |
 * | `create` `write` `attribute` `rename` `link` `remove` | the main thread | what happened, or what a bulk found |
 * | `repair` | the main thread | a directory is compared again; what differs is appended |
 * | `mark` | the main thread | told when everything before it is done; orders nothing itself |
 */
export type EntryKind =
  | "sync-start"
  | "sync-copy"
  | "sync-finish"
  | "create"
  | "write"
  | "attribute"
  | "rename"
  | "link"
  | "remove"
  | "repair"
  | "mark";

/** What a producer appends. A `Change` of capture is one. */
export interface NewEntry {
  readonly kind: EntryKind;
  /** At the source, of a rename the new one; it is followed through later renames. None: an entry of no file. */
  readonly place?: SourcePlace | undefined;
  /** At the target, at the time of the event; of a rename the new one. */
  readonly path?: TreePath | undefined;
  /** Of a rename: the old path at the target. */
  readonly from?: TreePath | undefined;
  /** Of a directory's rename: the directory, which may have moved on by the time that the entry is processed. */
  readonly moved?: DirectoryNode | undefined;
  /** Of a `link`: a path at the target that has the content. */
  readonly existing?: TreePath | undefined;
  /** Whether the name is a directory's; true where that is not known. */
  readonly isDirectory?: boolean | undefined;
  /** Of a `sync-copy` (F9); `incremental` when absent. */
  readonly mode?: SyncMode | undefined;
  /** Of a `repair`; `one` when absent. */
  readonly depth?: "one" | "all" | undefined;
  /** Whether a bulk appends it. Such entries count for the bulk's room and are never collapsed. */
  readonly isBulk?: boolean | undefined;
  /** Bytes that may have to be sent; for the lag and the rate. */
  readonly sizeBytes?: number | undefined;
  /** Of a `mark`: the event that it stands for. */
  readonly event?: number | undefined;
  /** Told when it is done; not when the queue is closed before. */
  readonly done?: ((entry: Entry) => void) | undefined;
  /** When it happened, on the source's monotonic clock; now when absent. */
  readonly atMs?: number | undefined;
}

export interface Entry {
  /** Its place in the queue: numbers only grow. */
  readonly number: number;
  readonly kind: EntryKind;
  readonly place: SourcePlace | undefined;
  /** Changes while a part of it is put back, when a directory above it is renamed: the copy is taken along. */
  readonly path: TreePath;
  readonly from: TreePath | undefined;
  readonly moved: DirectoryNode | undefined;
  readonly existing: TreePath | undefined;
  readonly isDirectory: boolean;
  readonly mode: SyncMode;
  readonly depth: "one" | "all";
  readonly isBulk: boolean;
  readonly sizeBytes: number;
  readonly event: number;
  readonly atMs: number;
  readonly state: "waiting" | "claimed" | "done";
  /** Number of the thread. */
  readonly claimedBy: number | undefined;
  /** A part of it was sent, and this thread's connection has the file open at the target. */
  readonly heldBy: number | undefined;
  /** A command that touches its path was processed since a part of it was sent: what was sent may be old. */
  readonly isTouched: boolean;
}

/** The queue's own view of an entry. */
export class QueuedEntry implements Entry {
  readonly number: number;
  kind: EntryKind;
  readonly place: SourcePlace | undefined;
  path: TreePath;
  readonly from: TreePath | undefined;
  readonly moved: DirectoryNode | undefined;
  readonly existing: TreePath | undefined;
  readonly isDirectory: boolean;
  readonly mode: SyncMode;
  depth: "one" | "all";
  readonly isBulk: boolean;
  sizeBytes: number;
  readonly event: number;
  readonly atMs: number;
  readonly done: ((entry: Entry) => void) | undefined;
  state: "waiting" | "claimed" | "done" = "waiting";
  claimedBy: number | undefined;
  heldBy: number | undefined;
  isTouched = false;
  /** Put back: not to be claimed before the entry of this number is done; 0: it gives way to none. */
  yieldsTo = 0;
  next: QueuedEntry | undefined;
  previous: QueuedEntry | undefined;

  constructor(number: number, entry: NewEntry, nowMs: number) {
    this.number = number;
    this.kind = entry.kind;
    this.place = entry.place;
    this.path = entry.path ?? "";
    this.from = entry.from;
    this.moved = entry.moved;
    this.existing = entry.existing;
    this.isDirectory = entry.isDirectory ?? true;
    this.mode = entry.mode ?? "incremental";
    this.depth = entry.depth ?? "one";
    this.isBulk = entry.isBulk ?? isSyncKind(entry.kind);
    this.sizeBytes = entry.sizeBytes ?? 0;
    this.event = entry.event ?? 0;
    this.atMs = entry.atMs ?? nowMs;
    this.done = entry.done;
  }
}

/** Whether it is a command of a synchronization: the five idle seconds count from the last of them (F11). */
export function isSyncKind(kind: EntryKind): boolean {
  return kind === "sync-copy" || kind === "sync-start" || kind === "sync-finish";
}

/** Whether it belongs to no file. */
export function isControlKind(kind: EntryKind): boolean {
  return kind === "sync-start" || kind === "sync-finish" || kind === "mark";
}

/** Whether the command is about the copy's path, an ancestor or a descendant. One of no file is about all. */
export function touchesCopy(command: Entry, copy: Entry): boolean {
  if (isControlKind(command.kind)) return true;
  const touches = (path: TreePath) => isWithin(path, copy.path) || isWithin(copy.path, path);
  return [command.path, command.from, command.existing].some((path) => path !== undefined && touches(path));
}
