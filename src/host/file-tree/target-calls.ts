/**
 * Linux calls that only a target needs, beside those of `tree-calls.ts`: what the file system is.
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
}

/** Of the file system that the descriptor is on. struct statfs, all of 8 bytes: namelen is the 9th, flags the 11th. */
export function fileSystemStatus(fd: number): FileSystemStatus | number {
  if ((fstatfs(fd, address) as number) < 0) return -koffi.errno();
  return { nameBytesMax: words[16]!, isReadOnly: (words[20]! & ST_RDONLY) !== 0 };
}
