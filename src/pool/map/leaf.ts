/**
 * A leaf in memory: 512 pages as a bitmap and packed entries of three words, so that a lookup is a bit test and
 * a rank, and a sparse leaf is small.
 *
 * Entry words: own block (segment, offset of the page's bytes, checksum); foreign (kind | position in `foreign`,
 * slot in that leaf, 0); zero (kind, 0, 0). A page without an entry is a hole.
 * Always holds: a foreign entry names a leaf's own block, never that leaf's foreign one; `foreignUses` counts
 * the entries per foreign leaf and an unused position is 0.
 */
import { assert } from "../../base/assert.ts";
import { LEAF_PAGES } from "../format/layout.ts";
import { CAPACITIES, classFor, ENTRY_WORDS, type LeafSlab, slotWords } from "./leaf-slab.ts";

export const EntryKind = { own: 0, foreign: 1, zero: 2, hole: 3 } as const;
export const KIND_SHIFT = 30;
/** First word of an entry of zeros. */
export const ZERO_ENTRY = (EntryKind.zero << KIND_SHIFT) >>> 0;
export const VALUE_MASK = 0x3fff_ffff;
const BITMAP_WORDS = 16;
/** A leaf's JavaScript object with its places in the cache's arrays, as measured with a million of them. */
const LEAF_OBJECT_BYTES = 320;

function popcount(word: number): number {
  let bits = word - ((word >>> 1) & 0x5555_5555);
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return (((bits + (bits >>> 4)) & 0x0f0f_0f0f) * 0x0101_0101) >>> 24;
}

export class Leaf {
  readonly level = 0;
  readonly id: number;
  words: Uint32Array;
  base: number;
  sizeClass: number;
  /** Entries that exist. */
  size = 0;
  /** No page behind this one has an entry, so what is set behind it is just appended. */
  last = -1;
  foreign: number[] | undefined;
  foreignUses: number[] | undefined;
  dirty = false;
  /** Waits to be encoded by the running checkpoint as it is. */
  frozen = false;
  /** Touched since the cache's hand passed. */
  recent = true;
  /** Position in the cache's ring. */
  ring = -1;
  readonly #slab: LeafSlab;

  constructor(id: number, slab: LeafSlab, capacity: number) {
    this.id = id;
    this.#slab = slab;
    this.sizeClass = classFor(capacity);
    const slot = slab.allocate(this.sizeClass);
    this.words = slot.words;
    this.base = slot.base;
  }

  get memoryBytes(): number {
    return (
      LEAF_OBJECT_BYTES +
      slotWords(this.sizeClass) * 4 +
      (this.foreign === undefined ? 0 : 64 + this.foreign.length * 16)
    );
  }

  /** Gives the memory back; the leaf must not be used again. */
  release(): void {
    this.#slab.release(this.sizeClass, this.words, this.base);
    this.words = EMPTY;
    this.base = 0;
    this.size = 0;
  }

  /** Word index of a page's entry, or -1 for a hole. */
  find(page: number): number {
    const { words, base } = this;
    if (this.size === LEAF_PAGES) return base + BITMAP_WORDS + page * ENTRY_WORDS;
    const word = page >>> 5;
    const bits = words[base + word]!;
    const bit = page & 31;
    if (((bits >>> bit) & 1) === 0) return -1;
    let rank = popcount(bits & ((1 << bit) - 1));
    for (let at = base; at < base + word; at += 1) rank += popcount(words[at]!);
    return base + BITMAP_WORDS + rank * ENTRY_WORDS;
  }

  /** Puts an entry in place of what was there; the caller has released that. */
  set(page: number, first: number, second: number, third: number): void {
    let at = page > this.last ? this.#append(page) : this.find(page);
    if (at < 0) at = this.#insert(page);
    const { words } = this;
    words[at] = first;
    words[at + 1] = second;
    words[at + 2] = third;
  }

  /** Makes the page a hole; the caller has released what was there. */
  clear(page: number): void {
    const at = this.find(page);
    if (at < 0) return;
    const { words, base } = this;
    const end = base + BITMAP_WORDS + this.size * ENTRY_WORDS;
    words.copyWithin(at, at + ENTRY_WORDS, end);
    words[base + (page >>> 5)]! &= ~(1 << (page & 31));
    this.size -= 1;
    if (page === this.last) this.last -= 1;
  }

  #append(page: number): number {
    if (this.size === CAPACITIES[this.sizeClass]!) this.#grow();
    this.words[this.base + (page >>> 5)]! |= 1 << (page & 31);
    this.last = page;
    this.size += 1;
    return this.base + BITMAP_WORDS + (this.size - 1) * ENTRY_WORDS;
  }

  #insert(page: number): number {
    if (this.size === CAPACITIES[this.sizeClass]!) this.#grow();
    const { words, base } = this;
    const word = page >>> 5;
    const bit = page & 31;
    let rank = popcount(words[base + word]! & ((1 << bit) - 1));
    for (let at = base; at < base + word; at += 1) rank += popcount(words[at]!);
    const at = base + BITMAP_WORDS + rank * ENTRY_WORDS;
    const end = base + BITMAP_WORDS + this.size * ENTRY_WORDS;
    if (at < end) words.copyWithin(at + ENTRY_WORDS, at, end);
    words[base + word]! |= 1 << bit;
    this.size += 1;
    return at;
  }

  /** Makes room for `count` more entries at once. */
  reserve(count: number): void {
    const sizeClass = classFor(Math.min(LEAF_PAGES, this.size + count));
    if (sizeClass > this.sizeClass) this.#growTo(sizeClass);
  }

  /**
   * Entries for `count` pages in a row behind all others, which refer to as many slots in a row of a foreign
   * leaf; the caller counts the uses.
   */
  appendForeign(page: number, count: number, entry: number, slot: number): void {
    this.reserve(count);
    const { words, base } = this;
    let at = base + BITMAP_WORDS + this.size * ENTRY_WORDS;
    for (let done = 0; done < count; done += 1, at += ENTRY_WORDS) {
      words[at] = entry;
      words[at + 1] = slot + done;
      words[at + 2] = 0;
    }
    const end = page + count;
    for (let from = page; from < end; ) {
      const bit = from & 31;
      const bits = Math.min(32 - bit, end - from);
      words[base + (from >>> 5)]! |= (bits === 32 ? -1 : (1 << bits) - 1) << bit;
      from += bits;
    }
    this.last = end - 1;
    this.size += count;
  }

  /** Pages in a row from `page` on, below `end`, that have entries. */
  presentRun(page: number, end: number): number {
    if (this.size === LEAF_PAGES) return end - page;
    const { words, base } = this;
    let at = page;
    while (at < end) {
      const holes = ~words[base + (at >>> 5)]! >>> (at & 31);
      if (holes !== 0) {
        at += 31 - Math.clz32(holes & -holes);
        break;
      }
      at += 32 - (at & 31);
    }
    return Math.min(at, end) - page;
  }

  #grow(): void {
    this.#growTo(this.sizeClass + 1);
  }

  #growTo(sizeClass: number): void {
    const slot = this.#slab.allocate(sizeClass);
    const used = BITMAP_WORDS + this.size * ENTRY_WORDS;
    slot.words.set(this.words.subarray(this.base, this.base + used), slot.base);
    this.#slab.release(this.sizeClass, this.words, this.base);
    this.words = slot.words;
    this.base = slot.base;
    this.sizeClass = sizeClass;
  }

  kind(page: number): number {
    const at = this.find(page);
    return at < 0 ? EntryKind.hole : this.words[at]! >>> KIND_SHIFT;
  }

  /** Calls `visit` for each entry in page order; the leaf must not change meanwhile. */
  forEach(visit: (page: number, first: number, second: number, third: number) => void): void {
    const { words, base } = this;
    let at = base + BITMAP_WORDS;
    for (let word = 0; word < BITMAP_WORDS; word += 1) {
      let bits = words[base + word]!;
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits & -bits);
        bits &= bits - 1;
        visit(word * 32 + bit, words[at]!, words[at + 1]!, words[at + 2]!);
        at += ENTRY_WORDS;
      }
    }
  }

  /** First page at or behind `page` that has an entry, or LEAF_PAGES. */
  nextPresent(page: number): number {
    const { words, base } = this;
    let word = page >>> 5;
    if (word >= BITMAP_WORDS) return LEAF_PAGES;
    let bits = words[base + word]! & (-1 << (page & 31));
    while (bits === 0) {
      word += 1;
      if (word === BITMAP_WORDS) return LEAF_PAGES;
      bits = words[base + word]!;
    }
    return word * 32 + 31 - Math.clz32(bits & -bits);
  }

  /** Position of a leaf in the foreign table, or -1. */
  foreignPosition(id: number): number {
    return this.foreign === undefined ? -1 : this.foreign.indexOf(id);
  }

  /** Position for a leaf that is about to be referred to; new ones start with 0 uses. */
  foreignPositionFor(id: number): number {
    this.foreign ??= [];
    this.foreignUses ??= [];
    let position = this.foreign.indexOf(id);
    if (position >= 0) return position;
    position = this.foreign.indexOf(0);
    if (position < 0) {
      position = this.foreign.length;
      assert(position < LEAF_PAGES, "at most one foreign leaf a page");
      this.foreign.push(id);
      this.foreignUses.push(0);
    } else this.foreign[position] = id;
    return position;
  }

  /** Whether an entry refers to a slot of the foreign leaf at `position`. */
  usesForeignSlot(position: number, slot: number): boolean {
    const wanted = ((EntryKind.foreign << KIND_SHIFT) | position) >>> 0;
    const { words } = this;
    const begin = this.base + BITMAP_WORDS;
    const end = begin + this.size * ENTRY_WORDS;
    for (let at = begin; at < end; at += ENTRY_WORDS)
      if (words[at] === wanted && words[at + 1] === slot) return true;
    return false;
  }
}

const EMPTY = new Uint32Array(0);
