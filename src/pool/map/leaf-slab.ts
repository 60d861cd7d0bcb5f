/**
 * Memory for leaves' entries: slots of a few sizes cut from chunks of 256 KiB, so that half a million sparse
 * leaves cost neither an ArrayBuffer each nor work for the garbage collector.
 *
 * Always holds: a slot belongs to one leaf until `release`; a slot's words are zero when handed out.
 */
import { assert } from "../../base/assert.ts";

const CHUNK_WORDS = 65_536;
const BITMAP_WORDS = 16;
export const ENTRY_WORDS = 3;

/** Entries that a slot of each class holds. */
export const CAPACITIES = [4, 8, 16, 32, 64, 128, 256, 512] as const;

export function slotWords(sizeClass: number): number {
  return BITMAP_WORDS + CAPACITIES[sizeClass]! * ENTRY_WORDS;
}

export function classFor(entries: number): number {
  let sizeClass = 0;
  while (CAPACITIES[sizeClass]! < entries) sizeClass += 1;
  return sizeClass;
}

interface Chunk {
  readonly words: Uint32Array;
  readonly freeSlots: number[];
  readonly slots: number;
}

export interface Slot {
  words: Uint32Array;
  base: number;
}

export class LeafSlab {
  /** Per class: chunks with a free slot. */
  readonly #open: Chunk[][] = CAPACITIES.map(() => []);
  readonly #chunkOf = new Map<Uint32Array, Chunk>();
  readonly #empty: Uint32Array[] = [];
  /** Bytes of chunks, used or not. */
  chunkBytes = 0;

  allocate(sizeClass: number): Slot {
    const open = this.#open[sizeClass]!;
    let chunk = open[open.length - 1];
    if (chunk === undefined) {
      chunk = this.#newChunk(sizeClass);
      open.push(chunk);
    }
    const base = chunk.freeSlots.pop()!;
    if (chunk.freeSlots.length === 0) open.pop();
    chunk.words.fill(0, base, base + BITMAP_WORDS);
    return { words: chunk.words, base };
  }

  release(sizeClass: number, words: Uint32Array, base: number): void {
    const chunk = this.#chunkOf.get(words);
    assert(chunk !== undefined, "the slot came from this slab");
    chunk.freeSlots.push(base);
    const open = this.#open[sizeClass]!;
    if (chunk.freeSlots.length === 1) open.push(chunk);
    else if (chunk.freeSlots.length === chunk.slots && open.length > 1) {
      open.splice(open.indexOf(chunk), 1);
      this.#chunkOf.delete(words);
      if (this.#empty.length < 16) this.#empty.push(words);
      else this.chunkBytes -= CHUNK_WORDS * 4;
    }
  }

  #newChunk(sizeClass: number): Chunk {
    let words = this.#empty.pop();
    if (words === undefined) {
      words = new Uint32Array(CHUNK_WORDS);
      this.chunkBytes += CHUNK_WORDS * 4;
    }
    const size = slotWords(sizeClass);
    const slots = Math.floor(CHUNK_WORDS / size);
    const freeSlots: number[] = [];
    for (let slot = slots - 1; slot >= 0; slot -= 1) freeSlots.push(slot * size);
    const chunk = { words, freeSlots, slots };
    this.#chunkOf.set(words, chunk);
    return chunk;
  }
}
