/**
 * Metadata segments: where checkpoints put nodes, table pages, owner pages and their directories.
 *
 * The loop only gathers; other threads write, because a write may have to wait for memory. Always holds: a piece is
 * written once, and can be read at once; `live` bytes of a segment are what the newest durable state refers to.
 * A piece that is given up counts until a checkpoint that does without it is durable (`takeFrees`, `applyFrees`).
 */
import { assert } from "../../base/assert.ts";
import { checksum } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import { bytesOfWords } from "../../base/words.ts";
import type { PageThreads } from "../../ports/mod.ts";
import { roundUp, SEGMENT_FOOTER_BYTES, SEGMENT_HEADER_BYTES } from "../format/layout.ts";
import { NODE_WORDS_MAX } from "../format/node-codec.ts";
import { SegmentKind } from "../format/segment.ts";
import type { Place } from "../format/superblock.ts";
import type { Segment } from "../log/segment.ts";
import type { Segments } from "../log/segments.ts";
import type { PoolCounters } from "../pool-api.ts";

const ARENA_WORDS = 64 * 1024;
/** Arenas that other threads write at once; what is more waits. */
const FLIGHTS_MAX = 4;

/** Pieces gathered for one write, and kept until it is done. */
interface Arena {
  readonly words: Uint32Array;
  readonly segment: Segment;
  /** Where in the segment the first piece begins. */
  readonly start: number;
  filled: number;
}

export class MetadataStore {
  #scratch = new Uint32Array(NODE_WORDS_MAX);
  readonly #segments: Segments;
  readonly #counters: PoolCounters;
  #arena: Arena | undefined;
  readonly #spareWords: Uint32Array[] = [];
  readonly #flights = new Set<Arena>();
  readonly #landings = new Set<Promise<void>>();
  /** The first write that failed; told by the next `sync`. */
  #failure: { readonly error: unknown } | undefined;
  segment: Segment | undefined;
  /** End of what was put into the segment. */
  #position = 0;
  /** Segments written since the last sync. */
  readonly #unsynced = new Set<Segment>();
  /** Pieces given up since the last cut: pairs of segment number and length. */
  #frees: number[] = [];

  /** `pageThreads`: pieces gather in memory that these see, so that they write it. */
  constructor(segments: Segments, counters: PoolCounters, pageThreads?: PageThreads) {
    this.#segments = segments;
    this.#counters = counters;
    while (this.#spareWords.length <= FLIGHTS_MAX) {
      const shared = pageThreads?.allocate(ARENA_WORDS * 4);
      if (shared === undefined) break;
      this.#spareWords.push(new Uint32Array(shared.buffer, shared.byteOffset, ARENA_WORDS));
    }
  }

  /** Makes sure that a piece of `words` words can be put. */
  async makeRoom(words: number): Promise<void> {
    const bytes = roundUp(words * 4, 8);
    assert(
      bytes <= this.#segments.segmentBytes - SEGMENT_HEADER_BYTES - SEGMENT_FOOTER_BYTES,
      "a piece fits a segment",
    );
    while (this.#flights.size >= FLIGHTS_MAX) await Promise.race(this.#landings);
    if (this.fits(words)) return;
    const segment = await this.#segments.take(SegmentKind.metadata, "checkpoint");
    this.#send();
    if (this.segment !== undefined) {
      this.segment.end = this.#position;
      this.segment.sealed = true;
    }
    this.#segments.begin(segment);
    this.segment = segment;
    this.#position = SEGMENT_HEADER_BYTES;
    this.#unsynced.add(segment);
  }

  /** Whether a piece can be put now, without `makeRoom`. */
  fits(words: number): boolean {
    if (this.segment === undefined || this.#flights.size >= FLIGHTS_MAX) return false;
    return this.#position + words * 4 + 8 <= this.#segments.segmentBytes - SEGMENT_FOOTER_BYTES;
  }

  /** Appends a piece; `makeRoom` or `fits` came before. */
  put(words: Uint32Array, count: number): Place {
    const { segment } = this;
    const bytes = roundUp(count * 4, 8);
    assert(
      segment !== undefined && this.#position + bytes <= this.#segments.segmentBytes - SEGMENT_FOOTER_BYTES,
      "there is room for the piece",
    );
    if (this.#arena !== undefined && this.#arena.filled + bytes > this.#arena.words.length * 4) this.#send();
    this.#arena ??= this.#newArena(segment, bytes / 4);
    const arena = this.#arena;
    const at = arena.filled / 4;
    arena.words.set(count === words.length ? words : words.subarray(0, count), at);
    if (bytes > count * 4) arena.words[at + count] = 0;
    arena.filled += bytes;
    const offset = this.#position;
    this.#position += bytes;
    segment.end = this.#position;
    segment.metadataLive += bytes;
    const sum = checksum(bytesOfWords(arena.words.subarray(at, at + count)));
    return { segment: segment.number, offset, length: count * 4, checksum: sum };
  }

  #newArena(segment: Segment, words: number): Arena {
    const memory =
      words > ARENA_WORDS ? new Uint32Array(words) : (this.#spareWords.pop() ?? new Uint32Array(ARENA_WORDS));
    return { words: memory, segment, start: this.#position, filled: 0 };
  }

  /** Sends what was gathered to the kernel on another thread. */
  #send(): void {
    const arena = this.#arena;
    if (arena === undefined) return;
    this.#arena = undefined;
    this.#flights.add(arena);
    this.#unsynced.add(arena.segment);
    this.#counters.metadataBytesWritten += arena.filled;
    const landing = this.#write(arena).then(() => {
      this.#flights.delete(arena);
      this.#landings.delete(landing);
      if (arena.words.length === ARENA_WORDS) this.#spareWords.push(arena.words);
    });
    this.#landings.add(landing);
  }

  async #write({ segment, start, words, filled }: Arena): Promise<void> {
    // Its handle stays open.
    segment.readers += 1;
    try {
      await segment.file!.writeAside(start, [bytesOfWords(words).subarray(0, filled)]);
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      segment.readers -= 1;
    }
  }

  /** Everything put so far is durable when it resolves. Throws what any write or sync since the last threw. */
  async sync(): Promise<void> {
    this.#send();
    // What is durable is not written again: the next piece starts in a sector of its own.
    if (this.segment !== undefined)
      this.#position = Math.min(
        roundUp(this.#position, 4096),
        this.#segments.segmentBytes - SEGMENT_FOOTER_BYTES,
      );
    await Promise.all(this.#landings);
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
    const segments = [...this.#unsynced];
    this.#unsynced.clear();
    await Promise.all(segments.map((segment) => this.#segments.sync(segment)));
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

  /** The piece's words if that needs no waiting, else undefined; valid until the next call. CHECKSUM_MISMATCH */
  readNow(place: Place): Uint32Array<ArrayBuffer> | undefined {
    const held = this.#held(place);
    if (held !== undefined) return held;
    if (this.#scratch.length * 4 < place.length) this.#scratch = new Uint32Array(place.length / 4);
    const words = this.#scratch.subarray(0, place.length / 4);
    const bytes = bytesOfWords(words);
    if (!this.#segments.readNow(place.segment, place.offset, bytes, 0, place.length)) return undefined;
    verify(bytes, place);
    return words;
  }

  async read(place: Place): Promise<Uint32Array<ArrayBuffer>> {
    const held = this.#held(place);
    if (held !== undefined) return held;
    const words = new Uint32Array(place.length / 4);
    const bytes = bytesOfWords(words);
    await this.#segments.read(place.segment, place.offset, bytes, 0, place.length);
    verify(bytes, place);
    return words;
  }

  /** A copy of a piece that is not with the kernel yet. */
  #held(place: Place): Uint32Array<ArrayBuffer> | undefined {
    if (this.#arena !== undefined && holds(this.#arena, place)) return copyOf(this.#arena, place);
    for (const arena of this.#flights) if (holds(arena, place)) return copyOf(arena, place);
    return undefined;
  }
}

function holds(arena: Arena, place: Place): boolean {
  return (
    arena.segment.number === place.segment &&
    place.offset >= arena.start &&
    place.offset < arena.start + arena.filled
  );
}

function copyOf(arena: Arena, place: Place): Uint32Array<ArrayBuffer> {
  const at = (place.offset - arena.start) / 4;
  return arena.words.slice(at, at + place.length / 4);
}

function verify(bytes: Uint8Array, place: Place): void {
  if (checksum(bytes) === place.checksum) return;
  throw new RopewalkError(
    "CHECKSUM_MISMATCH",
    `metadata at segment ${place.segment}, offset ${place.offset} does not match its checksum`,
  );
}
