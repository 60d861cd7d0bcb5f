/**
 * The collector: moves live blocks out of the emptiest segments into segments of its own, so that those can go.
 *
 * Always holds: moves are not logged but part of the next checkpoint; a pointer is changed only if it still names
 * the old place; the tail that replay may need and what cursors pin is left alone. A block that does not match
 * its checksum stays where it is.
 */
import { checksum } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import { nextTurn } from "../../ports/mod.ts";
import type { Checkpointer } from "../checkpoint/checkpointer.ts";
import type { Engine } from "../engine.ts";
import { PAGE_BYTES, SEGMENT_FOOTER_BYTES, SEGMENT_HEADER_BYTES } from "../format/layout.ts";
import { encodeSegmentFooter, SegmentKind } from "../format/segment.ts";
import { Owners } from "../log/owners.ts";
import type { Segment } from "../log/segment.ts";
import type { Leaf } from "../map/leaf.ts";
import { KIND_SHIFT } from "../map/leaf.ts";

const SLICE_MS = 0.7;
/** Blocks moved with one write. */
const BATCH_BLOCKS = 64;
/** A segment with a higher share of live blocks is not worth moving, unless a tighter ratio is asked for. */
const LIVE_SHARE_MAX = 0.95;

export class Collector {
  readonly #engine: Engine;
  readonly #checkpointer: Checkpointer;
  readonly #buffer = new Uint8Array(BATCH_BLOCKS * PAGE_BYTES);
  #target: Segment | undefined;
  #position = 0;
  readonly #unsynced = new Set<Segment>();
  /** Segments with a block that does not match its checksum, which cannot be moved. */
  readonly #stuck = new Set<number>();
  /** Segments that kept a block in this collection, because its leaf was not at hand or changed. */
  readonly #left = new Set<number>();
  #running: Promise<unknown> | undefined;
  #planned = false;
  #closed = false;

  constructor(engine: Engine, checkpointer: Checkpointer) {
    this.#engine = engine;
    this.#checkpointer = checkpointer;
    checkpointer.beforeSlot = () => this.#sync();
  }

  async #sync(): Promise<void> {
    const segments = [...this.#unsynced];
    this.#unsynced.clear();
    await Promise.all(segments.map((segment) => this.#engine.segments.sync(segment)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running?.catch(() => undefined);
  }

  /** Runs `action` while nothing is moved. */
  async paused<T>(action: () => Promise<T>): Promise<T> {
    while (this.#running !== undefined) await this.#running.catch(() => undefined);
    const done = action();
    this.#running = done.then(
      () => {
        this.#running = undefined;
      },
      () => {
        this.#running = undefined;
      },
    );
    return done;
  }

  /** Data segments' bytes over live bytes. */
  get ratio(): number {
    const { segments } = this.#engine;
    const live = Math.max(1, segments.liveBlocks) * PAGE_BYTES;
    let used = 0;
    // What is empty goes with the next checkpoints, or stays for a cursor's sake: collecting more gains nothing there.
    for (const segment of segments.all.values())
      if (segment.row >= 0 && !(segment.sealed && segments.live(segment) === 0)) used += 1;
    return (used * segments.segmentBytes) / live;
  }

  /** Looks whether there is work, between turns. */
  poke(): void {
    if (this.#planned || this.#running !== undefined || this.#closed) return;
    const { segments, settings, log } = this.#engine;
    if (log.failed !== undefined) return;
    if (this.ratio <= settings.collectAboveRatio || segments.all.size * 2 < segments.filesMax) return;
    this.#planned = true;
    this.#engine.world.clock.soon(() => {
      this.#planned = false;
      this.collect(settings.collectAboveRatio * 0.97, { segmentsMax: 4 }).then(
        (freed) => {
          if (freed > 0) this.#checkpointer.want();
        },
        () => undefined,
      );
    });
  }

  /** Collects until used space is at most `ratio` × live data; returns the segments emptied. */
  async collect(ratio: number, limits: { segmentsMax: number; shareMax?: number }): Promise<number> {
    while (this.#running !== undefined) await this.#running.catch(() => undefined);
    const run = this.#collect(ratio, limits.segmentsMax, limits.shareMax ?? LIVE_SHARE_MAX);
    this.#running = run.finally(() => {
      this.#running = undefined;
    });
    this.#running.catch(() => undefined);
    return run;
  }

  async #collect(ratio: number, segmentsMax: number, shareMax: number): Promise<number> {
    let freed = 0;
    this.#left.clear();
    while (freed < segmentsMax && !this.#closed && this.ratio > ratio) {
      const victim = this.#victim(shareMax);
      if (victim === undefined) break;
      try {
        await this.#empty(victim);
      } catch (error) {
        // No room to move anything to: what was emptied so far may give some.
        if (error instanceof RopewalkError && error.code === "NO_SPACE") break;
        throw error;
      }
      freed += 1;
      this.#engine.counters.segmentsCollected += 1;
    }
    return freed;
  }

  /** By cost and benefit: what is gained, and for how long it will last, against what must be moved. */
  #victim(shareMax: number): Segment | undefined {
    const { segments, log } = this.#engine;
    const capacity = segments.segmentBytes / PAGE_BYTES;
    const pinned = this.#checkpointer.pinnedFrom();
    const tail = Math.min(this.#checkpointer.cutSegment, log.segment.number);
    let best: Segment | undefined;
    let bestScore = 0;
    for (const segment of segments.all.values()) {
      if (segment.row < 0 || !segment.sealed || segment === this.#target) continue;
      if (this.#stuck.has(segment.number) || this.#left.has(segment.number)) continue;
      if (segment.kind === SegmentKind.log && (segment.number >= tail || segment.number >= pinned)) continue;
      const live = segments.live(segment);
      const share = live / capacity;
      if (live === 0 || share > shareMax) continue;
      const score =
        ((1 - share) *
          (1 + Math.sqrt(Math.max(0, this.#checkpointer.checkpoint - segments.ageOf(segment))))) /
        (1 + share);
      if (score > bestScore) {
        best = segment;
        bestScore = score;
      }
    }
    return best;
  }

  async #empty(victim: Segment): Promise<void> {
    const { segments, store, world, nodes, cache, settings, log } = this.#engine;
    let owners = victim.owners;
    if (owners === undefined) {
      const place = segments.ownersPlace(victim);
      owners = place === undefined ? new Owners() : Owners.restore(await store.read(place));
    }
    const batch: { leaf: number; slot: number; offset: number; sum: number }[] = [];
    let sliceEnd = world.clock.nowMs() + SLICE_MS;
    for (let index = 0; index < owners.length && !this.#closed && segments.live(victim) > 0; index += 1) {
      // Entries of dead blocks cost time as well, so every entry may end the slice.
      if (world.clock.nowMs() > sliceEnd) {
        this.#engine.planEviction();
        await nextTurn(world.clock);
        sliceEnd = world.clock.nowMs() + SLICE_MS;
        if (cache.dirtyBytes > settings.checkpointNodeBytes * 0.75) await this.#engine.awaitCheckpoint();
        if (log.failed !== undefined) throw log.failed;
      }
      const id = owners.leaf(index);
      const slot = owners.slot(index);
      const offset = owners.offset(index);
      if (!nodes.has(id)) continue;
      const leaf = (cache.get(id) ?? cache.fetchNow(id) ?? (await this.#fetch(id))) as Leaf | undefined;
      if (leaf === undefined || !names(leaf, slot, victim.number, offset)) continue;
      const sum = leaf.words[leaf.find(slot) + 2]!;
      const at = batch.length * PAGE_BYTES;
      if (!segments.readNow(victim.number, offset, this.#buffer, at, PAGE_BYTES)) {
        await segments.read(victim.number, offset, this.#buffer, at, PAGE_BYTES);
      }
      if (checksum(this.#buffer.subarray(at, at + PAGE_BYTES)) !== sum) {
        this.#engine.counters.checksumErrors += 1;
        this.#stuck.add(victim.number);
        continue;
      }
      batch.push({ leaf: id, slot, offset, sum });
      if (batch.length === BATCH_BLOCKS) await this.#move(victim, batch);
    }
    await this.#move(victim, batch);
    if (!this.#closed && victim.row >= 0 && segments.live(victim) > 0 && !this.#stuck.has(victim.number)) {
      // Something was evicted or changed between; the next collection takes what is left, or scrub names it.
      this.#left.add(victim.number);
    }
  }

  async #fetch(id: number): Promise<Leaf | undefined> {
    try {
      return (await this.#engine.cache.fetch(id)) as Leaf;
    } catch (error) {
      if (error instanceof RopewalkError && error.code !== "IO_ERROR") return undefined;
      throw error;
    }
  }

  /** Writes the gathered blocks and points their leaves at them, in one turn. */
  async #move(
    victim: Segment,
    batch: { leaf: number; slot: number; offset: number; sum: number }[],
  ): Promise<void> {
    const { segments, nodes, cache, world, counters } = this.#engine;
    if (batch.length === 0) return;
    const bytes = batch.length * PAGE_BYTES;
    if (this.#target === undefined || this.#position + bytes > segments.segmentBytes - SEGMENT_FOOTER_BYTES)
      await this.#nextTarget();
    const target = this.#target!;
    target.file!.write(this.#position, [this.#buffer.subarray(0, bytes)]);
    this.#unsynced.add(target);
    counters.collectorBytesWritten += bytes;
    let moved = 0;
    batch.forEach(({ leaf: id, slot, offset, sum }, index) => {
      if (!nodes.has(id)) return;
      const leaf = (cache.get(id) ?? cache.fetchNow(id)) as Leaf | undefined;
      if (leaf === undefined) return;
      if (
        !names(leaf, slot, victim.number, offset) &&
        !(world.plants?.has("move-without-compare") && leaf.find(slot) >= 0)
      )
        return;
      const to = this.#position + index * PAGE_BYTES;
      cache.touch(leaf);
      const old = leaf.words[leaf.find(slot)]!;
      if (old >>> KIND_SHIFT === 0) segments.dropLive(old);
      leaf.set(slot, target.number, to, sum);
      target.owners!.add(to, id, slot);
      moved += 1;
    });
    segments.addLive(target, moved);
    this.#position += bytes;
    target.end = this.#position;
    segments.setEnd(target, { sealed: false });
    batch.length = 0;
  }

  async #nextTarget(): Promise<void> {
    const { segments, settings } = this.#engine;
    // In a full pool the collector has one segment of the reserve; the others are for trims, deletions and opens.
    const keep = Math.max(Math.ceil(settings.reserveSegments / 2), settings.reserveSegments - 1);
    if (segments.spares <= keep) await segments.fillReserve();
    if (segments.spares <= keep)
      throw new RopewalkError(
        "NO_SPACE",
        "the pool is too full to move blocks; delete something or grow the pool",
      );
    const next = await segments.take(SegmentKind.collector, "upkeep");
    this.sealTarget();
    segments.begin(next);
    next.owners = new Owners();
    this.#target = next;
    segments.collectorOpen = true;
    this.#position = SEGMENT_HEADER_BYTES;
    this.#unsynced.add(next);
  }

  /** Ends the segment being filled, so that it can be collected itself. */
  sealTarget(): void {
    const { segments } = this.#engine;
    const target = this.#target;
    if (target === undefined) return;
    const header = target.header!;
    const footer = {
      number: target.number,
      end: target.end,
      lastSequence: 0,
      blocks: segments.blocks(target),
      keyLow: header.keyLow,
      keyHigh: header.keyHigh,
    };
    target.file!.write(segments.segmentBytes - SEGMENT_FOOTER_BYTES, [encodeSegmentFooter(footer)]);
    this.#unsynced.add(target);
    segments.setEnd(target, { sealed: true });
    this.#target = undefined;
    segments.collectorOpen = false;
  }
}

/** Whether a leaf's slot still is the block at this place. */
function names(leaf: Leaf, slot: number, segment: number, offset: number): boolean {
  const at = leaf.find(slot);
  return at >= 0 && leaf.words[at] === segment && leaf.words[at + 1] === offset;
}
