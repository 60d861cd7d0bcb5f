/** CRC-32 as GPT fixes it (UEFI 2.10, 5.3.2; the polynomial of Ethernet). For tables of some kilobytes, so plain. */

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let word = byte;
  for (let bit = 0; bit < 8; bit++) word = word & 1 ? (word >>> 1) ^ 0xedb8_8320 : word >>> 1;
  return word;
});

/** Unsigned, 32 bits. */
export function crc32(bytes: Uint8Array): number {
  let word = 0xffff_ffff;
  for (const byte of bytes) word = (word >>> 8) ^ TABLE[(word ^ byte) & 0xff]!;
  return (word ^ 0xffff_ffff) >>> 0;
}
