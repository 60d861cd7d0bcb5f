/**
 * Checksums of blocks in a bounded part of memory: when it is full, those that were set longest ago are forgotten.
 * Always holds: no more entries than the memory is counted for.
 */

/** A map's entry of two small numbers, measured generously. */
const ENTRY_BYTES = 64;

export class KnownChecksums {
  readonly #entriesMax: number;
  /** In the order in which they were set. */
  readonly #checksums = new Map<number, number>();

  constructor(bytesMax: number) {
    this.#entriesMax = Math.max(1, Math.floor(bytesMax / ENTRY_BYTES));
  }

  get(number: number): number | undefined {
    return this.#checksums.get(number);
  }

  /** It counts as the newest. */
  set(number: number, checksum: number): void {
    this.#checksums.delete(number);
    if (this.#checksums.size === this.#entriesMax) {
      const [oldest] = this.#checksums.keys();
      this.#checksums.delete(oldest!);
    }
    this.#checksums.set(number, checksum);
  }

  /** Forgets the blocks from `first` to `last`. */
  drop(first: number, last: number): void {
    if (last - first < this.#checksums.size) {
      for (let number = first; number <= last; number++) this.#checksums.delete(number);
      return;
    }
    for (const number of this.#checksums.keys())
      if (number >= first && number <= last) this.#checksums.delete(number);
  }
}
