/**
 * One connection to a target as its thread sees it: the target's tree, and what is particular to a connection.
 *
 * Always holds, whoever implements it: requests of a main connection are carried out one after another in their order,
 * those of a sync connection in any order; once `closed` has resolved, every request that was not answered rejects, and
 * so does every later one. A request that was not answered may have been carried out, or may still be: the reply to a
 * `hello` says that nothing of an older connection of the same number is any more (the target ends that one first), which
 * is why claims of a dead connection may be worked on again.
 * Errors: those of `TargetTree`, and for a dead connection UNREACHABLE, TIMEOUT or PROTOCOL_ERROR.
 */
import type { RopewalkError } from "../../base/errors.ts";
import type {
  ApplyResult,
  FileAttributes,
  HashRequest,
  ScanRequest,
  ScanResult,
  TargetFile,
  TreePath,
} from "../../ports/mod.ts";
import type { DeletesPolicy, TargetAbilities } from "../../wire/filesync/mod.ts";

export type { TargetAbilities } from "../../wire/filesync/mod.ts";

import type { SyncMode } from "../compare/tree-comparison.ts";

/** What a synchronization tells each of its connections' targets (F8). */
export interface TargetConfiguration {
  /** The target's NAME at its daemon. */
  readonly target: string;
  /** 16 bytes. */
  readonly synchronization: Uint8Array;
  readonly modes: readonly SyncMode[];
  readonly deletes: DeletesPolicy;
}

export interface ConnectionConfiguration extends TargetConfiguration {
  readonly role: "main" | "sync";
  /** 0 is the main thread's. */
  readonly number: number;
}

export interface TargetConnection {
  /** First, and once. PEER_VERSION, TARGET_IN_USE, UNAUTHORIZED, NOT_FOUND. */
  hello(configuration: ConnectionConfiguration): Promise<TargetAbilities>;
  /** A reply that says only that the target is there; overtakes requests that take long. */
  keepAlive(): Promise<void>;
  /**
   * The bundle is the connection's from now on, which may give its memory back. `any`: also on a main connection it may be
   * carried out beside other requests; copies have no order.
   */
  apply(bundle: Uint8Array, operations: number, order?: "kept" | "any"): Promise<ApplyResult>;
  /** The file is the connection's: it is gone with it. */
  begin(path: TreePath): Promise<TargetFile>;
  hashes(path: TreePath, request: HashRequest): Promise<Uint8Array>;
  scan(request: ScanRequest): Promise<ScanResult>;
  stat(paths: readonly TreePath[]): Promise<readonly (FileAttributes | undefined)[]>;
  sync(): Promise<void>;
  freeBytes(): Promise<number>;
  /** Grows whenever bytes came from the target, and whenever the link took bytes for it. */
  readonly progress: number;
  /** Ends it when what was asked is answered. Does not reject; also resolves when the connection dies meanwhile. */
  close(): Promise<void>;
  /** Ends it at once, for this reason. */
  abandon(reason: RopewalkError): void;
  /** Resolves once, when it has ended in whatever way; undefined after `close`. */
  readonly closed: Promise<RopewalkError | undefined>;
}

export interface Connector {
  /** Errors: UNREACHABLE, TIMEOUT and what the way to the target has. */
  connect(number: number): Promise<TargetConnection>;
}
