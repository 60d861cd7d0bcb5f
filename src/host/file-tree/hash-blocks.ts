/**
 * Hashes of the blocks of an open file: XXH3-128 of each, keyed by a seed, 16 bytes one behind the other.
 *
 * Always holds: holes hash like the zeros that they read as. Where the file ends before the range, the hashes do too;
 * its last block may be shorter than the others.
 */
import { DIGEST_BYTES, writeDigest128 } from "../../base/digest.ts";
import type { HashRequest } from "../../ports/mod.ts";
import { diskError } from "../disk-error.ts";
import { readFully } from "./file-content.ts";
import { kernelMemory } from "./kernel-memory.ts";
import type { Handed } from "./thread-jobs.ts";

/** Read at once: long enough to be read at the memory's speed, short enough to stay in the processor's cache. */
const READ_BYTES = 512 * 1024;

export interface HashJob extends HashRequest {
  readonly fd: number;
}

let memory = kernelMemory(READ_BYTES);

/** The handler of a tree thread. IO_ERROR */
export function hashBlocks(job: HashJob): Handed<Uint8Array<ArrayBuffer>> {
  const { fd, offset, length, blockBytes, seed } = job;
  const readBytes = Math.max(1, Math.floor(READ_BYTES / blockBytes)) * blockBytes;
  if (memory.length < readBytes) memory = kernelMemory(readBytes);
  const hashes = new Uint8Array(Math.ceil(length / blockBytes) * DIGEST_BYTES);
  let filled = 0;
  for (let at = 0; at < length; at += readBytes) {
    const wanted = Math.min(readBytes, length - at);
    const count = readFully(fd, memory.subarray(0, wanted), offset + at);
    if (count < 0) throw diskError({ call: "pread", path: "a file of the tree", cause: count });
    for (let block = 0; block < count; block += blockBytes) {
      const bytes = memory.subarray(block, Math.min(block + blockBytes, count));
      writeDigest128(bytes, { into: hashes, at: filled, seed });
      filled += DIGEST_BYTES;
    }
    if (count < wanted) break;
  }
  const result = filled === hashes.length ? hashes : hashes.slice(0, filled);
  return { result, transfer: [result.buffer] };
}

/** Pieces of a range for several threads, of whole blocks and at least `pieceBytesMin`. */
export function hashPieces(
  request: HashRequest,
  options: { readonly threads: number; readonly pieceBytesMin: number },
): HashRequest[] {
  const { offset, length, blockBytes, seed } = request;
  const share = Math.max(options.pieceBytesMin, length / options.threads);
  const pieceBytes = Math.ceil(share / blockBytes) * blockBytes;
  const pieces: HashRequest[] = [];
  for (let at = 0; at < length; at += pieceBytes)
    pieces.push({ offset: offset + at, length: Math.min(pieceBytes, length - at), blockBytes, seed });
  return pieces;
}

/** The pieces' hashes, one behind the other. */
export function joinHashes(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
