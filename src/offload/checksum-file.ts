/**
 * The file of the checksums that a device without its own keeps between two openings (T24);
 * docs/formats/kept-checksums.md has the layout.
 *
 * Always holds: what was decoded is of the device that was named, within all limits, and as it was encoded.
 */
import { assert } from "../base/assert.ts";
import { checksum } from "../base/checksum.ts";
import { KEPT_BLOCK_BYTES } from "./block-sums.ts";

export interface StoredChecksums {
  /** Of the device. */
  readonly sizeBytes: number;
  /** By the block's number, in the order in which they were kept. */
  readonly sums: ReadonlyMap<number, number>;
}

/** SHA-256 of the device's identity. */
export const CHECKSUM_FILE_IDENTITY_BYTES = 32;
/** A file has at most these, the newest. */
export const CHECKSUM_FILE_BLOCKS_MAX = 2 ** 20;

const MAGIC = "RWCHKSUM";
const VERSION = 1;
const AT = { version: 8, checksum: 12, identity: 16, sizeBytes: 48, blockBytes: 56, count: 60 } as const;
const HEADER_BYTES = 64;
const ENTRY_BYTES = 12;

export const CHECKSUM_FILE_BYTES_MAX = HEADER_BYTES + CHECKSUM_FILE_BLOCKS_MAX * ENTRY_BYTES;

export function encodeChecksumFile(identity: Uint8Array, { sizeBytes, sums }: StoredChecksums): Uint8Array {
  assert(identity.length === CHECKSUM_FILE_IDENTITY_BYTES, "an identity is a digest");
  const count = Math.min(sums.size, CHECKSUM_FILE_BLOCKS_MAX);
  const file = Buffer.alloc(HEADER_BYTES + count * ENTRY_BYTES);
  file.write(MAGIC, "latin1");
  file.writeUInt16LE(VERSION, AT.version);
  file.set(identity, AT.identity);
  file.writeBigUInt64LE(BigInt(sizeBytes), AT.sizeBytes);
  file.writeUInt32LE(KEPT_BLOCK_BYTES, AT.blockBytes);
  file.writeUInt32LE(count, AT.count);
  let at = HEADER_BYTES;
  let skipped = sums.size - count;
  for (const [number, sum] of sums) {
    if (skipped-- > 0) continue;
    // Not by BigInt, of which there would be one for each.
    file.writeUInt32LE(number % 2 ** 32, at);
    file.writeUInt32LE(Math.floor(number / 2 ** 32), at + 4);
    file.writeUInt32LE(sum, at + 8);
    at += ENTRY_BYTES;
  }
  file.writeUInt32LE(checksum(file.subarray(AT.identity)), AT.checksum);
  return file;
}

/** Undefined when it is damaged, of another device, or nothing that this version writes. */
export function decodeChecksumFile(identity: Uint8Array, bytes: Uint8Array): StoredChecksums | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (file.length < HEADER_BYTES || file.length > CHECKSUM_FILE_BYTES_MAX) return undefined;
  if (file.toString("latin1", 0, MAGIC.length) !== MAGIC || file.readUInt16LE(AT.version) !== VERSION)
    return undefined;
  if (file.readUInt16LE(AT.version + 2) !== 0) return undefined;
  if (file.readUInt32LE(AT.checksum) !== checksum(file.subarray(AT.identity))) return undefined;
  if (Buffer.compare(file.subarray(AT.identity, AT.sizeBytes), identity) !== 0) return undefined;
  const sizeBytes = Number(file.readBigUInt64LE(AT.sizeBytes));
  const count = file.readUInt32LE(AT.count);
  if (!Number.isSafeInteger(sizeBytes) || file.readUInt32LE(AT.blockBytes) !== KEPT_BLOCK_BYTES)
    return undefined;
  if (file.length !== HEADER_BYTES + count * ENTRY_BYTES) return undefined;
  const sums = new Map<number, number>();
  for (let at = HEADER_BYTES; at < file.length; at += ENTRY_BYTES) {
    const number = file.readUInt32LE(at) + file.readUInt32LE(at + 4) * 2 ** 32;
    if (sums.has(number) || (number + 1) * KEPT_BLOCK_BYTES > sizeBytes) return undefined;
    sums.set(number, file.readUInt32LE(at + 8));
  }
  return { sizeBytes, sums };
}
