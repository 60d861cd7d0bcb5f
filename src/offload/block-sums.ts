/**
 * Checksums of the destination's blocks, made from a token's data as it passes by to be hashed (T24).
 * Always holds: only blocks that one range of the write covers whole are among them; data comes in order from its start.
 */
import { checksum } from "../base/checksum.ts";
import type { ByteRange } from "../device/mod.ts";

/** A short read costs the reading of so much. */
export const KEPT_BLOCK_BYTES = 16_384;

interface Block {
  /** Of the destination. */
  readonly number: number;
  /** Where its data begins in the token. */
  readonly tokenOffsetBytes: number;
  /** How much of the write is done when the block is. */
  readonly endBytes: number;
}

export class BlockSums {
  readonly found: { readonly number: number; readonly sum: number; readonly endBytes: number }[] = [];
  readonly #blocks: Iterator<Block, undefined>;
  readonly #bytes = new Uint8Array(KEPT_BLOCK_BYTES);
  #next: Block | undefined;
  #filled = 0;

  constructor(request: { tokenOffsetBytes: number; ranges: readonly ByteRange[] }) {
    this.#blocks = blocksOf(request);
    this.#next = this.#blocks.next().value;
  }

  /** The token's data from `at` on. */
  add(at: number, data: Uint8Array): void {
    while (this.#next !== undefined) {
      const { number, tokenOffsetBytes, endBytes } = this.#next;
      const from = tokenOffsetBytes + this.#filled;
      const to = Math.min(tokenOffsetBytes + KEPT_BLOCK_BYTES, at + data.length);
      if (to <= from) return;
      this.#bytes.set(data.subarray(from - at, to - at), this.#filled);
      this.#filled += to - from;
      if (this.#filled < KEPT_BLOCK_BYTES) return;
      this.found.push({ number, sum: checksum(this.#bytes), endBytes });
      this.#filled = 0;
      this.#next = this.#blocks.next().value;
    }
  }
}

function* blocksOf(request: {
  tokenOffsetBytes: number;
  ranges: readonly ByteRange[];
}): Generator<Block, undefined> {
  let before = 0;
  for (const { offsetBytes, lengthBytes } of request.ranges) {
    const first = Math.ceil(offsetBytes / KEPT_BLOCK_BYTES);
    const end = offsetBytes + lengthBytes;
    for (let number = first; (number + 1) * KEPT_BLOCK_BYTES <= end; number++) {
      const inWrite = before + number * KEPT_BLOCK_BYTES - offsetBytes;
      yield {
        number,
        tokenOffsetBytes: request.tokenOffsetBytes + inWrite,
        endBytes: inWrite + KEPT_BLOCK_BYTES,
      };
    }
    before += lengthBytes;
  }
  return undefined;
}
