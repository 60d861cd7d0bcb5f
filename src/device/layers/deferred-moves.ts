/**
 * Token writes that were answered and not yet carried out, as ranges of the destination.
 * Always holds: moves stand by their offsets and never overlap; `bytes` is the sum of their lengths; what is left of a
 * move that was cut keeps its number, so that numbers tell which were answered first.
 */
import { assert } from "../../base/assert.ts";
import type { ByteRange } from "../offload.ts";

/** What the moves of one request share. */
export interface DeferredWrite {
  /** Alternatives, the preferred one first. */
  readonly tokens: readonly Uint8Array[];
  readonly isProtected: boolean;
  readonly dueMs: number;
  /** Somebody was told that it cannot be carried out. */
  isReported: boolean;
}

export interface DeferredMove extends ByteRange {
  readonly number: number;
  readonly write: DeferredWrite;
  readonly tokenOffsetBytes: number;
  /** It could not be carried out when it was last tried. */
  hasFailed: boolean;
}

export class DeferredMoves {
  #moves: DeferredMove[] = [];
  #bytes = 0;

  get count(): number {
    return this.#moves.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get failedBytes(): number {
    let total = 0;
    for (const { hasFailed, lengthBytes } of this.#moves) if (hasFailed) total += lengthBytes;
    return total;
  }

  /** Its range has no moves. */
  add(move: DeferredMove): void {
    const index = this.#firstEndingBehind(move.offsetBytes);
    const next = this.#moves[index];
    assert(next === undefined || next.offsetBytes >= endOf(move), "moves do not overlap");
    this.#moves.splice(index, 0, move);
    this.#bytes += move.lengthBytes;
  }

  touches(range: ByteRange): boolean {
    if (this.#moves.length === 0 || range.lengthBytes === 0) return false;
    const next = this.#moves[this.#firstEndingBehind(range.offsetBytes)];
    return next !== undefined && next.offsetBytes < endOf(range);
  }

  overlapping(range: ByteRange): DeferredMove[] {
    return this.#moves.slice(...this.#indexesOf(range));
  }

  /** A move that would be two if the range were cut out of it. */
  splitBy(range: ByteRange): DeferredMove | undefined {
    const [first] = this.overlapping(range);
    if (first === undefined || first.offsetBytes >= range.offsetBytes) return undefined;
    return endOf(first) > endOf(range) ? first : undefined;
  }

  /** Of those that `isWanted`, the one that was answered first. */
  oldest(isWanted: (move: DeferredMove) => boolean): DeferredMove | undefined {
    let oldest: DeferredMove | undefined;
    for (const move of this.#moves)
      if ((oldest === undefined || move.number < oldest.number) && isWanted(move)) oldest = move;
    return oldest;
  }

  /** Nothing is to be carried out in the range any more. */
  cut(range: ByteRange): void {
    const [start, end] = this.#indexesOf(range);
    if (start === end) return;
    const rests: DeferredMove[] = [];
    for (const move of this.#moves.slice(start, end)) {
      this.#bytes -= move.lengthBytes;
      rests.push(...partsOutside(move, range));
    }
    for (const { lengthBytes } of rests) this.#bytes += lengthBytes;
    this.#moves.splice(start, end - start, ...rests);
  }

  #indexesOf(range: ByteRange): [start: number, end: number] {
    const start = this.#firstEndingBehind(range.offsetBytes);
    let end = start;
    if (range.lengthBytes > 0)
      while (end < this.#moves.length && this.#moves[end]!.offsetBytes < endOf(range)) end++;
    return [start, end];
  }

  #firstEndingBehind(offset: number): number {
    let low = 0;
    let high = this.#moves.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (endOf(this.#moves[middle]!) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function* partsOutside(move: DeferredMove, range: ByteRange): Generator<DeferredMove> {
  const { offsetBytes, lengthBytes, tokenOffsetBytes } = move;
  if (offsetBytes < range.offsetBytes) yield { ...move, lengthBytes: range.offsetBytes - offsetBytes };
  const skipped = endOf(range) - offsetBytes;
  if (skipped < lengthBytes)
    yield {
      ...move,
      offsetBytes: offsetBytes + skipped,
      lengthBytes: lengthBytes - skipped,
      tokenOffsetBytes: tokenOffsetBytes + skipped,
    };
}

function endOf({ offsetBytes, lengthBytes }: ByteRange): number {
  return offsetBytes + lengthBytes;
}
