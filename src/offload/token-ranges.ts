/**
 * The ranges of what a token was made of, one behind the other: from a place in the token to a place in its source.
 * Always holds: none is empty, neighbours that continue each other are joined, their sum is a safe integer.
 */
import { RopewalkError } from "../base/errors.ts";
import type { ByteRange } from "../device/mod.ts";

export class TokenRanges {
  readonly ranges: readonly ByteRange[];
  readonly lengthBytes: number;
  /** Where each range begins in the token; made when somebody looks for a place among several. */
  #starts: Float64Array | undefined;

  /** INVALID_RANGE when the sum is not exact. */
  constructor(ranges: readonly ByteRange[]) {
    const joined: ByteRange[] = [];
    let total = 0;
    for (const { offsetBytes, lengthBytes } of ranges) {
      if (lengthBytes === 0) continue;
      total += lengthBytes;
      const last = joined.at(-1);
      if (last !== undefined && last.offsetBytes + last.lengthBytes === offsetBytes)
        joined[joined.length - 1] = {
          offsetBytes: last.offsetBytes,
          lengthBytes: last.lengthBytes + lengthBytes,
        };
      else joined.push({ offsetBytes, lengthBytes });
    }
    if (!Number.isSafeInteger(total))
      throw new RopewalkError("INVALID_RANGE", "The ranges are longer together than any token can be.");
    this.ranges = joined;
    this.lengthBytes = total;
  }

  /** These, or as much from their start on as is no longer than `lengthBytesMax`. */
  first(lengthBytesMax: number): TokenRanges {
    if (this.lengthBytes <= lengthBytesMax) return this;
    let rest = lengthBytesMax;
    const cut: ByteRange[] = [];
    for (const { offsetBytes, lengthBytes } of this.ranges) {
      if (rest === 0) break;
      const length = Math.min(lengthBytes, rest);
      cut.push({ offsetBytes, lengthBytes: length });
      rest -= length;
    }
    return new TokenRanges(cut);
  }

  /** Whether none ends past the end of something so long. */
  isInside(sizeBytes: number): boolean {
    return this.ranges.every(({ offsetBytes, lengthBytes }) => offsetBytes + lengthBytes <= sizeBytes);
  }

  /** Where the token's byte at `offset` stands, and how many follow it there; undefined past the token's end. */
  at(offset: number): ByteRange | undefined {
    if (offset >= this.lengthBytes) return undefined;
    if (this.ranges.length === 1) {
      const { offsetBytes, lengthBytes } = this.ranges[0]!;
      return { offsetBytes: offsetBytes + offset, lengthBytes: lengthBytes - offset };
    }
    const starts = (this.#starts ??= this.#findStarts());
    let [low, high] = [0, starts.length];
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    const { offsetBytes, lengthBytes } = this.ranges[low]!;
    const inside = offset - starts[low]!;
    return { offsetBytes: offsetBytes + inside, lengthBytes: lengthBytes - inside };
  }

  #findStarts(): Float64Array {
    const starts = new Float64Array(this.ranges.length);
    let start = 0;
    for (const [index, { lengthBytes }] of this.ranges.entries()) {
      starts[index] = start;
      start += lengthBytes;
    }
    return starts;
  }
}
