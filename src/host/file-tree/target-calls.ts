/**
 * The Linux call that says what file system a tree is on, beside those of `tree-calls.ts`.
 *
 * Always holds: as in `tree-calls.ts`, a result is what the call did, or the negated errno.
 */
import koffi from "koffi";
import { addressOf, kernelMemory } from "./kernel-memory.ts";

const ST_RDONLY = 1;

const libc = koffi.load(null);
const fstatfs = libc.func("int fstatfs(int fd, uintptr_t to)");
const memory = kernelMemory(256);
const words = new Uint32Array(memory.buffer);
const address = addressOf(memory);

export interface FileSystemStatus {
  readonly nameBytesMax: number;
  readonly isReadOnly: boolean;
  /** What tells it from others, in hexadecimal; zeros where it does not say. */
  readonly id: string;
}

/** Of the file system that the descriptor is on. struct statfs, all of 8 bytes: fsid is the 8th, namelen the 9th, flags the 11th. */
export function fileSystemStatus(fd: number): FileSystemStatus | number {
  if ((fstatfs(fd, address) as number) < 0) return -koffi.errno();
  const id = Buffer.from(memory.subarray(56, 64)).toString("hex");
  return { id, nameBytesMax: words[16]!, isReadOnly: (words[20]! & ST_RDONLY) !== 0 };
}
