/** What file replication needs of the machine and of its own room, given in by the daemon. */
import type { Connector, Synchronization, SynchronizationParts } from "../filesync/mod.ts";
import type { AppendFile, Clock, Random, SourceTree } from "../ports/mod.ts";
import type { WayToTarget } from "./filesync-connectors.ts";
import type { LookAt, WrittenRoot } from "./filesync-roots.ts";
import type { KeptTexts } from "./stacked-volumes.ts";

export interface FilesyncMachine {
  /** NOT_FOUND, INVALID_ARGUMENT (no directory), PERMISSION_DENIED, IO_ERROR */
  openSourceTree(directory: string): Promise<SourceTree>;
  /** PERMISSION_DENIED, IO_ERROR */
  readonly lookAt: LookAt;
  /** With those above it. PERMISSION_DENIED, IO_ERROR */
  makeDirectory(path: string): Promise<void>;
  /** The journal of a synchronization, made when absent. IO_ERROR, TOO_LARGE */
  openJournal(name: string): Promise<AppendFile>;
  removeJournal(name: string): Promise<void>;
}

/** What is used of a synchronization. */
export type RunningSynchronization = Pick<
  Synchronization,
  "start" | "sync" | "cancelSync" | "settled" | "verify" | "pause" | "resume" | "figures" | "stop"
>;

export interface FilesyncWorld {
  readonly definitions: KeptTexts;
  readonly machine: FilesyncMachine;
  readonly clock: Clock;
  readonly random: Random;
  /** The daemon's data directory, which is no target's. */
  readonly dataDirectory: string;
  readonly makeSynchronization: (parts: SynchronizationParts) => RunningSynchronization;
  readonly connector: (way: WayToTarget) => Connector;
  /** Directories of this machine that others' synchronizations may write to. */
  readonly receivingRoots: () => Promise<readonly WrittenRoot[]>;
  /** For the log. */
  readonly report: (name: string, sentence: string) => void;
}
