/**
 * Nodes that changed behind a cut before the checkpoint came to them, encoded as they stood at it.
 *
 * They stand in large pieces of memory that are used again: a buffer of its own for each would be made and freed
 * thousands of times in a checkpoint, and the memory's lock is shared with the garbage collector's threads.
 * Always holds: what `take` returns stays as it is until the next `put`.
 */
const BLOCK_WORDS = 64 * 1024;
/** Blocks that are kept for the next time. */
const SPARE_BLOCKS_MAX = 16;

interface Block {
  readonly words: Uint32Array;
  filled: number;
  /** Nodes in it that were not taken. */
  nodes: number;
}

interface Piece {
  readonly block: Block;
  readonly start: number;
  readonly length: number;
}

export class EarlyNodes {
  readonly #pieces = new Map<number, Piece>();
  readonly #spare: Block[] = [];
  #open: Block | undefined;

  put(id: number, words: Uint32Array): void {
    let block = this.#open;
    if (block === undefined || block.filled + words.length > BLOCK_WORDS) {
      this.#close();
      block = this.#spare.pop() ?? { words: new Uint32Array(BLOCK_WORDS), filled: 0, nodes: 0 };
      this.#open = block;
    }
    block.words.set(words, block.filled);
    this.#pieces.set(id, { block, start: block.filled, length: words.length });
    block.filled += words.length;
    block.nodes += 1;
  }

  /** The node's words, which it then forgets. */
  take(id: number): Uint32Array | undefined {
    const piece = this.#pieces.get(id);
    if (piece === undefined) return undefined;
    this.#pieces.delete(id);
    const { block, start, length } = piece;
    block.nodes -= 1;
    if (block.nodes === 0 && block !== this.#open) this.#recycle(block);
    return block.words.subarray(start, start + length);
  }

  clear(): void {
    const blocks = new Set([...this.#pieces.values()].map((piece) => piece.block));
    this.#pieces.clear();
    for (const block of blocks) if (block !== this.#open) this.#recycle(block);
    if (this.#open !== undefined) this.#open.nodes = this.#open.filled = 0;
  }

  /** No more is put into the open block. */
  #close(): void {
    if (this.#open?.nodes === 0) this.#recycle(this.#open);
    this.#open = undefined;
  }

  #recycle(block: Block): void {
    block.nodes = block.filled = 0;
    if (this.#spare.length < SPARE_BLOCKS_MAX) this.#spare.push(block);
  }
}
