/**
 * A segment's owner page: for each block in it, in order, where it stands and which leaf's slot owns it (F2FS's
 * SSA). Always holds: entries are only added; the owner of a block never changes, and an entry of a block that
 * died just stays.
 */

import { assert } from "../../base/assert.ts";
import { highWord, joinWords, TWO_32 } from "../../base/words.ts";

export const OWNER_WORDS = 3;

export class Owners {
  words = new Uint32Array(OWNER_WORDS * 64);
  /** Entries. */
  length = 0;
  /** Entries that the last checkpoint has. */
  saved = 0;

  add(offset: number, leaf: number, slot: number): void {
    const at = this.length * OWNER_WORDS;
    if (at === this.words.length) {
      const grown = new Uint32Array(this.words.length * 2);
      grown.set(this.words);
      this.words = grown;
    }
    this.words[at] = offset;
    this.words[at + 1] = leaf >>> 0;
    this.words[at + 2] = (highWord(leaf) << 9) | slot;
    this.length += 1;
  }

  offset(index: number): number {
    return this.words[index * OWNER_WORDS]!;
  }

  leaf(index: number): number {
    return joinWords(this.words[index * OWNER_WORDS + 1]!, this.words[index * OWNER_WORDS + 2]! >>> 9);
  }

  slot(index: number): number {
    return this.words[index * OWNER_WORDS + 2]! & 0x1ff;
  }

  static restore(words: Uint32Array<ArrayBuffer>): Owners {
    const owners = new Owners();
    if (words.length > 0) owners.words = words;
    owners.length = words.length / OWNER_WORDS;
    owners.saved = owners.length;
    return owners;
  }
}

assert(2 ** 52 / TWO_32 <= 2 ** 20, "the high word of a node id and a slot fit 29 bits");
