/**
 * Checkpoints: exact cuts of all maps, written beside the log.
 *
 * Always holds: the state is frozen in one turn; later changes copy first (nodes are encoded, table pages
 * copied). Before the slot is written, the log up to the cut, the collector's and the metadata segments and the
 * directory are durable. The older slot is replaced. Segments that a checkpoint does without are discarded when
 * the other slot does without them too.
 */
import { RopewalkError } from "../../base/errors.ts";
import { bytesOfWords } from "../../base/words.ts";
import type { Engine } from "../engine.ts";
import { roundUp } from "../format/layout.ts";
import { NODE_WORDS_MAX } from "../format/node-codec.ts";
import { SegmentKind } from "../format/segment.ts";
import { encodeSuperblock, type Place, SLOT_NAMES } from "../format/superblock.ts";
import { OWNER_WORDS } from "../log/owners.ts";
import type { Segment } from "../log/segment.ts";
import type { Node } from "../map/node-cache.ts";
import { nodeIndex } from "../map/node-table.ts";
import { PAGE_WORDS, type PagedTable } from "../map/paged-table.ts";
import { encodeRoot } from "./checkpoint-root.ts";

/** Metadata segments with less than this share live are emptied, a few pieces with each checkpoint. */
const EMPTY_BELOW = 0.5;
const RELOCATE_BYTES_MAX = 16 * 1024 * 1024;

interface Cut {
  readonly checkpoint: number;
  readonly sequence: number;
  readonly segment: number;
  readonly position: number;
  readonly nodes: Node[];
  readonly nodePages: number[];
  readonly segmentPages: number[];
  readonly nodeBound: number;
  readonly segmentRows: number;
  readonly catalogue: Uint32Array;
  readonly catalogueBytes: number;
  readonly reclaim: Uint32Array;
  readonly owners: { segment: Segment; row: number; length: number }[];
  readonly frees: number[];
  readonly freed: Segment[];
  /** Pieces that this checkpoint replaces, and those of its own that the next one replaces whole. */
  readonly obsolete: Place[];
  readonly previous: Place[];
}

export class Checkpointer {
  readonly #engine: Engine;
  /** Number of the last checkpoint that is durable. */
  checkpoint = 0;
  /** Log segment in which its cut is: from there on replay may need everything. */
  cutSegment = 0;
  #slot = 0;
  #running: Promise<void> | undefined;
  #discarding: Promise<void> = Promise.resolve();
  #wanted = false;
  #closed = false;
  /** Segments that the live state does without, waiting for both slots to do so too. */
  readonly freed: Segment[] = [];
  /** Places of what each checkpoint writes anew: freed when the next one is durable. */
  #previous: Place[] = [];
  /** First log segment that must stay for cursors; told by them. */
  pinnedFrom: () => number = () => Number.POSITIVE_INFINITY;
  /** Collector's segments to make durable first; told by it. */
  beforeSlot: (() => Promise<void>) | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
    engine.awaitCheckpoint = () => this.run();
    engine.wantCheckpoint = () => this.want();
  }

  restored(checkpoint: number, cutSegment: number, slot: number, previous: Place[]): void {
    this.checkpoint = checkpoint;
    this.cutSegment = cutSegment;
    this.#slot = slot;
    this.#previous = previous;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Begins a checkpoint soon, if none runs. */
  want(): void {
    if (this.#wanted || this.#running !== undefined || this.#closed) return;
    this.#wanted = true;
    this.#engine.world.clock.soon(() => {
      this.#wanted = false;
      this.run().catch(() => undefined);
    });
  }

  /** Resolves when a checkpoint is durable whose cut came after the call, or was running at the call. */
  run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Resolves when a checkpoint is durable whose cut comes after the call, and what it freed is given back. */
  async runFresh(): Promise<void> {
    if (this.#running !== undefined) await this.#running.catch(() => undefined);
    await this.run();
    await this.#discarding;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running?.catch(() => undefined);
    await this.#discarding;
  }

  async #run(): Promise<void> {
    const engine = this.#engine;
    engine.log.check();
    await this.#relocate();
    engine.log.writeOut();
    engine.log.check();
    const cut = this.#freeze();
    let superblock: Uint8Array;
    try {
      superblock = await this.#write(cut);
    } catch (error) {
      this.#thaw(cut);
      // Only a full pool is worth another try: after any other failure nobody knows what is on the disk.
      if (!(error instanceof RopewalkError && error.code === "NO_SPACE")) engine.log.fail(error);
      throw error;
    }
    try {
      await this.#release(cut, superblock);
    } catch (error) {
      engine.log.fail(error);
      throw error;
    }
  }

  #freeze(): Cut {
    const { cache, nodes, segments, log, store, catalogue, reclaim } = this.#engine;
    const checkpoint = this.checkpoint + 1;
    log.segment.end = log.position;
    segments.setEnd(log.segment, { sealed: false });
    const freed = this.#takeFreed(log.segment);
    const owners: Cut["owners"] = [];
    for (const segment of segments.all.values()) {
      if (segment.owners === undefined || segment.row < 0 || segment.owners.saved === segment.owners.length)
        continue;
      owners.push({ segment, row: segment.row, length: segment.owners.length });
      // The row will name the new owner page, so its page is part of this checkpoint.
      segments.table.edit(segment.row);
    }
    const text = Buffer.from(catalogue.encode(), "utf8");
    const catalogueWords = new Uint32Array(Math.ceil(text.length / 4));
    bytesOfWords(catalogueWords).set(text);
    this.#engine.cutBytes = log.appendedBytes;
    this.#engine.cutRecords = log.sequence;
    segments.age = checkpoint + 1;
    return {
      checkpoint,
      sequence: log.sequence,
      segment: log.segment.number,
      position: log.position,
      nodes: cache.freezeDirty(),
      nodePages: nodes.table.freeze(),
      segmentPages: segments.table.freeze(),
      nodeBound: nodes.bound,
      segmentRows: segments.table.length,
      catalogue: catalogueWords,
      catalogueBytes: text.length,
      reclaim: reclaim.encode(),
      owners,
      frees: store.takeFrees(),
      freed,
      obsolete: [],
      previous: [],
    };
  }

  /** Data segments with nothing live that neither the log's tail nor a cursor needs: no longer part of the state. */
  #takeFreed(current: Segment): Segment[] {
    const { segments, log } = this.#engine;
    const pinned = this.pinnedFrom();
    const freed: Segment[] = [];
    for (const segment of segments.all.values()) {
      if (segment.row < 0 || !segment.sealed || segment === current || segment === log.spareSegment) continue;
      if (segments.live(segment) > 0 || (segment.kind === SegmentKind.log && segment.number >= pinned))
        continue;
      const owners = segments.ownersPlace(segment);
      if (owners !== undefined) this.#engine.store.free(owners.segment, owners.length);
      segment.owners = undefined;
      segments.removeRow(segment);
      freed.push(segment);
    }
    return freed;
  }

  /** Returns the superblock that the newer slot has now. */
  async #write(cut: Cut): Promise<Uint8Array> {
    const engine = this.#engine;
    const { cache, nodes, segments, log, store, slices, world } = engine;
    const { plants } = world;
    const logDurable = plants?.has("slot-before-segments") ? Promise.resolve() : log.flushAll();
    // Unobserved until awaited below; a failure is told there.
    logDurable?.catch(() => undefined);
    const { obsolete, previous } = cut;

    // Nodes.
    const place = async (id: number, words: Uint32Array) => {
      if (!store.fits(words.length)) {
        const copy = words.slice();
        await store.makeRoom(copy.length);
        this.#placeNode(id, store.put(copy, copy.length), cut);
      } else this.#placeNode(id, store.put(words, words.length), cut);
    };
    for (const node of cut.nodes) {
      const early = cache.early.take(node.id);
      if (early !== undefined) {
        await place(node.id, early);
      } else {
        if (!store.fits(NODE_WORDS_MAX)) {
          await store.makeRoom(NODE_WORDS_MAX);
          // Waiting let others run: the node may have changed, and been encoded early.
          const changed = cache.early.take(node.id);
          if (changed !== undefined) {
            await place(node.id, changed);
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
      if (old !== undefined) obsolete.push(old);
      segments.setOwnersPlaceLate(row, segment.number, placed);
      if (segment.row !== row) store.free(placed.segment, placed.length);
      owners.saved = length;
      if (slices.isOver) await slices.next();
    }

    // Table pages, then their directory, then the root.
    const tablePages = async (table: PagedTable, pages: number[]) => {
      for (const pageNumber of pages) {
        await store.makeRoom(PAGE_WORDS);
        const old = table.places[pageNumber];
        if (old !== undefined) obsolete.push({ ...old, length: PAGE_WORDS * 4 });
        table.places[pageNumber] = store.put(table.frozenPage(pageNumber), PAGE_WORDS);
        if (slices.isOver) await slices.next();
      }
    };
    const written: [PagedTable, number[]][] = [
      [nodes.table, cut.nodePages],
      [segments.table, cut.segmentPages],
    ];
    for (const [table, pages] of written) await tablePages(table, pages);
    nodes.table.thaw();
    segments.table.thaw();
    const putWhole = async (words: Uint32Array) => {
      await store.makeRoom(words.length);
      const placed = store.put(words, words.length);
      previous.push(placed);
      return placed;
    };
    const nodeDirectory = await putWhole(
      encodeDirectory(nodes.table, Math.ceil(cut.nodeBound / (PAGE_WORDS / nodes.table.entryWords))),
    );
    const segmentDirectory = await putWhole(
      encodeDirectory(segments.table, Math.ceil(cut.segmentRows / (PAGE_WORDS / segments.table.entryWords))),
    );
    const catalogue = await putWhole(cut.catalogue);
    const reclaim = await putWhole(cut.reclaim);
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
    const root = await putWhole(rootWords);

    // Everything that the slot will point to is durable before the slot is.
    if (!plants?.has("pointer-before-nodes")) await store.sync();
    await this.beforeSlot?.();
    await logDurable;
    log.check();
    const slot = this.#slot === 0 ? 1 : 0;
    const superblock = this.#superblock(cut, root);
    await this.#writeSlot(slot, superblock);
    if (plants?.has("pointer-before-nodes")) await store.sync();
    this.#slot = slot;
    this.checkpoint = cut.checkpoint;
    this.cutSegment = cut.segment;
    engine.counters.checkpoints += 1;
    for (const old of [...obsolete, ...this.#previous]) cut.frees.push(old.segment, roundUp(old.length, 8));
    this.#previous = previous;
    store.applyFrees(cut.frees);
    return superblock;
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

  #superblock(cut: Cut, root: Place): Uint8Array {
    const { segments, log } = this.#engine;
    return encodeSuperblock({
      poolLow: segments.poolLow,
      poolHigh: segments.poolHigh,
      segmentBytes: segments.segmentBytes,
      checkpoint: cut.checkpoint,
      incarnation: log.incarnation,
      cutSequence: cut.sequence,
      cutSegment: cut.segment,
      cutPosition: cut.position,
      durable: log.durable,
      nextSegment: segments.nextNumber,
      root,
    });
  }

  async #writeSlot(slot: number, superblock: Uint8Array): Promise<void> {
    const file = await this.#engine.world.disk.open(SLOT_NAMES[slot]!);
    try {
      file.write(0, [superblock]);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Begins to give back what neither slot needs any more. */
  async #release(cut: Cut, superblock: Uint8Array): Promise<void> {
    const { segments, world } = this.#engine;
    this.#collectFreed(cut);
    let neither = cut.checkpoint - (world.plants?.has("early-reuse") ? 0 : 1);
    if (segments.isScarce && this.freed.some(({ freedAt }) => freedAt > neither)) {
      // Clients wait for room: the other slot gets this checkpoint too, so that nothing needs the one before.
      await this.#writeSlot(1 - this.#slot, superblock);
      neither = cut.checkpoint;
    }
    // Removing files takes its time, and nobody who appends needs to wait for it.
    this.#discarding = this.#discarding
      .then(() => this.#discard(neither))
      .catch((error) => void this.#engine.log.fail(error));
  }

  /** Segments that this checkpoint is the first to do without join those that wait for both slots. */
  #collectFreed(cut: Cut): void {
    const { segments, store } = this.#engine;
    for (const segment of cut.freed) {
      segment.freedAt = cut.checkpoint;
      this.freed.push(segment);
    }
    for (const segment of segments.all.values()) {
      const { owners } = segment;
      // A sealed segment's owner page is read again when it is collected.
      if (owners !== undefined && segment.sealed && owners.saved === owners.length)
        segment.owners = undefined;
      if (segment.kind !== SegmentKind.metadata || segment === store.segment || segment.freedAt !== 0)
        continue;
      if (segment.metadataLive === 0 && segment.sealed) {
        segment.freedAt = cut.checkpoint;
        this.freed.push(segment);
      }
    }
  }

  /** Discards what was freed by `checkpoint` or one before, which both slots are at or behind. */
  async #discard(checkpoint: number): Promise<void> {
    const { segments, world } = this.#engine;
    let discarded = 0;
    for (const segment of [...this.freed]) {
      if (segment.freedAt > checkpoint || segment.readers > 0) continue;
      this.freed.splice(this.freed.indexOf(segment), 1);
      await segments.discard(segment);
      discarded += 1;
    }
    await segments.spares.turnInterval();
    // Else a power cut brings the old names back, and with several in a row they would fill the pool.
    if (discarded > 0) await world.disk.syncDirectory();
    // A file made new must not be on its way while its old name may come back: names are durable before reuse (`take`).
    await segments.spares.fill();
  }

  #thaw(cut: Cut): void {
    const { cache, nodes, segments, store } = this.#engine;
    nodes.table.unfreeze();
    segments.table.unfreeze();
    cache.unfreeze(cut.nodes);
    for (const piece of [...cut.obsolete, ...cut.previous])
      cut.frees.push(piece.segment, roundUp(piece.length, 8));
    store.returnFrees(cut.frees);
    for (const segment of cut.freed) {
      segment.freedAt = cut.checkpoint;
      this.freed.push(segment);
    }
  }

  /**
   * Moves the live pieces out of the emptiest metadata segments, a bounded number with each checkpoint: the
   * pieces are copied as they are, and their places change in the tables.
   */
  async #relocate(): Promise<void> {
    const { nodes, segments, store, cache, slices } = this.#engine;
    const capacity = segments.segmentBytes;
    const candidates: Segment[] = [];
    for (const segment of segments.all.values()) {
      if (
        segment.kind !== SegmentKind.metadata ||
        segment === store.segment ||
        segment.freedAt !== 0 ||
        !segment.sealed
      )
        continue;
      if (segment.metadataLive > 0 && segment.metadataLive < capacity * EMPTY_BELOW) candidates.push(segment);
    }
    candidates.sort((a, b) => a.metadataLive - b.metadataLive);
    const victims = new Set<number>();
    let budget = Math.min(RELOCATE_BYTES_MAX, capacity / 2);
    for (const segment of candidates) {
      if (segment.metadataLive > budget) break;
      budget -= segment.metadataLive;
      victims.add(segment.number);
    }
    if (victims.size === 0) return;
    for (let index = 0; index < nodes.bound; index += 1) {
      if (slices.isOver) await slices.next();
      const id = nodes.idAt(index);
      if (id === 0 || !victims.has(nodes.placeSegment(id))) continue;
      if (cache.get(id)?.dirty) continue;
      const old = nodes.place(id);
      let words: Uint32Array;
      try {
        words = store.readNow(old)?.slice() ?? (await store.read(old));
      } catch (error) {
        // A damaged piece stays where it is, for scrub to name.
        if (error instanceof RopewalkError && error.code === "CHECKSUM_MISMATCH") continue;
        throw error;
      }
      await store.makeRoom(words.length);
      if (nodes.idAt(nodeIndex(id)) !== id) continue;
      const now = nodes.place(id);
      if (now.segment !== old.segment || now.offset !== old.offset) continue;
      nodes.setPlace(id, store.put(words, words.length));
      store.free(old.segment, old.length);
    }
    for (const table of [nodes.table, segments.table]) {
      table.places.forEach((place, pageNumber) => {
        if (place !== undefined && victims.has(place.segment)) table.markPageDirty(pageNumber);
      });
    }
    for (const segment of segments.all.values()) {
      if (segment.row < 0) continue;
      const old = segments.ownersPlace(segment);
      if (old === undefined || !victims.has(old.segment)) continue;
      let words: Uint32Array;
      try {
        words = await store.read(old);
      } catch (error) {
        if (error instanceof RopewalkError && error.code === "CHECKSUM_MISMATCH") continue;
        throw error;
      }
      await store.makeRoom(words.length);
      if (segment.row < 0 || segments.ownersPlace(segment)?.offset !== old.offset) continue;
      segments.setOwnersPlace(segment, store.put(words, words.length));
      store.free(old.segment, old.length);
    }
  }
}

/** Places of a table's pages, three words each. */
function encodeDirectory(table: PagedTable, pages: number): Uint32Array {
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
