/**
 * Blocks of one sealed segment, read a stretch at a time where most of it is wanted.
 * Always holds: what `at` names stays as it is until the next `load`. Errors: IO_ERROR.
 */
import { PAGE_BYTES } from "../format/layout.ts";
import type { Segment } from "../log/segment.ts";
import type { Segments } from "../log/segments.ts";

const WINDOW_BYTES = 64 * PAGE_BYTES;
/** From this share of wanted blocks on, reading the others with them costs less than a call for each. */
const WANTED_SHARE_MIN = 0.3;

export class BlockWindow {
  readonly bytes = new Uint8Array(WINDOW_BYTES);
  readonly #segments: Segments;
  #number = 0;
  #start = 0;
  #end = 0;

  constructor(segments: Segments) {
    this.#segments = segments;
  }

  /** Where in `bytes` the block at `offset` of a segment begins; -1 when it has to be loaded. */
  at(segment: Segment, offset: number): number {
    const held = segment.number === this.#number && offset >= this.#start && offset + PAGE_BYTES <= this.#end;
    return held ? offset - this.#start : -1;
  }

  /** Reads the block at `offset`, with those behind it when `share` of the segment is wanted. */
  async load(segment: Segment, offset: number, share: number): Promise<void> {
    const wanted = share >= WANTED_SHARE_MIN ? WINDOW_BYTES : PAGE_BYTES;
    const length = Math.min(wanted, Math.max(PAGE_BYTES, segment.end - offset));
    this.#number = 0;
    if (!this.#segments.readNow(segment.number, offset, this.bytes, 0, length))
      await this.#segments.read(segment.number, offset, this.bytes, 0, length);
    this.#number = segment.number;
    this.#start = offset;
    this.#end = offset + length;
  }
}
