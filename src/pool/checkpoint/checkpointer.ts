/**
 * Checkpoints: exact cuts of all maps, written beside the log. Runs the steps of each in their order.
 *
 * Always holds: one checkpoint runs at a time. Before the slot is written, the log up to the cut, the collector's and
 * the metadata segments and the directory are durable. The older slot is replaced. Segments that a checkpoint does
 * without are discarded when the other slot does without them too. A cut that finds no room is thawed (NO_SPACE);
 * any other failure from the cut on fails the log.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { roundUp } from "../format/layout.ts";
import { encodeSuperblock, type Place, SLOT_NAMES } from "../format/superblock.ts";
import type { Segment } from "../log/segment.ts";
import { type Cut, freezeCut, thawCut } from "./cut.ts";
import { CutWriter } from "./cut-writer.ts";
import { FreedSegments } from "./freed-segments.ts";
import { relocate } from "./relocation.ts";

export class Checkpointer {
  readonly #engine: Engine;
  readonly #writer: CutWriter;
  readonly #freedSegments: FreedSegments;
  /** Number of the last checkpoint that is durable. */
  checkpoint = 0;
  /** Log segment in which its cut is: from there on replay may need everything. */
  cutSegment = 0;
  #slot = 0;
  #running: Promise<void> | undefined;
  #discarding: Promise<void> = Promise.resolve();
  #wanted = false;
  #closed = false;
  /** Places of what each checkpoint writes anew: freed when the next one is durable. */
  #previous: Place[] = [];
  /** First log segment that must stay for cursors; told by them. */
  pinnedFrom: () => number = () => Number.POSITIVE_INFINITY;
  /** Collector's segments to make durable first; told by it. */
  beforeSlot: (() => Promise<void>) | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#writer = new CutWriter(engine);
    this.#freedSegments = new FreedSegments(engine);
    engine.awaitCheckpoint = () => this.run();
    engine.wantCheckpoint = () => this.want();
  }

  restored(checkpoint: number, cutSegment: number, slot: number, previous: Place[]): void {
    this.checkpoint = checkpoint;
    this.cutSegment = cutSegment;
    this.#slot = slot;
    this.#previous = previous;
  }

  /** Segments that the live state does without, waiting for both slots to do so too. */
  get freed(): Segment[] {
    return this.#freedSegments.waiting;
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
    await relocate(engine);
    engine.log.writeOut();
    engine.log.check();
    const cut = freezeCut(engine, this.#freedSegments, {
      checkpoint: this.checkpoint + 1,
      pinnedFrom: this.pinnedFrom(),
    });
    let superblock: Uint8Array;
    try {
      superblock = await this.#write(cut);
    } catch (error) {
      thawCut(engine, this.#freedSegments, cut);
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

  /** Returns the superblock that the newer slot has now. */
  async #write(cut: Cut): Promise<Uint8Array> {
    const engine = this.#engine;
    const { log, store } = engine;
    const { plants } = engine.world;
    const logDurable = plants?.has("slot-before-segments") ? Promise.resolve() : log.flushAll();
    // Unobserved until awaited below; a failure is told there.
    logDurable?.catch(() => undefined);
    const root = await this.#writer.write(cut);
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
    for (const old of [...cut.obsolete, ...this.#previous])
      cut.frees.push(old.segment, roundUp(old.length, 8));
    this.#previous = cut.previous;
    store.applyFrees(cut.frees);
    return superblock;
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
    this.#freedSegments.add(cut.freed, cut.checkpoint);
    this.#freedSegments.collect(cut.checkpoint);
    let neither = cut.checkpoint - (world.plants?.has("early-reuse") ? 0 : 1);
    if (segments.isScarce && this.freed.some(({ freedAt }) => freedAt > neither)) {
      // Clients wait for room: the other slot gets this checkpoint too, so that nothing needs the one before.
      await this.#writeSlot(1 - this.#slot, superblock);
      neither = cut.checkpoint;
    }
    // Removing files takes its time, and nobody who appends needs to wait for it.
    this.#discarding = this.#discarding
      .then(() => this.#freedSegments.discard(neither))
      .catch((error) => void this.#engine.log.fail(error));
  }
}
