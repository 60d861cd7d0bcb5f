/**
 * CRC-32C (Castagnoli), where a foreign format fixes it: iSCSI digests (RFC 7143, 13.1), VHDX.
 *
 * Always holds: the sum of two pieces is that of the whole when the first piece's sum is handed on as `before`.
 */
import { crc32c as packageCrc32c } from "@node-rs/crc32";

/** CRC-32C of `bytes` behind bytes whose sum is `before`; an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, before = 0): number {
  return packageCrc32c(bytes, before);
}
