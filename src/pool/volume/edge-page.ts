/**
 * The merged page at an edge of a request that is not aligned to pages.
 * Always holds: what it was merged from is still what the map says when the record is appended; otherwise it is
 * merged again. A page that does not match its checksum cannot be merged over: CHECKSUM_MISMATCH.
 */
import { checksum } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { LEAF_PAGES, PAGE_BYTES } from "../format/layout.ts";
import { EntryKind } from "../map/leaf.ts";
import type { MapRoot } from "../map/map-root.ts";
import { Found } from "../map/tree.ts";

export class EdgePage {
  readonly #page: number;
  /** What was read last, and from where; segment 0: nothing yet. */
  #segment = 0;
  #offset = 0;
  #base: Uint8Array | undefined;

  constructor(page: number) {
    this.#page = page;
  }

  /**
   * The page's present bytes: undefined when they must be waited for (`wait`), null for zeros. Within the turn in
   * which this answers, the answer is what the map says.
   */
  present(engine: Engine, map: MapRoot): Uint8Array | null | undefined {
    const { tree, log, segments } = engine;
    const leaf = tree.findLeaf(map, Math.floor(this.#page / LEAF_PAGES));
    if (leaf === Found.missing) return undefined;
    if (typeof leaf === "number") return null;
    const kind = tree.resolve(leaf, this.#page % LEAF_PAGES);
    if (kind < 0) return undefined;
    if (kind !== EntryKind.own) return null;
    const { entrySegment, entryOffset, entrySum } = tree;
    if (this.#base !== undefined) {
      if (this.#segment === entrySegment && this.#offset === entryOffset) return this.#base;
      if (engine.world.plants?.has("subpage-race")) return this.#base;
    }
    this.#segment = entrySegment;
    this.#offset = entryOffset;
    this.#base = undefined;
    if (entrySegment === log.segment.number && entryOffset + PAGE_BYTES > log.written) {
      log.writeOut();
      log.check();
      if (entryOffset + PAGE_BYTES > log.written) return undefined;
    }
    const bytes = new Uint8Array(PAGE_BYTES);
    if (!segments.readNow(entrySegment, entryOffset, bytes, 0, PAGE_BYTES)) return undefined;
    this.#accept(engine, bytes, entrySum);
    return bytes;
  }

  /** Waits for what `present` lacked. */
  async wait(engine: Engine, map: MapRoot): Promise<void> {
    const { tree, segments, log } = engine;
    const leaf = tree.findLeaf(map, Math.floor(this.#page / LEAF_PAGES));
    if (leaf === Found.missing) return engine.fetchMissing();
    if (typeof leaf === "number") return;
    const kind = tree.resolve(leaf, this.#page % LEAF_PAGES);
    if (kind < 0) return engine.fetchMissing();
    if (kind !== EntryKind.own) return;
    const { entrySegment, entryOffset, entrySum } = tree;
    if (entrySegment === log.segment.number && entryOffset + PAGE_BYTES > log.written)
      return log.whenWritten();
    const bytes = new Uint8Array(PAGE_BYTES);
    await segments.read(entrySegment, entryOffset, bytes, 0, PAGE_BYTES);
    this.#segment = entrySegment;
    this.#offset = entryOffset;
    this.#accept(engine, bytes, entrySum);
  }

  #accept(engine: Engine, bytes: Uint8Array, sum: number): void {
    if (checksum(bytes) !== sum) {
      engine.counters.checksumErrors += 1;
      throw new RopewalkError(
        "CHECKSUM_MISMATCH",
        `page ${this.#page} is damaged, so a part of it cannot be changed; write the whole 4 KiB page or trim it`,
      );
    }
    this.#base = bytes;
  }
}
