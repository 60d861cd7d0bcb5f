/**
 * Gives long memory back at once, instead of when the garbage collector finds it: V8 collects the whole heap for each
 * 64 MiB of memory outside of it, which took a third of the processor time of a copy of small files.
 *
 * Always holds: who calls this is the last to use the bytes: afterwards they are empty, and so is every view of them. Bytes
 * that are a part of longer memory, as Node's pool gives them, are left alone.
 */

/** Short memory is left to the garbage collector: to detach it costs more. */
const RELEASED_BYTES_MIN = 16 * 1024;

export function releaseMemory(bytes: Uint8Array): void {
  const { buffer } = bytes;
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length;
  if (isWhole && bytes.length >= RELEASED_BYTES_MIN) buffer.transfer(0);
}
