// Damage to encoded structures, for tests of their decoders.
import { checksum } from "../../src/base/checksum.ts";

/** Calls `check` with each single bit flipped in turn; afterwards the bytes are as they were. */
export function flipEachBit(bytes: Uint8Array, check: (bit: number) => void): void {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >>> 3]! ^= 1 << (bit & 7);
    try {
      check(bit);
    } finally {
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
    }
  }
}

/** The bytes with the checksum at `checksumAt` made right for what stands in them, so that a decoder looks further. */
export function sealed(bytes: Uint8Array, checksumAt: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setUint32(checksumAt, 0, true);
  view.setUint32(checksumAt, checksum(bytes), true);
  return bytes;
}
