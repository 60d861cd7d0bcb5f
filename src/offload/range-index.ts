/**
 * Which of many numbered owners have a range that a request touches.
 *
 * Always holds: a range stands in at most two buckets of the level whose buckets are at least as long as it, so adding
 * and removing cost the same however long it is, and finding costs what is found and the levels in use.
 */
import type { ByteRange } from "../device/mod.ts";

/** Longest a level's ranges are, at least. */
const RANGE_BYTES_MIN = 4096;
/** A bucket is so many times as long, so that few ranges stand in two: memory, not time, is what counts here. */
const BUCKET_RANGES = 8;

interface Entry {
  readonly owner: number;
  readonly start: number;
  readonly end: number;
  /** The owner's next range. */
  readonly next: Entry | undefined;
}

interface Level {
  readonly bucketBytes: number;
  readonly buckets: Map<number, Set<Entry>>;
}

export class RangeIndex {
  readonly #levels = new Map<number, Level>();
  readonly #entries = new Map<number, Entry>();

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** An owner is added once, with all its ranges. */
  add(owner: number, ranges: readonly ByteRange[]): void {
    let next: Entry | undefined;
    for (const { offsetBytes, lengthBytes } of ranges) {
      const entry: Entry = { owner, start: offsetBytes, end: offsetBytes + lengthBytes, next };
      next = entry;
      const level = this.#levelOf(lengthBytes);
      for (const bucket of bucketsOf(level, entry.start, entry.end)) {
        const set = level.buckets.get(bucket);
        if (set === undefined) level.buckets.set(bucket, new Set([entry]));
        else set.add(entry);
      }
    }
    if (next !== undefined) this.#entries.set(owner, next);
  }

  remove(owner: number): void {
    const first = this.#entries.get(owner);
    this.#entries.delete(owner);
    for (let entry = first; entry !== undefined; entry = entry.next) {
      const level = this.#levelOf(entry.end - entry.start);
      for (const bucket of bucketsOf(level, entry.start, entry.end)) {
        const set = level.buckets.get(bucket)!;
        set.delete(entry);
        if (set.size === 0) level.buckets.delete(bucket);
      }
      if (level.buckets.size === 0) this.#levels.delete(level.bucketBytes);
    }
  }

  /** Owners of ranges that [offset, offset + length) touches. */
  find(offset: number, length: number): Set<number> {
    const found = new Set<number>();
    const end = offset + length;
    for (const entry of this.#touched(offset, end)) found.add(entry.owner);
    return found;
  }

  touches(offset: number, length: number): boolean {
    return !this.#touched(offset, offset + length).next().done;
  }

  *#touched(start: number, end: number): Generator<Entry> {
    if (end <= start) return;
    for (const level of this.#levels.values()) {
      const first = Math.floor(start / level.bucketBytes);
      const last = Math.floor((end - 1) / level.bucketBytes);
      const sets =
        last - first >= level.buckets.size ? level.buckets.values() : present(level.buckets, first, last);
      for (const set of sets)
        for (const entry of set) if (entry.start < end && start < entry.end) yield entry;
    }
  }

  #levelOf(length: number): Level {
    const bucketBytes = BUCKET_RANGES * Math.max(RANGE_BYTES_MIN, 2 ** Math.ceil(Math.log2(length)));
    let level = this.#levels.get(bucketBytes);
    if (level === undefined) this.#levels.set(bucketBytes, (level = { bucketBytes, buckets: new Map() }));
    return level;
  }
}

function* bucketsOf({ bucketBytes }: Level, start: number, end: number): Generator<number> {
  const last = Math.floor((end - 1) / bucketBytes);
  for (let bucket = Math.floor(start / bucketBytes); bucket <= last; bucket++) yield bucket;
}

function* present(buckets: Map<number, Set<Entry>>, first: number, last: number): Generator<Set<Entry>> {
  for (let bucket = first; bucket <= last; bucket++) {
    const set = buckets.get(bucket);
    if (set !== undefined) yield set;
  }
}
