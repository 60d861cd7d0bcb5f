/**
 * A directory of files on one disk, as the pool sees it. The simulator implements it with a disk that loses,
 * tears and reorders what was not synced.
 *
 * Always holds: offsets and lengths are bytes. Errors are RopewalkErrors: NO_SPACE from `create`, IO_ERROR
 * else. `write` and `readNow` are synchronous on purpose: on bytes that sit in the page cache they cost less
 * than any hand-over to another thread (see docs/decisions/).
 */

export interface DiskFile {
  readonly name: string;
  readonly sizeBytes: number;

  /**
   * Writes `parts` one behind the other at `position`, inside the file's allocated size. Returns when all
   * bytes are with the kernel (not durable). Throws IO_ERROR when fewer were written; how many is unknown.
   */
  write(position: number, parts: readonly Uint8Array[]): void;

  /** `write` on another thread: the parts stay untouched until it resolves. Killed in between, a prefix may be with the kernel. */
  writeAside(position: number, parts: readonly Uint8Array[]): Promise<void>;

  /**
   * Reads `length` bytes at `position` into `target` at `targetOffset` if no device need be waited for.
   * Returns false, with `target` undefined in that range, when the bytes are not in memory.
   */
  readNow(position: number, target: Uint8Array, targetOffset: number, length: number): boolean;

  /** Reads `length` bytes at `position` into `target` at `targetOffset`, waiting for the device. */
  read(position: number, target: Uint8Array, targetOffset: number, length: number): Promise<void>;

  /**
   * Another thread reads the pages of `target` (4 KiB each) at `position` and compares them with `sums`. False when
   * one is not in memory or differs; undefined when no thread can. The file stays open until it resolves.
   */
  readPages(position: number, target: Uint8Array, sums: Uint32Array): Promise<boolean> | undefined;

  /** fdatasync: everything written before the call is durable when it resolves. After a rejection the state is unknown. */
  sync(): Promise<void>;

  /** Forgets what the page cache holds of the file, so that the next read comes from the device. */
  dropCache(): Promise<void>;

  close(): Promise<void>;
}

export interface DiskEntry {
  readonly name: string;
  readonly sizeBytes: number;
}

export interface Disk {
  /** The files of the directory, in no order. */
  list(): Promise<DiskEntry[]>;
  /** Makes the file with all its blocks allocated, reading as zeros. ALREADY_EXISTS when the name is taken. */
  create(name: string, sizeBytes: number): Promise<DiskFile>;
  /** Opens an existing file for reading and writing. NOT_FOUND when there is none. */
  open(name: string): Promise<DiskFile>;
  /** Renames a file; an existing `to` is replaced. Durable only after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Makes creations, renames and removals that came before durable. */
  syncDirectory(): Promise<void>;
  /** Takes the directory for this process; POOL_IN_USE when another one has it. Held until `unlock` or death. */
  lock(): Promise<void>;
  unlock(): Promise<void>;
}
