/**
 * Chance from a seed: the port for the pool, and the simulator's own dice.
 * Always holds: the same seed gives the same sequence on every machine; a fork depends only on the seed and
 * its label, so that drawing more in one place never shifts another.
 */
import type { Random } from "../src/ports/mod.ts";

export class SimulatedRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  readonly #seed: string;

  constructor(seed: string | number) {
    this.#seed = String(seed);
    this.#a = hash(this.#seed, 0x9e37_79b9);
    this.#b = hash(this.#seed, 0x85eb_ca6b);
    this.#c = hash(this.#seed, 0xc2b2_ae35);
    for (let round = 0; round < 12; round++) this.word();
  }

  fork(label: string): SimulatedRandom {
    return new SimulatedRandom(`${this.#seed}/${label}`);
  }

  /** 32 random bits (the generator is sfc32). */
  word(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** From 0 up to, not including, 1. */
  fraction(): number {
    return this.word() / 0x1_0000_0000;
  }

  /** An integer from `low` to `high`, both inclusive. */
  between(low: number, high: number): number {
    return low + Math.floor(this.fraction() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.between(0, choices.length - 1)]!;
  }

  /** One of the keys, each as likely as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries<number>(weights);
    let rest = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      rest -= weight;
      if (rest < 0) return key as K;
    }
    return entries.at(-1)![0] as K;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at++) bytes[at] = this.word();
    return bytes;
  }
}

/** FNV-1a over the text, stirred; only used to spread seeds. */
function hash(text: string, salt: number): number {
  let state = 0x811c_9dc5 ^ salt;
  for (let at = 0; at < text.length; at++) state = Math.imul(state ^ text.charCodeAt(at), 0x0100_0193);
  state = Math.imul(state ^ (state >>> 16), 0x7feb_352d);
  return (state ^ (state >>> 15)) | 0;
}
