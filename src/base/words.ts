/** 64-bit numbers below 2^53 as two 32-bit words, low word first. */

export const TWO_32 = 0x1_0000_0000;

export function highWord(value: number): number {
  return Math.floor(value / TWO_32) >>> 0;
}

export function joinWords(low: number, high: number): number {
  return high * TWO_32 + low;
}

/** The bytes behind `words`, without a copy. */
export function bytesOfWords(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}
