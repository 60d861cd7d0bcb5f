/**
 * The digest by which directories and blocks of files are compared between two machines: XXH3-128. It finds differences
 * that come about by accident; it is no protection against somebody who makes two contents of one digest on purpose.
 */
import { xxh3 } from "@node-rs/xxhash";

export const DIGEST_BYTES = 16;

/** XXH3-128 of `bytes`, in the canonical form of 16 bytes (high half first, big-endian). `seed` is below 2^53. */
export function digest128(bytes: Uint8Array, seed = 0): Uint8Array {
  const digest = new Uint8Array(DIGEST_BYTES);
  writeDigest128(bytes, { into: digest, at: 0, seed });
  return digest;
}

/** The same, into memory that is there: for many blocks one behind the other. */
export function writeDigest128(
  bytes: Uint8Array,
  to: { readonly into: Uint8Array; readonly at: number; readonly seed: number },
): void {
  const value = to.seed === 0 ? xxh3.xxh128(bytes) : xxh3.xxh128(bytes, BigInt(to.seed));
  const view = new DataView(to.into.buffer, to.into.byteOffset + to.at, DIGEST_BYTES);
  view.setBigUint64(0, value >> 64n);
  view.setBigUint64(8, BigInt.asUintN(64, value));
}
