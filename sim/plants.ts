/**
 * Bugs that can be planted, to prove that the simulator finds them. Most are in the pool, which is told their
 * names through its world, and in the rooms of tokens and of file replication, which are told them by their options; some
 * are lies of the disk.
 */
import type { DiskPlants } from "./simulated-disk.ts";

export interface Plant {
  readonly name: string;
  readonly what: string;
  /** A scenario whose first thousand seeds find it. */
  readonly scenario: string;
}

export const plants: readonly Plant[] = [
  plant("skip-sync", "one fdatasync in three is not done"),
  plant("early-ack", "a write is acknowledged before it and the records before it are written"),
  plant("no-round", "the append position is not rounded up before a sync"),
  plant("shared-parent-writable", "a leaf is written in place although its parent is shared with a snapshot"),
  plant("foreign-of-foreign", "a grafted run names a run that is foreign in its own leaf"),
  plant(
    "slot-before-segments",
    "the superblock slot is written before the segments that it needs are synced",
  ),
  plant("pointer-before-nodes", "the checkpoint's pointer is written before its nodes"),
  plant("early-reuse", "a freed segment is reused one checkpoint early"),
  plant("graft-count", "a graft counts one reference too few"),
  plant("replay-past-cut", "replay takes the records behind one whose data a power cut tore"),
  plant("rewrite-durable-sector", "a write also writes the sector before it again, which may be durable"),
  plant("move-without-compare", "the collector moves a pointer that no longer names the old place"),
  plant("undurable-cursor", "a cursor is given records that are not durable"),
  plant("subpage-race", "two sub-page writes merge with the same old page"),
  plant("skip-directory-sync", "directory syncs are reported as done and are not"),
  plant("half-graft", "replay applies only the first half of a graft's record"),
  plant("lost-trim", "replay leaves trims out"),
  plant("lying-disk", "the disk reports one sync in four as done that it has not begun"),
  plant("keep-cache", "recovery reads the log through what a failed sync left in the page cache"),
  tokenPlant(
    "token-early-unpin",
    "a token that shares a pin is not counted, so the pin goes while the token lives",
  ),
  tokenPlant("token-stale-pin", "tokens share a pin although the volume has changed since"),
  tokenPlant("token-wrong-watch", "a change is looked up behind the place where it happens"),
  tokenPlant("token-early-ack", "a persistent token is handed out before it is durable"),
  tokenPlant("token-undurable-end", "the end of a persistent token is told before it is durable"),
  tokenPlant("token-forgotten-expiry", "a restart forgets when persistent tokens expire"),
  tokenPlant("token-late-graft", "a token write's graft starts one page late"),
  tokenPlant("token-live-edge", "less than a page is read from the volume as it is, not from the token"),
  filesyncPlant("filesync-skip-barrier", "a command is carried out while copies run"),
  filesyncPlant(
    "filesync-late-copy",
    "a file is changed at the target while it is copied, and the copy goes on",
  ),
  filesyncPlant("filesync-double-claim", "two threads copy the same file"),
  filesyncPlant("filesync-early-finish", "a synchronization is finished before its copies are"),
  filesyncPlant("filesync-split-rename", "of a rename only the half that went is followed"),
  filesyncPlant(
    "filesync-stale-reads",
    "what was read where a directory stood before it moved is not read again",
  ),
  filesyncPlant("filesync-early-mark", "a mark is reached before the changes that it stands for"),
];

/** The part of the planted bugs that the simulated disk commits. */
export function diskPlants(names: ReadonlySet<string>): DiskPlants {
  return {
    ...(names.has("lying-disk") ? { skipSyncEvery: 4 } : {}),
    ...(names.has("skip-directory-sync") ? { skipDirectorySync: true } : {}),
    ...(names.has("rewrite-durable-sector") ? { rewriteSectorBefore: true } : {}),
    ...(names.has("keep-cache") ? { keepCache: true } : {}),
  };
}

function plant(name: string, what: string): Plant {
  return { name, what, scenario: "crash" };
}

function filesyncPlant(name: string, what: string): Plant {
  return { name, what, scenario: "filesync" };
}

function tokenPlant(name: string, what: string): Plant {
  return { name, what, scenario: "tokens" };
}
