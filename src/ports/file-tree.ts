/**
 * Directory trees as a port: what a source of file replication reads, what a target applies. The host's implementation
 * does whole batches on threads of its own; the simulator's is a tree in memory.
 *
 * Always holds: a path is a `TreePath`, relative to the root; no call follows a symbolic link or leaves the root. What
 * happens to one file of a batch is a result of its own; a call rejects only when the tree as a whole cannot be used:
 * NOT_FOUND (the root is gone), PERMISSION_DENIED, IO_ERROR. Packed bytes (listings, bundles) are those of
 * `wire/filesync`, so that they go from disk to link and back without being taken apart in between.
 */

/**
 * Names joined by `/`, relative to the root; the root itself is empty. One character for each byte (`latin1`), because a
 * name is bytes, of which UTF-8 is only a habit.
 */
export type TreePath = string;

export type FileKind = "file" | "directory" | "symlink" | "fifo" | "socket" | "character" | "block";

export interface FileAttributes {
  readonly kind: FileKind;
  /** The lower 12 bits. */
  readonly mode: number;
  readonly userId: number;
  readonly groupId: number;
  /** Of files; the length of a symlink's target; else 0. */
  readonly sizeBytes: number;
  readonly modifiedSeconds: number;
  readonly modifiedNanoseconds: number;
  readonly changedSeconds: number;
  readonly changedNanoseconds: number;
  /** Names of the file; 1 of directories. */
  readonly links: number;
  /** Inode number; two names of one file have the same `device` and `inode`. */
  readonly inode: number;
  readonly device: number;
  /** Of device nodes: major * 2^32 + minor; else 0. */
  readonly deviceNode: number;
  /** Hash of all extended attributes and ACLs; 0 when there are none. */
  readonly extendedHash: number;
}

/** Why one file of a batch was not done: an errno's name, and what was tried. */
export interface FileFailure {
  readonly path: TreePath;
  /** `ENOENT`, `EACCES`, `ENOSPC`, … */
  readonly errno: string;
  /** The operation, for people: `open`, `rename`, … */
  readonly doing: string;
}

export interface ScannedDirectory {
  readonly path: TreePath;
  readonly attributes: FileAttributes;
  /** Hash of the compared part of the listing (names, kinds, modes, owners, sizes, times, extended attributes). */
  readonly digest: Uint8Array;
  readonly entries: number;
  readonly fileBytes: number;
  /** Names of directories inside, sorted by bytes. */
  readonly directories: readonly string[];
  /** Packed; only where it was asked for. */
  readonly listing: Uint8Array | undefined;
}

export interface ScanRequest {
  readonly paths: readonly TreePath[];
  readonly withListings: boolean;
  /** False: nobody compares what is listed, and `extendedHash` of what stands in a directory may be 0. True when absent. */
  readonly withExtended?: boolean;
  /** Names (not paths) that are passed over wherever they are, and paths that are. */
  readonly excludes: ExcludeRules;
}

/** Patterns as in `excludes` of a synchronization, compiled; see `filesync/exclude-rules.ts`. Plain data, so that threads take it. */
export interface ExcludeRules {
  /** Sources of regular expressions over a whole path, of latin1 characters. */
  readonly patterns: readonly string[];
}

export interface ScanResult {
  readonly directories: readonly ScannedDirectory[];
  readonly failures: readonly FileFailure[];
}

export interface WalkRequest {
  readonly paths: readonly TreePath[];
  readonly excludes: ExcludeRules;
}

export interface WalkedDirectory {
  readonly path: TreePath;
  /** Number of its watch, which was there before the directory was read. */
  readonly watch: number;
  /** Names of directories inside, sorted by bytes. */
  readonly directories: readonly string[];
}

export interface WalkResult {
  readonly directories: readonly WalkedDirectory[];
  readonly failures: readonly FileFailure[];
}

export interface PackRequest {
  /** In this order; directories, links and special files too. */
  readonly paths: readonly TreePath[];
  /** Where each goes at the target, when it is not the same path. Same length as `paths`. */
  readonly targetPaths?: readonly TreePath[];
  /** Files longer than this come back as `large`, and only their attributes are looked at. */
  readonly inlineBytesMax: number;
  /** The bundle ends before it would be longer; at least one path is taken. */
  readonly bundleBytesMax: number;
  /** `attributes`: no content, only attributes and extended attributes. */
  readonly what: "content" | "attributes";
}

export interface PackedPath {
  readonly path: TreePath;
  readonly attributes: FileAttributes;
  /** Too long for the bundle: to be sent in parts. */
  readonly isLarge: boolean;
  /** It changed while it was read, again and again; what is in the bundle may be torn, and an event of it follows. */
  readonly changedWhileRead: boolean;
}

export interface PackResult {
  /** Operations of `wire/filesync`, ready to be applied. May be empty. */
  readonly bundle: Uint8Array;
  /** How many operations the bundle has. */
  readonly operations: number;
  /** How many of the paths were taken, from the first on; the failures and the large ones count. */
  readonly taken: number;
  readonly packed: readonly PackedPath[];
  readonly failures: readonly FileFailure[];
}

/** A large file, open for reading; the same file whatever happens to its name. */
export interface SourceFile {
  readonly attributes: FileAttributes;
  /** Packed extended attributes, as an operation carries them. */
  readonly extended: Uint8Array;
  /** Fills `target` from `offset`; fewer bytes at the end. */
  read(offset: number, target: Uint8Array): Promise<number>;
  /** 16-byte hashes of the blocks of [offset, offset + length); the last block may be shorter. Keyed by `seed`. */
  hashes(request: HashRequest): Promise<Uint8Array>;
  /** The next range of data at or behind `offset`; undefined when only a hole follows. */
  dataAt(offset: number): Promise<{ offset: number; end: number } | undefined>;
  /** The attributes as they are now: whether it changed since it was opened. */
  now(): Promise<FileAttributes>;
  close(): Promise<void>;
}

export interface HashRequest {
  readonly offset: number;
  readonly length: number;
  readonly blockBytes: number;
  readonly seed: number;
}

/** The watches of group g have the numbers from g * WATCH_GROUP_SPAN on; an overflow is that of one group. */
export const WATCH_GROUP_SPAN = 2 ** 32;

/** Something happened to a name below a watched directory, or to the watch. */
export interface TreeEvent {
  readonly watch: number;
  /** In the watched directory; empty: the directory itself. */
  readonly name: string;
  readonly kind:
    | "created"
    | "written"
    | "closed"
    | "attributes"
    | "deleted"
    | "movedFrom"
    | "movedTo"
    | "deletedSelf"
    | "movedSelf"
    | "unmounted"
    | "watchGone"
    /** Events were lost; of which watches is unknown. `watch` is -1, `group` says of which group. */
    | "overflow"
    /** The reader fell behind and joined events: something happened to names of this directory, in an unknown order. */
    | "several";
  readonly isDirectory: boolean;
  /** Joins a movedFrom and its movedTo; else 0. */
  readonly cookie: number;
  /** Of an overflow. */
  readonly group?: number;
}

export interface TreeWatch {
  /** Resolves when every event that happened before the call was handed to the listener. */
  drained(): Promise<void>;
  remove(watches: readonly number[]): void;
  close(): Promise<void>;
}

export interface RootAttributes extends FileAttributes {
  /** What tells its file system from another one that was given the same device number later, where that is known. */
  readonly fileSystem?: string | undefined;
}

export interface SourceTree {
  /** The root's own attributes; NOT_FOUND, NOT_A_DIRECTORY (INVALID_ARGUMENT). */
  root(): Promise<RootAttributes>;
  /** Events reach `listener` in batches, in their order, from now on. Watches are set by `walk`. Once. */
  watch(listener: (events: readonly TreeEvent[]) => void): Promise<TreeWatch>;
  /** Sets (or finds) a watch on each directory, and names the directories in it. */
  walk(request: WalkRequest): Promise<WalkResult>;
  scan(request: ScanRequest): Promise<ScanResult>;
  /** Attributes of paths; undefined where nothing is. */
  stat(paths: readonly TreePath[]): Promise<readonly (FileAttributes | undefined)[]>;
  pack(request: PackRequest): Promise<PackResult>;
  open(path: TreePath): Promise<SourceFile>;
  close(): Promise<void>;
}

/** A large file on its way to the target: nobody sees it before `commit`. */
export interface TargetFile {
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Takes [offset, offset + length) of the file that stands there now, at the same place. */
  keep(offset: number, length: number): Promise<void>;
  /** Sets size and attributes, and puts it in the place of `path`, at once. `packed`: an operation of `wire/filesync`. */
  commit(packed: Uint8Array): Promise<FileFailure | undefined>;
  abort(): Promise<void>;
}

export interface ApplyResult {
  /** Operations that were done. */
  readonly done: number;
  /** By their number in the bundle, in order. */
  readonly failures: readonly (FileFailure & { readonly operation: number })[];
}

export interface TargetTree {
  root(): Promise<FileAttributes>;
  /** Carries out a bundle's operations in their order; one that fails does not stop the others. */
  apply(bundle: Uint8Array): Promise<ApplyResult>;
  scan(request: ScanRequest): Promise<ScanResult>;
  stat(paths: readonly TreePath[]): Promise<readonly (FileAttributes | undefined)[]>;
  /** A file to be written beside what stands at `path`. */
  begin(path: TreePath): Promise<TargetFile>;
  /** Of what stands at `path`; empty where that is no file. */
  hashes(path: TreePath, request: HashRequest): Promise<Uint8Array>;
  /** All that was applied before the call survives a power failure when it resolves. */
  sync(): Promise<void>;
  freeBytes(): Promise<number>;
  close(): Promise<void>;
}
