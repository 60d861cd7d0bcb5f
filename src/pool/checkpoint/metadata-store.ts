/**
 * Metadata segments: where checkpoints put nodes, table pages, owner pages and their directories.
 *
 * Always holds: a piece is written once; `live` bytes of a segment are what the newest durable state refers to.
 * A piece that is given up counts until a checkpoint that does without it is durable (`takeFrees`, `applyFrees`).
 */
import { assert } from "../../base/assert.ts";
import { checksum } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import { bytesOfWords } from "../../base/words.ts";
import { roundUp, SEGMENT_FOOTER_BYTES, SEGMENT_HEADER_BYTES } from "../format/layout.ts";
import { SegmentKind } from "../format/segment.ts";
import type { Place } from "../format/superblock.ts";
import type { Segment } from "../log/segment.ts";
import type { Segments } from "../log/segments.ts";
import type { PoolCounters } from "../pool-api.ts";

/** Gathered before it is written: a write of this much takes some 60 µs of the loop. */
const ARENA_WORDS = 64 * 1024;

export class MetadataStore {
  readonly #segments: Segments;
  readonly #counters: PoolCounters;
  readonly #arena = new Uint32Array(ARENA_WORDS);
  readonly #arenaBytes = bytesOfWords(this.#arena);
  #filled = 0;
  segment: Segment | undefined;
  #written = 0;
  /** Segments written since the last sync. */
  readonly #unsynced = new Set<Segment>();
  /** Pieces given up since the last cut: pairs of segment number and length. */
  #frees: number[] = [];

  constructor(segments: Segments, counters: PoolCounters) {
    this.#segments = segments;
    this.#counters = counters;
  }

  /** Makes sure that a piece of `words` words can be put. */
  async makeRoom(words: number): Promise<void> {
    const bytes = roundUp(words * 4, 8);
    assert(
      bytes <= this.#segments.segmentBytes - SEGMENT_HEADER_BYTES - SEGMENT_FOOTER_BYTES,
      "a piece fits a segment",
    );
    if (this.fits(words)) return;
    const segment = await this.#segments.take(SegmentKind.metadata, "checkpoint");
    this.writeOut();
    if (this.segment !== undefined) {
      this.segment.end = this.#written;
      this.segment.sealed = true;
    }
    this.#segments.begin(segment);
    this.segment = segment;
    this.#written = SEGMENT_HEADER_BYTES;
    this.#unsynced.add(segment);
  }

  fits(words: number): boolean {
    if (this.segment === undefined) return false;
    return this.#written + this.#filled + words * 4 + 8 <= this.#segments.segmentBytes - SEGMENT_FOOTER_BYTES;
  }

  /** Appends a piece; `makeRoom` came before. */
  put(words: Uint32Array, count: number): Place {
    const bytes = roundUp(count * 4, 8);
    if (this.#filled + bytes > ARENA_WORDS * 4) this.writeOut();
    const { segment } = this;
    assert(segment !== undefined && this.fits(count), "there is room for the piece");
    const offset = this.#written + this.#filled;
    const source = count === words.length ? words : words.subarray(0, count);
    let sum: number;
    if (bytes > ARENA_WORDS * 4) {
      const copy = new Uint32Array(bytes / 4);
      copy.set(source);
      segment.file!.write(this.#written, [bytesOfWords(copy)]);
      this.#written += bytes;
      this.#counters.metadataBytesWritten += bytes;
      this.#unsynced.add(segment);
      sum = checksum(bytesOfWords(source));
    } else {
      this.#arena.set(source, this.#filled / 4);
      if (bytes > count * 4) this.#arena[this.#filled / 4 + count] = 0;
      sum = checksum(this.#arenaBytes.subarray(this.#filled, this.#filled + count * 4));
      this.#filled += bytes;
    }
    segment.end = offset + bytes;
    segment.metadataLive += bytes;
    return { segment: segment.number, offset, length: count * 4, checksum: sum };
  }

  writeOut(): void {
    if (this.#filled === 0) return;
    const { segment } = this;
    segment!.file!.write(this.#written, [this.#arenaBytes.subarray(0, this.#filled)]);
    this.#unsynced.add(segment!);
    this.#counters.metadataBytesWritten += this.#filled;
    this.#written += this.#filled;
    this.#filled = 0;
  }

  async sync(): Promise<void> {
    this.writeOut();
    const segments = [...this.#unsynced];
    this.#unsynced.clear();
    await Promise.all(segments.map((segment) => this.#segments.sync(segment)));
    // What is durable is not written again: the next piece starts in a sector of its own.
    if (this.segment !== undefined)
      this.#written = Math.min(
        roundUp(this.#written, 4096),
        this.#segments.segmentBytes - SEGMENT_FOOTER_BYTES,
      );
  }

  /** A piece that the live state no longer refers to. */
  free(segment: number, length: number): void {
    if (segment !== 0) this.#frees.push(segment, roundUp(length, 8));
  }

  /** At a cut: what the state of the cut does without. */
  takeFrees(): number[] {
    const frees = this.#frees;
    this.#frees = [];
    return frees;
  }

  /** A checkpoint failed: what it would have given up, and what it wrote in vain, is for the next one to give up. */
  returnFrees(frees: number[]): void {
    for (const free of frees) this.#frees.push(free);
  }

  /** The checkpoint that does without these is durable. */
  applyFrees(frees: number[]): void {
    for (let index = 0; index < frees.length; index += 2) {
      const segment = this.#segments.all.get(frees[index]!);
      if (segment !== undefined) segment.metadataLive -= frees[index + 1]!;
    }
  }

  /** The piece's words if that needs no waiting, else undefined. CHECKSUM_MISMATCH */
  readNow(place: Place): Uint32Array<ArrayBuffer> | undefined {
    this.#settle(place);
    const words = new Uint32Array(place.length / 4);
    const bytes = bytesOfWords(words);
    if (!this.#segments.readNow(place.segment, place.offset, bytes, 0, place.length)) return undefined;
    verify(bytes, place);
    return words;
  }

  async read(place: Place): Promise<Uint32Array<ArrayBuffer>> {
    this.#settle(place);
    const words = new Uint32Array(place.length / 4);
    const bytes = bytesOfWords(words);
    await this.#segments.read(place.segment, place.offset, bytes, 0, place.length);
    verify(bytes, place);
    return words;
  }

  #settle(place: Place): void {
    if (place.segment === this.segment?.number && place.offset + place.length > this.#written)
      this.writeOut();
  }
}

function verify(bytes: Uint8Array, place: Place): void {
  if (checksum(bytes) === place.checksum) return;
  throw new RopewalkError(
    "CHECKSUM_MISMATCH",
    `metadata at segment ${place.segment}, offset ${place.offset} does not match its checksum`,
  );
}
