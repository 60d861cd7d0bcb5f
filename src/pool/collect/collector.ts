/**
 * The collector: moves live blocks out of the emptiest segments into segments of its own, so that those can go.
 *
 * Always holds: moves are not logged but part of the next checkpoint; a pointer is changed only if it still names
 * the old place; the tail that replay may need and what cursors pin is left alone. A block that does not match
 * its checksum, or cannot be read, stays where it is.
 */
import { checksumAt } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { Checkpointer } from "../checkpoint/checkpointer.ts";
import type { Engine } from "../engine.ts";
import { PAGE_BYTES, SEGMENT_FOOTER_BYTES, SEGMENT_HEADER_BYTES } from "../format/layout.ts";
import { encodeSegmentFooter, SegmentKind } from "../format/segment.ts";
import { Owners } from "../log/owners.ts";
import type { Segment } from "../log/segment.ts";
import type { Leaf } from "../map/leaf.ts";
import { KIND_SHIFT } from "../map/leaf.ts";
import { BlockWindow } from "./block-window.ts";
import { Pace } from "./pace.ts";
import { fullness } from "./pressure.ts";

/** Blocks moved with one write. */
const BATCH_BLOCKS = 64;
/** A segment with a higher share of live blocks is not worth moving, unless a tighter ratio is asked for. */
const LIVE_SHARE_MAX = 0.95;
/** Shares of the loop's time: to keep the ratio, and between the first and the last pressure for room. */
const TIDY_DUTY = 0.2;
const PRESSED_DUTY_MIN = 0.2;
const PRESSED_DUTY_MAX = 0.9;
/** Collecting that somebody asked for and waits for. */
const ASKED_DUTY = 0.9;
/** Begun for the ratio's sake, it goes on a little below it. */
const TIDY_UNTIL = 0.97;

/** A block to move. */
interface Move {
  readonly leaf: number;
  readonly slot: number;
  readonly offset: number;
  readonly sum: number;
}

/** Blocks on their way to the kernel on another thread; nothing points at them yet. */
interface Flight {
  readonly landing: Promise<void>;
  readonly victim: Segment;
  readonly target: Segment;
  readonly position: number;
  readonly moves: readonly Move[];
}

export class Collector {
  readonly #engine: Engine;
  readonly #checkpointer: Checkpointer;
  /** One is gathered in while the other is written. */
  #buffer = new Uint8Array(BATCH_BLOCKS * PAGE_BYTES);
  #spareBuffer = new Uint8Array(BATCH_BLOCKS * PAGE_BYTES);
  #flight: Flight | undefined;
  readonly #window: BlockWindow;
  readonly #pace: Pace;
  #target: Segment | undefined;
  #position = 0;
  readonly #unsynced = new Set<Segment>();
  /** Segments with a block that does not match its checksum or cannot be read; they are left alone from then on. */
  readonly #stuck = new Set<number>();
  /** Segments that kept a block in this collection, because its leaf was not at hand or changed. */
  readonly #left = new Set<number>();
  #running: Promise<unknown> | undefined;
  #planned = false;
  /** Collecting for the ratio's sake has begun. */
  #isTidying = false;
  /** The checkpoint since which nothing could be done; the next one may change that. */
  #stalledAt = -1;
  #closed = false;

  constructor(engine: Engine, checkpointer: Checkpointer) {
    this.#engine = engine;
    this.#checkpointer = checkpointer;
    this.#window = new BlockWindow(engine.segments);
    this.#pace = new Pace(engine.world.clock, engine.slices);
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
    while (this.#running !== undefined) await this.#running;
    return this.#hold(action);
  }

  /** Holds the collector while `action` runs, and looks for work behind it. */
  #hold<T>(action: () => Promise<T>): Promise<T> {
    const done = action();
    const released = () => {
      this.#running = undefined;
      this.poke();
    };
    this.#running = done.then(released, released);
    return done;
  }

  /** Segments with nothing live, which the next checkpoints give back. */
  get pending(): number {
    return fullness(this.#engine.segments, this.#checkpointer, this.#engine.settings).pending;
  }

  /** Looks whether there is work, between turns, and does it, one segment at a time. */
  poke(): void {
    if (this.#planned || this.#running !== undefined || this.#closed) return;
    if (this.#engine.log.failed !== undefined) return;
    const duty = this.#duty();
    if (duty === 0 || this.#stalledAt === this.#checkpointer.checkpoint) return;
    this.#planned = true;
    this.#engine.world.clock.soon(() => {
      this.#planned = false;
      if (this.#running !== undefined || this.#closed) return;
      this.#hold(() => this.#emptyOne(duty)).catch(() => undefined);
    });
  }

  /** Where this does nothing or fails, the next checkpoint is waited for: trying again at once would be no better. */
  async #emptyOne(duty: number): Promise<void> {
    this.#left.clear();
    let isEmptied = false;
    try {
      isEmptied = await this.#emptyNext(LIVE_SHARE_MAX, duty);
    } finally {
      if (!isEmptied) this.#stalledAt = this.#checkpointer.checkpoint;
    }
  }

  /** The share of the loop's time that collecting in the background should take now. */
  #duty(): number {
    const { segments, settings } = this.#engine;
    const { ratio, pressure, pending } = fullness(segments, this.#checkpointer, settings);
    if (segments.isScarce && pending > 0) this.#checkpointer.want();
    const limit = settings.collectAboveRatio * (this.#isTidying ? TIDY_UNTIL : 1);
    this.#isTidying = ratio > limit && segments.all.size * 2 >= segments.filesMax;
    if (pressure > 0) return PRESSED_DUTY_MIN + (PRESSED_DUTY_MAX - PRESSED_DUTY_MIN) * pressure;
    return this.#isTidying ? TIDY_DUTY : 0;
  }

  /** Collects until used space is at most `ratio` × live data; returns the segments emptied. */
  async collect(ratio: number, limits: { segmentsMax: number; shareMax?: number }): Promise<number> {
    while (this.#running !== undefined) await this.#running;
    return this.#hold(() => this.#collect(ratio, limits.segmentsMax, limits.shareMax ?? LIVE_SHARE_MAX));
  }

  async #collect(ratio: number, segmentsMax: number, shareMax: number): Promise<number> {
    const { segments, settings } = this.#engine;
    let emptied = 0;
    this.#left.clear();
    while (emptied < segmentsMax && !this.#closed) {
      if (fullness(segments, this.#checkpointer, settings).ratio <= ratio) break;
      if (!(await this.#emptyNext(shareMax, ASKED_DUTY))) break;
      emptied += 1;
    }
    return emptied;
  }

  /** Empties the best victim; false when there is none, or no room to move anything to. */
  async #emptyNext(shareMax: number, duty: number): Promise<boolean> {
    const victim = this.#victim(shareMax);
    if (victim === undefined) return false;
    try {
      await this.#empty(victim, duty);
    } catch (error) {
      await this.#land().catch(() => undefined);
      // What was emptied so far may give some room.
      if (error instanceof RopewalkError && error.code === "NO_SPACE") return false;
      throw error;
    }
    this.#engine.counters.segmentsCollected += 1;
    return true;
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

  async #empty(victim: Segment, duty: number): Promise<void> {
    const { segments, nodes, cache, settings, log } = this.#engine;
    const owners = await this.#ownersOf(victim);
    const share = segments.live(victim) / Math.max(1, owners.length);
    let moves: Move[] = [];
    this.#pace.begin();
    for (let index = 0; index < owners.length && !this.#closed && segments.live(victim) > 0; index += 1) {
      // Entries of dead blocks cost time as well, so every entry may end the slice.
      if (this.#pace.isOver) {
        this.#engine.planEviction();
        await this.#pace.rest(duty);
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
      if (this.#window.at(victim, offset) < 0 && !(await this.#load(victim, offset, share))) break;
      const from = this.#window.at(victim, offset);
      if (checksumAt(this.#window.bytes, from, PAGE_BYTES) !== sum) {
        this.#engine.counters.checksumErrors += 1;
        this.#stuck.add(victim.number);
        continue;
      }
      this.#buffer.set(this.#window.bytes.subarray(from, from + PAGE_BYTES), moves.length * PAGE_BYTES);
      moves.push({ leaf: id, slot, offset, sum });
      if (moves.length === BATCH_BLOCKS) {
        await this.#send(victim, moves);
        moves = [];
      }
    }
    if (moves.length > 0) await this.#send(victim, moves);
    await this.#land();
    if (!this.#closed && victim.row >= 0 && segments.live(victim) > 0 && !this.#stuck.has(victim.number)) {
      // Something was evicted or changed between; the next collection takes what is left, or scrub names it.
      this.#left.add(victim.number);
    }
  }

  /** False when the disk fails the read: the segment is not collected any more. */
  async #load(victim: Segment, offset: number, share: number): Promise<boolean> {
    try {
      await this.#window.load(victim, offset, share);
      return true;
    } catch (error) {
      if (!(error instanceof RopewalkError && error.code === "IO_ERROR")) throw error;
      this.#stuck.add(victim.number);
      return false;
    }
  }

  async #ownersOf(victim: Segment): Promise<Owners> {
    if (victim.owners !== undefined) return victim.owners;
    const place = this.#engine.segments.ownersPlace(victim);
    return place === undefined ? new Owners() : Owners.restore(await this.#engine.store.read(place));
  }

  async #fetch(id: number): Promise<Leaf | undefined> {
    try {
      return (await this.#engine.cache.fetch(id)) as Leaf;
    } catch (error) {
      if (error instanceof RopewalkError && error.code !== "IO_ERROR") return undefined;
      throw error;
    }
  }

  /** Sends the gathered blocks to the kernel on another thread. */
  async #send(victim: Segment, moves: readonly Move[]): Promise<void> {
    const { segments } = this.#engine;
    await this.#land();
    const bytes = moves.length * PAGE_BYTES;
    if (this.#target === undefined || this.#position + bytes > segments.segmentBytes - SEGMENT_FOOTER_BYTES)
      await this.#nextTarget();
    const target = this.#target!;
    const position = this.#position;
    this.#position += bytes;
    const landing = target.file!.writeAside(position, [this.#buffer.subarray(0, bytes)]);
    // A failure is met where it lands.
    landing.catch(() => undefined);
    this.#flight = { landing, victim, target, position, moves };
    [this.#buffer, this.#spareBuffer] = [this.#spareBuffer, this.#buffer];
  }

  /** Waits for the blocks on their way, and points their leaves at them in one turn. */
  async #land(): Promise<void> {
    const flight = this.#flight;
    if (flight === undefined) return;
    this.#flight = undefined;
    await flight.landing;
    const { segments, nodes, cache, world, counters } = this.#engine;
    const { victim, target, position, moves } = flight;
    // A sync that ran meanwhile may not have seen them.
    this.#unsynced.add(target);
    counters.collectorBytesWritten += moves.length * PAGE_BYTES;
    let moved = 0;
    moves.forEach(({ leaf: id, slot, offset, sum }, index) => {
      if (!nodes.has(id)) return;
      const leaf = (cache.get(id) ?? cache.fetchNow(id)) as Leaf | undefined;
      if (leaf === undefined) return;
      if (
        !names(leaf, slot, victim.number, offset) &&
        !(world.plants?.has("move-without-compare") && leaf.find(slot) >= 0)
      )
        return;
      const to = position + index * PAGE_BYTES;
      cache.touch(leaf);
      const old = leaf.words[leaf.find(slot)]!;
      if (old >>> KIND_SHIFT === 0) segments.dropLive(old);
      leaf.set(slot, target.number, to, sum);
      target.owners!.add(to, id, slot);
      moved += 1;
    });
    segments.addLive(target, moved);
    target.end = position + moves.length * PAGE_BYTES;
    segments.setEnd(target, { sealed: false });
  }

  async #nextTarget(): Promise<void> {
    const { segments, settings } = this.#engine;
    // In a full pool the collector has two segments of the reserve; the others are for trims, deletions and opens.
    const keep = Math.max(Math.ceil(settings.reserveSegments / 2), settings.reserveSegments - 2);
    if (segments.spares.count <= keep) await segments.spares.fill();
    if (segments.spares.count <= keep)
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
