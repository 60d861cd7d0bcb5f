/**
 * A table of fixed-size entries of 32-bit words, kept whole in memory and written in pages of 4 KiB.
 *
 * Always holds: an entry is changed only through `edit`; between `freeze` and `thaw` the pages as they stood at
 * the freeze stay readable (`frozenPage`), because the first change behind the freeze copies the page first.
 */
import { assert } from "../../base/assert.ts";
import { PAGE_BYTES } from "../format/layout.ts";

export const PAGE_WORDS = PAGE_BYTES / 4;

/** Where a page of the table stands on disk. */
export interface PagePlace {
  segment: number;
  offset: number;
  checksum: number;
}

export class PagedTable {
  readonly entryWords: number;
  readonly #entriesPerPage: number;
  readonly #pages: Uint32Array[] = [];
  readonly #dirty = new Set<number>();
  #frozen: Map<number, Uint32Array | undefined> | undefined;
  readonly places: (PagePlace | undefined)[] = [];
  /** Entries that exist; indexes run from 0. */
  length = 0;

  constructor(entryWords: number) {
    assert(PAGE_WORDS % entryWords === 0, "entries fill a page exactly");
    this.entryWords = entryWords;
    this.#entriesPerPage = PAGE_WORDS / entryWords;
  }

  get pageCount(): number {
    return this.#pages.length;
  }

  /** Page that holds an entry; read only. The entry begins at word `offsetOf(index)`. */
  page(index: number): Uint32Array {
    return this.#pages[(index / this.#entriesPerPage) >>> 0]!;
  }

  offsetOf(index: number): number {
    return (index % this.#entriesPerPage) * this.entryWords;
  }

  /** Adds a zeroed entry and returns its index. */
  append(): number {
    const index = this.length++;
    if (index % this.#entriesPerPage === 0) {
      this.#pages.push(new Uint32Array(PAGE_WORDS));
      this.places.push(undefined);
      this.#dirty.add(this.#pages.length - 1);
    }
    return index;
  }

  /** Page that holds an entry, to be changed now. */
  edit(index: number): Uint32Array {
    const pageNumber = (index / this.#entriesPerPage) >>> 0;
    const page = this.#pages[pageNumber]!;
    if (this.#frozen?.has(pageNumber)) {
      if (this.#frozen.get(pageNumber) === undefined) this.#frozen.set(pageNumber, page.slice());
    }
    this.#dirty.add(pageNumber);
    return page;
  }

  get dirtyPages(): number {
    return this.#dirty.size;
  }

  /** Marks a page to be written anew although nothing in it changes (its old place is being emptied). */
  markPageDirty(pageNumber: number): void {
    this.#dirty.add(pageNumber);
  }

  /** Begins a checkpoint: returns the pages that it must write. */
  freeze(): number[] {
    assert(this.#frozen === undefined, "one checkpoint at a time");
    const pages = [...this.#dirty];
    this.#frozen = new Map(pages.map((page) => [page, undefined]));
    this.#dirty.clear();
    return pages;
  }

  /** A page as it stood at the freeze; what the checkpoint itself adds (places) is written into it too. */
  frozenPage(pageNumber: number): Uint32Array {
    const frozen = this.#frozen;
    assert(frozen?.has(pageNumber), "the page was frozen");
    return frozen!.get(pageNumber) ?? this.#pages[pageNumber]!;
  }

  /**
   * The entry's page in the frozen state when it differs from the live one, for facts that a checkpoint
   * learns late (places). Undefined when the live page serves.
   */
  frozenCopy(index: number): Uint32Array | undefined {
    return this.#frozen?.get((index / this.#entriesPerPage) >>> 0);
  }

  /** Live page, for facts that a checkpoint learns late; does not make the page dirty. */
  late(index: number): Uint32Array {
    return this.#pages[(index / this.#entriesPerPage) >>> 0]!;
  }

  thaw(): void {
    this.#frozen = undefined;
  }

  /** A checkpoint that failed: its pages are dirty again. */
  unfreeze(): void {
    if (this.#frozen !== undefined) for (const page of this.#frozen.keys()) this.#dirty.add(page);
    this.#frozen = undefined;
  }

  /** Forgets everything, to be restored. */
  clear(): void {
    this.#pages.length = 0;
    this.places.length = 0;
    this.#dirty.clear();
    this.length = 0;
  }

  /** Puts back a page read from disk, in order. */
  restorePage(words: Uint32Array, place: PagePlace): void {
    this.#pages.push(words);
    this.places.push(place);
  }

  restoreLength(length: number): void {
    assert(Math.ceil(length / this.#entriesPerPage) === this.#pages.length, "all pages were restored");
    this.length = length;
  }

  pageNumberOf(index: number): number {
    return (index / this.#entriesPerPage) >>> 0;
  }
}
