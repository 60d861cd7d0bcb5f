/**
 * Chance that a seed repeats: xoshiro128** by Blackman and Vigna, its state filled from a counter that the
 * finalizer of MurmurHash3 stirs.
 * Always holds: the same seed gives the same sequence on every machine. Not for keys or anything secret.
 */

const WORD = 2 ** 32;

export class Prng {
  readonly #state = new Uint32Array(4);

  /** `seed`: any whole number that a number carries exactly. */
  constructor(seed: number) {
    // Four different counters, stirred one to one: at most one word is zero, and a state of zeros, in which the
    // generator would stay, cannot be.
    let mixed = (seed >>> 0) ^ Math.imul(Math.floor(seed / WORD) >>> 0, 0x9e37_79b9);
    for (let index = 0; index < 4; index++) {
      mixed = (mixed + 0x9e37_79b9) | 0;
      let word = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
      word = Math.imul(word ^ (word >>> 13), 0xc2b2_ae35);
      this.#state[index] = word ^ (word >>> 16);
    }
  }

  /** 32 random bits, unsigned. */
  word(): number {
    const state = this.#state;
    const scrambled = Math.imul(rotateLeft(Math.imul(state[1]!, 5), 7), 9) >>> 0;
    const shifted = state[1]! << 9;
    state[2]! ^= state[0]!;
    state[3]! ^= state[1]!;
    state[1]! ^= state[2]!;
    state[0]! ^= state[3]!;
    state[2]! ^= shifted;
    state[3] = rotateLeft(state[3]!, 11);
    return scrambled;
  }

  /** From 0 up to, not including, 1. */
  fraction(): number {
    return this.word() / WORD;
  }

  /** True with the probability given: never at 0, always at 1. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
