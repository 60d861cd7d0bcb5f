/**
 * The blocks that the layer `cache` holds: which ones, in which order they were used, which are dirty.
 * Always holds: the first in the order was used longest ago; a block that was dropped is marked no more.
 */

export interface CachedBlock {
  readonly number: number;
  readonly bytes: Uint8Array;
  /** Changed since it was last written below. */
  isDirty: boolean;
}

export class CachedBlocks {
  /** In the order of use. */
  readonly #blocks = new Map<number, CachedBlock>();
  #dirtyCount = 0;
  #usedBytes = 0;

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** The block, which counts as used. */
  use(number: number): CachedBlock | undefined {
    const block = this.#blocks.get(number);
    if (block !== undefined) {
      this.#blocks.delete(number);
      this.#blocks.set(number, block);
    }
    return block;
  }

  peek(number: number): CachedBlock | undefined {
    return this.#blocks.get(number);
  }

  /** Takes `bytes` over as a clean block that is not there yet. */
  add(number: number, bytes: Uint8Array): CachedBlock {
    const block = { number, bytes, isDirty: false };
    this.#blocks.set(number, block);
    this.#usedBytes += bytes.length;
    return block;
  }

  drop(block: CachedBlock): void {
    if (!this.#blocks.delete(block.number)) return;
    this.#usedBytes -= block.bytes.length;
    if (block.isDirty) this.#dirtyCount--;
  }

  mark(block: CachedBlock, state: "dirty" | "clean"): void {
    const isDirty = state === "dirty";
    if (block.isDirty === isDirty || this.#blocks.get(block.number) !== block) return;
    block.isDirty = isDirty;
    this.#dirtyCount += isDirty ? 1 : -1;
  }

  /** The one of that state that was used longest ago. */
  oldest(state: "dirty" | "clean"): CachedBlock | undefined {
    const isDirty = state === "dirty";
    if (this.#dirtyCount === (isDirty ? 0 : this.#blocks.size)) return undefined;
    for (const block of this.#blocks.values()) if (block.isDirty === isDirty) return block;
    return undefined;
  }

  /** Numbers of the dirty blocks, ascending. */
  dirtyNumbers(): number[] {
    const numbers: number[] = [];
    for (const { number, isDirty } of this.#blocks.values()) if (isDirty) numbers.push(number);
    return numbers.sort((one, other) => one - other);
  }

  /** The blocks from number `first` to `last`, ascending; costs no more than there are blocks. */
  between(first: number, last: number): CachedBlock[] {
    const found: CachedBlock[] = [];
    if (last - first < this.#blocks.size) {
      for (let number = first; number <= last; number++) {
        const block = this.#blocks.get(number);
        if (block !== undefined) found.push(block);
      }
      return found;
    }
    for (const block of this.#blocks.values())
      if (block.number >= first && block.number <= last) found.push(block);
    return found.sort((one, other) => one.number - other.number);
  }
}
