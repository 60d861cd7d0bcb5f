/**
 * Writes a cut into metadata segments: nodes, owner pages, table pages, their directories, the root.
 *
 * Always holds: a piece is put before what points to it; what a piece replaces is only noted in the cut, to be given
 * up when the slot is durable. Nothing need be durable when it is through. NO_SPACE when no segment can be had.
 */
import type { Engine } from "../engine.ts";
import { roundUp } from "../format/layout.ts";
import { NODE_WORDS_MAX } from "../format/node-codec.ts";
import type { Place } from "../format/superblock.ts";
import { OWNER_WORDS } from "../log/owners.ts";
import { PAGE_WORDS, type PagedTable } from "../map/paged-table.ts";
import { encodeRoot } from "./checkpoint-root.ts";
import type { Cut } from "./cut.ts";

export class CutWriter {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Returns the root's place. */
  async write(cut: Cut): Promise<Place> {
    const { cache, nodes, segments, store, slices } = this.#engine;

    // Nodes.
    for (const node of cut.nodes) {
      const early = cache.early.take(node.id);
      if (early !== undefined) {
        await this.#putEarly(node.id, early, cut);
      } else {
        if (!store.fits(NODE_WORDS_MAX)) {
          await store.makeRoom(NODE_WORDS_MAX);
          // Waiting let others run: the node may have changed, and been encoded early.
          const changed = cache.early.take(node.id);
          if (changed !== undefined) {
            await this.#putEarly(node.id, changed, cut);
            continue;
          }
        }
        const words = cache.encodeFrozen(node);
        this.#placeNode(node.id, store.put(words, words.length), cut);
      }
      if (slices.isOver) await slices.next();
    }

    // Owner pages.
    for (const { segment, row, length } of cut.owners) {
      const owners = segment.owners!;
      const words = owners.words.slice(0, length * OWNER_WORDS);
      await store.makeRoom(words.length);
      const old = segment.row === row ? segments.ownersPlace(segment) : undefined;
      const placed = store.put(words, words.length);
      if (old !== undefined) cut.obsolete.push(old);
      segments.setOwnersPlaceLate(row, segment.number, placed);
      if (segment.row !== row) store.free(placed.segment, placed.length);
      owners.saved = length;
      if (slices.isOver) await slices.next();
    }

    // Table pages, then their directory, then the root.
    await this.#putPages(nodes.table, cut.nodePages, cut);
    await this.#putPages(segments.table, cut.segmentPages, cut);
    nodes.table.thaw();
    segments.table.thaw();
    const nodeDirectory = await this.#putWhole(encodeDirectory(nodes.table, cut.nodeBound), cut);
    const segmentDirectory = await this.#putWhole(encodeDirectory(segments.table, cut.segmentRows), cut);
    const catalogue = await this.#putWhole(cut.catalogue, cut);
    const reclaim = await this.#putWhole(cut.reclaim, cut);
    const rootWords = encodeRoot({
      checkpoint: cut.checkpoint,
      nodeBound: cut.nodeBound,
      segmentRows: cut.segmentRows,
      catalogueBytes: cut.catalogueBytes,
      nodeDirectory,
      segmentDirectory,
      catalogue,
      reclaim,
    });
    // As `#putWhole` does, but here: the caller syncs next, with no further wait between.
    await store.makeRoom(rootWords.length);
    const root = store.put(rootWords, rootWords.length);
    cut.previous.push(root);
    return root;
  }

  /** Puts a node that changed behind the cut, as it was encoded before that. */
  async #putEarly(id: number, words: Uint32Array, cut: Cut): Promise<void> {
    const { store } = this.#engine;
    if (!store.fits(words.length)) {
      const copy = words.slice();
      await store.makeRoom(copy.length);
      this.#placeNode(id, store.put(copy, copy.length), cut);
    } else this.#placeNode(id, store.put(words, words.length), cut);
  }

  #placeNode(id: number, place: Place, cut: Cut): void {
    const { nodes, store } = this.#engine;
    const alive = nodes.has(id);
    if (alive) {
      const old = nodes.place(id);
      if (old.segment !== 0) cut.frees.push(old.segment, roundUp(old.length, 8));
    }
    nodes.setPlaceLate(id, place);
    // The cut's state has the node, the live one does not any more: the next checkpoint does without the piece.
    if (!alive) store.free(place.segment, place.length);
  }

  async #putPages(table: PagedTable, pages: number[], { obsolete }: Cut): Promise<void> {
    const { store, slices } = this.#engine;
    for (const pageNumber of pages) {
      await store.makeRoom(PAGE_WORDS);
      const old = table.places[pageNumber];
      if (old !== undefined) obsolete.push({ ...old, length: PAGE_WORDS * 4 });
      table.places[pageNumber] = store.put(table.frozenPage(pageNumber), PAGE_WORDS);
      if (slices.isOver) await slices.next();
    }
  }

  /** Puts what the next checkpoint replaces whole. */
  async #putWhole(words: Uint32Array, { previous }: Cut): Promise<Place> {
    const { store } = this.#engine;
    await store.makeRoom(words.length);
    const placed = store.put(words, words.length);
    previous.push(placed);
    return placed;
  }
}

/** Places of the pages that hold a table's first `entries` entries, three words each. */
function encodeDirectory(table: PagedTable, entries: number): Uint32Array {
  const pages = Math.ceil(entries / (PAGE_WORDS / table.entryWords));
  const words = new Uint32Array(Math.max(1, pages * 3));
  for (let page = 0; page < pages; page += 1) {
    const place = table.places[page];
    if (place === undefined) continue;
    words[page * 3] = place.segment;
    words[page * 3 + 1] = place.offset;
    words[page * 3 + 2] = place.checksum;
  }
  return words;
}
