/**
 * Scrub: reads everything that the newest state is made of, from the superblock slots to every block that a map
 * refers to and the records that the next open would replay, and compares checksums. It changes nothing.
 *
 * Always holds: a piece that was moved or dropped while it was read is not an error; only a mismatch of what the
 * state still refers to is.
 */
import { checksumAt } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import { sleep, type Timer } from "../../ports/mod.ts";
import type { Engine } from "../engine.ts";
import {
  NODE_INDEX_FIRST,
  PAGE_BYTES,
  SEGMENT_FOOTER_BYTES,
  SEGMENT_HEADER_BYTES,
} from "../format/layout.ts";
import { decodeNode } from "../format/node-codec.ts";
import { decodeSegmentFooter, decodeSegmentHeader, type SegmentHeader } from "../format/segment.ts";
import { SLOT_BYTES } from "../format/superblock.ts";
import { EntryKind, KIND_SHIFT, Leaf, VALUE_MASK } from "../map/leaf.ts";
import { PAGE_WORDS } from "../map/paged-table.ts";
import type { ScrubResult } from "../pool-api.ts";
import { damagedPieces } from "./checkpoint-pieces.ts";
import { damagedTail } from "./log-tail.ts";
import { newestOf, slotContents } from "./newest-slot.ts";

/** Longest sleep at a set pace, so that a pool can close and a new pace counts soon. */
const SLEEP_MS_MAX = 200;
/** Blocks read with one call when they stand one behind the other. */
const RUN_BLOCKS_MAX = 64;

export interface ScrubOptions {
  readonly onError?: (sentence: string) => void;
  readonly onProgress?: (blocks: number) => void;
  readonly signal?: AbortSignal;
  /** Bytes a second, 0 to end; absent: as fast as the loop's other work lets. */
  readonly bytesPerSecond?: () => number;
}

export async function scrub(engine: Engine, options: ScrubOptions = {}): Promise<ScrubResult> {
  return new Scrub(engine, options).run();
}

class Scrub {
  readonly #engine: Engine;
  readonly #options: ScrubOptions;
  #blocks = 0;
  #errors = 0;
  /** When the next piece is due at the set pace. */
  #dueMs = 0;
  readonly #buffer = new Uint8Array(RUN_BLOCKS_MAX * PAGE_BYTES);

  constructor(engine: Engine, options: ScrubOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  async run(): Promise<ScrubResult> {
    await this.#slots();
    await this.#newestCheckpoint();
    await this.#tables();
    await this.#headers();
    await this.#nodes();
    return { blocks: this.#blocks, errors: this.#errors };
  }

  async #pause(bytes: number): Promise<void> {
    const { clock } = this.#engine.world;
    this.#blocks += 1;
    this.#mayGoOn();
    if (this.#engine.log.failed === undefined) this.#engine.planEviction();
    const now = clock.nowMs();
    this.#dueMs = Math.max(this.#dueMs, now - SLEEP_MS_MAX);
    const rate = this.#options.bytesPerSecond?.() ?? 0;
    if (rate > 0) {
      this.#dueMs += (bytes / rate) * 1000;
      while (this.#dueMs > clock.nowMs() + 20) {
        await sleep(clock, Math.min(SLEEP_MS_MAX, this.#dueMs - clock.nowMs()));
        this.#mayGoOn();
      }
    }
    if (this.#engine.slices.isOver) {
      this.#options.onProgress?.(this.#blocks);
      await this.#engine.slices.next();
    }
  }

  #mayGoOn(): void {
    if (this.#options.signal?.aborted === true)
      throw new RopewalkError("CANCELLED", "the scrub was cancelled");
    if (this.#options.bytesPerSecond?.() === 0)
      throw new RopewalkError("CANCELLED", "the background scrub was switched off");
  }

  #error(sentence: string): void {
    this.#errors += 1;
    this.#options.onError?.(sentence);
  }

  async #slots(): Promise<void> {
    const slots = await slotContents(this.#engine.world);
    for (const { name, blank, superblock } of slots) {
      if (blank) continue;
      if (superblock === undefined) this.#error(`${name} is damaged`);
      await this.#pause(SLOT_BYTES);
    }
    if (slots.every(({ blank }) => blank)) this.#error("both superblock slots are blank");
  }

  /** What only the next open reads: the newest checkpoint's own pieces, and the records behind its cut. */
  async #newestCheckpoint(): Promise<void> {
    const engine = this.#engine;
    let newest = newestOf(await slotContents(engine.world));
    for (;;) {
      // That no slot can be read is told already.
      if (newest === undefined) return;
      const damaged = await damagedPieces(engine.store, newest);
      const now = damaged.length === 0 ? newest : newestOf(await slotContents(engine.world));
      // A checkpoint that was made meanwhile does without what was read.
      if (now?.checkpoint === newest.checkpoint) {
        this.#damaged(damaged);
        break;
      }
      newest = now;
    }
    await this.#pause(newest.root.length);
    this.#damaged(await damagedTail(engine, newest, (bytes) => this.#pause(bytes)));
  }

  #damaged(sentences: readonly string[]): void {
    this.#engine.counters.checksumErrors += sentences.length;
    for (const sentence of sentences) this.#error(sentence);
  }

  async #tables(): Promise<void> {
    const { nodes, segments, store } = this.#engine;
    for (const [table, what] of [
      [nodes.table, "node table"],
      [segments.table, "segment table"],
    ] as const) {
      for (let page = 0; page < table.pageCount; page += 1) {
        const place = table.places[page];
        if (place === undefined) continue;
        await this.#compare(
          `page ${page} of the ${what}`,
          () => store.read({ ...place, length: PAGE_WORDS * 4 }),
          () => table.places[page] === place,
        );
        await this.#pause(PAGE_BYTES);
      }
    }
    for (const segment of [...segments.all.values()]) {
      if (segment.row < 0) continue;
      const place = segments.ownersPlace(segment);
      if (place === undefined) continue;
      const still = () => segment.row >= 0 && segments.ownersPlace(segment)?.offset === place.offset;
      await this.#compare(`the owner page of segment ${segment.number}`, () => store.read(place), still);
      await this.#pause(place.length);
    }
  }

  /** Headers of all data segments, and footers of those that were left in order. */
  async #headers(): Promise<void> {
    const { segments } = this.#engine;
    const bytes = new Uint8Array(PAGE_BYTES);
    for (const segment of [...segments.all.values()]) {
      if (segment.row < 0) continue;
      const still = () => segment.row >= 0;
      let header: SegmentHeader | undefined;
      const readHeader = async () => {
        await segments.read(segment.number, 0, bytes, 0, SEGMENT_HEADER_BYTES);
        header = decodeSegmentHeader(bytes);
        if (header?.number !== segment.number) throw mismatch();
      };
      if (await this.#compare(`the header of segment ${segment.number}`, readHeader, still)) {
        const readFooter = async () => {
          const position = segments.segmentBytes - SEGMENT_FOOTER_BYTES;
          await segments.read(segment.number, position, bytes, 0, SEGMENT_FOOTER_BYTES);
          if (decodeSegmentFooter(bytes, header!) === undefined) throw mismatch();
        };
        if (still() && segments.hasFooter(segment))
          await this.#compare(`the footer of segment ${segment.number}`, readFooter, still);
      }
      await this.#pause(SEGMENT_HEADER_BYTES);
    }
  }

  /** Runs a check; a failure counts if what was checked is still referred to. */
  async #compare(what: string, check: () => Promise<unknown>, still: () => boolean): Promise<boolean> {
    try {
      await check();
      return true;
    } catch (error) {
      if (!(error instanceof RopewalkError)) throw error;
      if (still()) {
        this.#engine.counters.checksumErrors += 1;
        this.#error(`${what}: ${error.message}`);
      }
      return false;
    }
  }

  async #nodes(): Promise<void> {
    const { nodes, cache, store } = this.#engine;
    for (let index = NODE_INDEX_FIRST; index < nodes.bound; index += 1) {
      const id = nodes.idAt(index);
      if (id === 0) continue;
      const place = nodes.place(id);
      if (place.segment !== 0) {
        const still = () =>
          nodes.has(id) &&
          nodes.place(id).offset === place.offset &&
          nodes.place(id).segment === place.segment;
        const check = async () => {
          const words = await store.read(place);
          const node = decodeNode(words, id, nodes.level(id), cache.slab);
          if (node instanceof Leaf) node.release();
        };
        await this.#compare(`node ${id}`, check, still);
        await this.#pause(place.length);
      }
      if (!nodes.has(id) || nodes.level(id) !== 0) continue;
      await this.#leafBlocks(id);
    }
  }

  async #leafBlocks(id: number): Promise<void> {
    const { nodes, cache } = this.#engine;
    let leaf = cache.get(id);
    if (leaf === undefined) {
      try {
        leaf = await cache.fetch(id);
      } catch (error) {
        // Told already as a damaged node, or dropped meanwhile.
        if (error instanceof RopewalkError) return;
        throw error;
      }
    }
    if (!(leaf instanceof Leaf)) return;
    const blocks: [page: number, segment: number, offset: number, sum: number][] = [];
    leaf.forEach((page, first, second, third) => {
      if (first >>> KIND_SHIFT === EntryKind.own) blocks.push([page, first & VALUE_MASK, second, third]);
    });
    for (let at = 0; at < blocks.length; ) {
      let run = 1;
      const [, segment, offset] = blocks[at]!;
      while (
        at + run < blocks.length &&
        run < RUN_BLOCKS_MAX &&
        blocks[at + run]![1] === segment &&
        blocks[at + run]![2] === offset + run * PAGE_BYTES
      )
        run += 1;
      if (!this.#names(id, blocks[at]!)) {
        at += 1;
        continue;
      }
      await this.#written();
      const read = await this.#compare(
        `data of segment ${segment}`,
        () => this.#engine.segments.read(segment, offset, this.#buffer, 0, run * PAGE_BYTES),
        () => nodes.has(id) && this.#names(id, blocks[at]!),
      );
      for (let index = 0; index < run; index += 1) {
        const block = blocks[at + index]!;
        if (
          read &&
          checksumAt(this.#buffer, index * PAGE_BYTES, PAGE_BYTES) !== block[3] &&
          this.#names(id, block)
        ) {
          this.#engine.counters.checksumErrors += 1;
          this.#error(
            `the block at segment ${segment}, offset ${block[2]} (page ${block[0]} of node ${id}) does not match its checksum`,
          );
        }
        await this.#pause(PAGE_BYTES);
      }
      at += run;
    }
  }

  /** What the maps refer to is with the kernel; after a failed log some of it never will be. */
  async #written(): Promise<void> {
    const { log } = this.#engine;
    if (log.failed === undefined) await log.whenWritten();
  }

  /** Whether the leaf still refers to the block there. */
  #names(id: number, [page, segment, offset]: [number, number, number, number]): boolean {
    const { nodes, cache } = this.#engine;
    if (!nodes.has(id)) return false;
    const leaf = cache.get(id);
    if (!(leaf instanceof Leaf)) return true;
    const at = leaf.find(page);
    return at >= 0 && leaf.words[at] === segment && leaf.words[at + 1] === offset;
  }
}

function mismatch(): RopewalkError {
  return new RopewalkError("CHECKSUM_MISMATCH", "it does not match its checksum");
}

/** Scrubs round after round at the settable pace; findings go to the counters. */
export class BackgroundScrub {
  readonly #engine: Engine;
  #running: Promise<void> | undefined;
  readonly #abort = new AbortController();
  #timer: Timer | undefined;
  /** Findings of the last round. */
  last: ScrubResult | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  start(): void {
    const { settings } = this.#engine;
    if (this.#running !== undefined || settings.scrubBytesPerSecond === 0 || this.#abort.signal.aborted)
      return;
    this.#running = scrub(this.#engine, {
      signal: this.#abort.signal,
      bytesPerSecond: () => settings.scrubBytesPerSecond,
    })
      .then(
        (result) => {
          this.last = result;
        },
        () => undefined,
      )
      .finally(() => {
        this.#running = undefined;
        // A short rest, so that a small pool is not read over and over.
        this.#timer = this.#engine.world.clock.after(60_000, () => this.start());
      });
  }

  async close(): Promise<void> {
    this.#abort.abort();
    this.#timer?.cancel();
    await this.#running;
  }
}
