/**
 * Memory that a thread hands to the kernel again and again: two paths, and a place for answers.
 *
 * Always holds: the memory belongs to the thread that loaded this module, and lies outside the garbage collector's
 * heap, so that an address stays true. What is in it is good until the next call that uses the same place.
 */
import koffi from "koffi";

export const WORD = 2 ** 32;
/** With the ending NUL; the kernel's PATH_MAX. */
export const PATH_MEMORY_BYTES = 4096;
/** Shorter names are written character by character: a call into Node costs more (8 instead of 20 ns). */
const SHORT_NAME = 32;

/** Where the bytes lie. Asked anew for each use of memory that may be transferred (0.04 µs). */
export function addressOf(bytes: ArrayBufferView): number {
  return Number(koffi.address(bytes));
}

/** Off the heap, whatever its size, so that its address may be kept. */
export function kernelMemory(lengthBytes: number): Buffer {
  return Buffer.from(new ArrayBuffer(lengthBytes));
}

/** A place for one NUL-terminated path of latin1 characters. */
export class PathMemory {
  readonly #bytes = kernelMemory(PATH_MEMORY_BYTES);
  readonly address = addressOf(this.#bytes);

  /** Its address; 0 (EFAULT in every call) when it is too long: ask `fits` first where that may be. */
  put(path: string): number {
    const { length } = path;
    if (length >= PATH_MEMORY_BYTES) return 0;
    const bytes = this.#bytes;
    if (length < SHORT_NAME) for (let at = 0; at < length; at += 1) bytes[at] = path.charCodeAt(at);
    else bytes.write(path, 0, "latin1");
    bytes[length] = 0;
    return this.address;
  }
}
