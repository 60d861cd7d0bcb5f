/**
 * One file that only grows until it is begun anew, as a port: what must survive the death of the process.
 * Always holds: bytes that were appended survive the process; those before a `sync` also a power failure. IO_ERROR
 */
export interface AppendFile {
  /** What stood in it when it was opened. */
  readonly content: Uint8Array;
  /** With the kernel when it returns. */
  append(bytes: Uint8Array): void;
  sync(): Promise<void>;
  /** Empty again, with the kernel when it returns. */
  clear(): void;
  close(): Promise<void>;
}
