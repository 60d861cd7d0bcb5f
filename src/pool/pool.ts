/**
 * The pool: one log, and the volumes, snapshots and clones that are maps into it.
 *
 * Always holds: one process has the disk from `open` to `close`. Errors: the codes named at each method; any
 * change is refused with POOL_READ_ONLY after a failed write or sync, and with SHUTTING_DOWN after `close`.
 */
import { RopewalkError } from "../base/errors.ts";
import { checkName } from "../base/object-name.ts";
import { type BlockDevice, checkDevice } from "../device/mod.ts";
import { Checkpointer } from "./checkpoint/checkpointer.ts";
import { readSlots, recover } from "./checkpoint/recovery.ts";
import { Collector } from "./collect/collector.ts";
import { Marker } from "./collect/marker.ts";
import { SpaceMaker } from "./collect/space-maker.ts";
import { Cursors } from "./cursor/cursors.ts";
import type { Engine } from "./engine.ts";
import { PAGE_BYTES } from "./format/layout.ts";
import { formatPool } from "./format-pool.ts";
import { Reclaimer } from "./map/reclaimer.ts";
import type {
  CursorInfo,
  CursorRecord,
  Difference,
  MapRef,
  PinInfo,
  PoolCounters,
  PoolSettings,
  PoolStatus,
  ScrubResult,
  SnapshotInfo,
  VolumeInfo,
} from "./pool-api.ts";
import { BackgroundScrub, scrub } from "./scrub/scrub.ts";
import { verify } from "./scrub/verify.ts";
import { completeSettings } from "./settings.ts";
import { VolumeAdministration } from "./volume/administration.ts";
import type { MapObject } from "./volume/catalogue.ts";
import { CatalogueWriter } from "./volume/catalogue-writer.ts";
import { allocationDepth } from "./volume/extents.ts";
import { Grafter } from "./volume/grafter.ts";
import { PageReader } from "./volume/page-reader.ts";
import { type PinOptions, Pins } from "./volume/pins.ts";
import { PoolDevice } from "./volume/pool-device.ts";
import { VolumeWriter } from "./volume/volume-writer.ts";
import type { PoolWorld } from "./world.ts";

const VERIFY_ATTEMPTS = 3;

export class Pool {
  readonly #engine: Engine;
  readonly #checkpointer: Checkpointer;
  readonly #reclaimer: Reclaimer;
  readonly #collector: Collector;
  readonly #marker: Marker;
  readonly #cursors: Cursors;
  readonly #catalogueWriter: CatalogueWriter;
  readonly #reader: PageReader;
  readonly #writer: VolumeWriter;
  readonly #administration: VolumeAdministration;
  readonly #pins: Pins;
  readonly #grafter: Grafter;
  readonly #scrub: BackgroundScrub;
  #closing: Promise<void> | undefined;

  private constructor(engine: Engine) {
    this.#engine = engine;
    this.#checkpointer = new Checkpointer(engine);
    this.#reclaimer = new Reclaimer(engine);
    this.#catalogueWriter = new CatalogueWriter(engine);
    this.#cursors = new Cursors(engine, this.#catalogueWriter);
    this.#checkpointer.pinnedFrom = () => this.#cursors.pinnedFrom();
    this.#collector = new Collector(engine, this.#checkpointer);
    this.#marker = new Marker(engine);
    const space = new SpaceMaker(engine, this.#checkpointer, this.#collector, this.#reclaimer, this.#cursors);
    engine.makeSpace = () => space.make();
    this.#reader = new PageReader(engine);
    this.#writer = new VolumeWriter(engine);
    this.#administration = new VolumeAdministration(engine, this.#catalogueWriter, this.#writer);
    this.#pins = new Pins(engine, {
      catalogueWriter: this.#catalogueWriter,
      administration: this.#administration,
      cursors: this.#cursors,
    });
    this.#grafter = new Grafter(engine, this.#catalogueWriter);
    this.#scrub = new BackgroundScrub(engine);
    engine.log.onDurable = () => {
      this.#cursors.durableMoved();
      this.#collector.poke();
    };
  }

  /** Makes an empty pool on a disk without one. ALREADY_EXISTS, NO_SPACE */
  static format(world: PoolWorld, settings: Partial<PoolSettings> = {}): Promise<void> {
    return formatPool(world, completeSettings(settings));
  }

  /** Whether there is a pool on the disk. */
  static async exists(world: PoolWorld): Promise<boolean> {
    const slots = await readSlots(world);
    return slots !== undefined && !slots.blank;
  }

  /** Opens (recovers) the pool. POOL_IN_USE, POOL_NEWER, POOL_DAMAGED, DATA_DIRECTORY (there is none) */
  static async open(world: PoolWorld, settings: Partial<PoolSettings> = {}): Promise<Pool> {
    await world.disk.lock();
    try {
      const slots = await readSlots(world);
      if (slots === undefined || slots.blank)
        throw new RopewalkError("DATA_DIRECTORY", "there is no pool in this directory");
      const recovered = await recover(world, completeSettings(settings), slots);
      const { engine, superblock } = recovered;
      if (settings.sizeBytes === undefined && engine.catalogue.sizeBytes > 0)
        engine.settings.sizeBytes = engine.catalogue.sizeBytes;
      engine.segments.incarnation = recovered.incarnation + 1;
      const pool = new Pool(engine);
      for (const segment of recovered.unknown) {
        // Made behind the newest slot and not in the chain: no slot can know it. The others may be the older slot's.
        if (segment.number >= superblock.nextSegment) await engine.segments.discard(segment);
        else {
          segment.freedAt = superblock.checkpoint;
          pool.#checkpointer.freed.push(segment);
        }
      }
      pool.#checkpointer.restored(
        superblock.checkpoint,
        superblock.cutSegment,
        recovered.slot,
        recovered.previous,
      );
      await engine.log.start(recovered.lastSequence, recovered.incarnation + 1);
      engine.cutRecords = superblock.cutSequence;
      await pool.#settle();
      // A slot whose write a power cut tore is made whole again, so that scrub need not tell it from damage.
      if (slots.blocks.some((block, slot) => block === undefined && !slots.blanks[slot]))
        await pool.#checkpointer.runFresh();
      return pool;
    } catch (error) {
      await world.disk.unlock();
      throw error;
    }
  }

  /** What an open owes the last run: pins that were not to outlive it end, the background goes on. */
  async #settle(): Promise<void> {
    const { segments } = this.#engine;
    // Files whose removal a power cut undid may be more than the pool's size allows.
    await segments.spares.trim(segments.filesMax);
    await segments.spares.fill();
    await this.#pins.dropTransient();
    await this.#engine.log.flush();
    if (segments.files > segments.filesMax || segments.spares.count < this.#engine.settings.reserveSegments) {
      await this.#checkpointer.runFresh();
      await this.#checkpointer.runFresh();
    }
    this.#reclaimer.start();
    this.#scrub.start();
  }

  /** Flushes, checkpoints, releases the disk. After a failed log it only releases. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { log, segments, world } = this.#engine;
    await this.#scrub.close();
    this.#marker.close();
    await this.#collector.close();
    await this.#reclaimer.close();
    this.#cursors.close();
    try {
      if (log.failed === undefined) {
        await log.flush();
        await this.#checkpointer.runFresh();
      }
    } finally {
      await this.#checkpointer.close();
      await log.close();
      await segments.closeAll();
      await world.disk.unlock();
    }
  }

  // ---- volumes ----

  volumes(): VolumeInfo[] {
    return this.#administration.volumes();
  }

  /** VOLUME_NOT_FOUND */
  volume(name: string): VolumeInfo {
    return this.#administration.volume(name);
  }

  /** All of a volume's snapshots in the order they were made, or everybody's when no name is given. VOLUME_NOT_FOUND */
  snapshots(volume?: string): SnapshotInfo[] {
    return this.#administration.snapshots(volume);
  }

  /** VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND */
  snapshot(volume: string, name: string): SnapshotInfo {
    return this.#administration.snapshot(volume, name);
  }

  /** INVALID_NAME, INVALID_SIZE, ALREADY_EXISTS, TOO_MANY */
  createVolume(options: { name: string; sizeBytes: number }): Promise<VolumeInfo> {
    return this.#administration.createVolume(options);
  }

  /** VOLUME_NOT_FOUND, IN_USE, HAS_SNAPSHOTS, HAS_CLONES */
  deleteVolume(name: string): Promise<void> {
    return this.#administration.deleteVolume(name);
  }

  /** VOLUME_NOT_FOUND, INVALID_SIZE, IN_USE when it would shrink under clients */
  resizeVolume(name: string, sizeBytes: number): Promise<VolumeInfo> {
    return this.#administration.resizeVolume(name, sizeBytes);
  }

  /** A writable copy in O(1). VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, ALREADY_EXISTS, INVALID_NAME */
  cloneVolume(options: { source: string; snapshot?: string; name: string }): Promise<VolumeInfo> {
    return this.#administration.cloneVolume(options);
  }

  /** Forgets what the volume was cloned from, so that this can be deleted. VOLUME_NOT_FOUND */
  detachVolume(name: string): Promise<VolumeInfo> {
    return this.#administration.detachVolume(name);
  }

  /** Freezes the volume as it is: all requests acknowledged before, none begun after. */
  createSnapshot(volume: string, name: string): Promise<SnapshotInfo> {
    return this.#administration.createSnapshot(volume, name);
  }

  /** VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, IN_USE, HAS_CLONES */
  deleteSnapshot(volume: string, name: string): Promise<void> {
    return this.#administration.deleteSnapshot(volume, name);
  }

  /** Makes the volume what the snapshot holds. IN_USE while clients are connected to the volume */
  rollback(volume: string, snapshot: string): Promise<VolumeInfo> {
    return this.#administration.rollback(volume, snapshot);
  }

  /** Puts a marker into the volume's record stream; resolves to its sequence when it is durable. TOO_LARGE */
  mark(volume: string, text: string): Promise<number> {
    return this.#administration.mark(volume, text);
  }

  // ---- devices ----

  /** Opens for serving; counts as a client until closed. */
  openVolume(name: string): BlockDevice {
    return this.#open(this.#engine.catalogue.volume(name));
  }

  openSnapshot(volume: string, name: string): BlockDevice {
    return this.#open(this.#engine.catalogue.snapshot(volume, name));
  }

  openPin(pin: number): BlockDevice {
    return this.#open(this.#engine.catalogue.pin(pin));
  }

  #open(object: MapObject): BlockDevice {
    return checkDevice(
      new PoolDevice({ engine: this.#engine, reader: this.#reader, writer: this.#writer }, object),
    );
  }

  // ---- maps ----

  /** Ranges where `to` reads otherwise than `from`, in order; found by skipping what the two maps share. */
  difference(options: {
    from: MapRef;
    to: MapRef;
    offset?: number;
    length?: number;
  }): AsyncGenerator<Difference> {
    return this.#pins.difference(options);
  }

  /** How far down a range's data is, as qemu counts: 0 not allocated, 1 the volume's own, 2 shared. */
  allocationDepth(
    map: MapRef,
    offset: number,
    length: number,
    extentsMax: number,
  ): Promise<{ lengthBytes: number; depth: number }[]> {
    const object = this.#engine.catalogue.object(map);
    return allocationDepth(this.#engine, () => object.map, offset, length, extentsMax);
  }

  /**
   * Makes [offset, offset + length) of a volume refer to what [sourceOffset, …) of a map holds, at 4 KiB alignment,
   * without moving data. Resolves when written, with `fua` when durable. INVALID_RANGE
   */
  async graft(options: {
    source: MapRef;
    sourceOffset: number;
    volume: string;
    offset: number;
    length: number;
    fua?: boolean;
  }): Promise<void> {
    const source = this.#engine.catalogue.object(options.source);
    const volume = this.#engine.catalogue.volume(options.volume);
    await this.#grafter.graft({
      source,
      sourceOffset: options.sourceOffset,
      volume,
      offset: options.offset,
      length: options.length,
    });
    await (options.fua === true ? this.#engine.log.flush() : this.#engine.log.whenWritten());
  }

  /**
   * Freezes a map and keeps it until `unpin`. A pin that is not persistent ends when the pool is reopened; with one
   * that is, a `label` may be kept, of at most 2,048 bytes in UTF-8. TOO_MANY, INVALID_ARGUMENT, TOO_LARGE
   */
  pin(map: MapRef, options: PinOptions = {}): Promise<number> {
    return this.#pins.pin(map, options);
  }

  /** All of them in the order they were made, those of cursors included. */
  pins(): PinInfo[] {
    return this.#pins.list();
  }

  /** PIN_NOT_FOUND, IN_USE */
  unpin(pin: number): Promise<void> {
    return this.#pins.unpin(pin);
  }

  // ---- cursors ----

  /** Follows a volume from now on. INVALID_NAME, ALREADY_EXISTS, VOLUME_NOT_FOUND */
  async createCursor(options: { name: string; volume: string; logBytesMax?: number }): Promise<CursorInfo> {
    checkName("cursor", options.name);
    return this.#cursors.create(options);
  }

  cursors(): CursorInfo[] {
    return this.#cursors.list();
  }

  /**
   * The next durable records behind `after` (exclusive; default: what was acknowledged), at most `bytesMax` of data
   * but at least one record. Waits up to `waitMs` for one. CURSOR_NOT_FOUND, PIN_DROPPED
   */
  readCursor(
    name: string,
    options: { after?: number; bytesMax?: number; waitMs?: number } = {},
  ): Promise<CursorRecord[]> {
    return this.#cursors.read(name, options);
  }

  /** The reader has everything up to `sequence`; log before it is no longer pinned for it. Resolves when durable. */
  acknowledgeCursor(name: string, sequence: number): Promise<void> {
    return this.#cursors.acknowledge(name, sequence);
  }

  /**
   * A new start behind PIN_DROPPED: `from` is the pin of the old frozen map (undefined when it was lost: a full copy
   * is needed) and `to` the pin of one of now. The reader brings itself up to date by their difference, then
   * acknowledges `sequence`, which gives `from` back, and follows from there on.
   */
  restartCursor(name: string): Promise<{ from: number | undefined; to: number; sequence: number }> {
    return this.#cursors.restart(name);
  }

  deleteCursor(name: string): Promise<void> {
    return this.#cursors.delete(name);
  }

  // ---- the pool itself ----

  status(): PoolStatus {
    const { segments, log, cache, catalogue, settings } = this.#engine;
    return {
      sizeBytes: settings.sizeBytes,
      usedBytes: segments.files * segments.segmentBytes,
      liveBytes: segments.liveBlocks * PAGE_BYTES,
      segments: segments.all.size,
      volumes: catalogue.volumes.size,
      readOnly: log.failed !== undefined,
      durableSequence: log.durable,
      sequence: log.sequence,
      checkpoint: this.#checkpointer.checkpoint,
      cachedNodeBytes: cache.bytes,
      dirtyNodes: cache.dirtyNodes,
    };
  }

  get counters(): PoolCounters {
    return this.#engine.counters;
  }

  get settings(): Readonly<PoolSettings> {
    return this.#engine.settings;
  }

  /** Changes live settings; `sizeBytes` is kept in the pool and may fall to what is used. INVALID_ARGUMENT, INVALID_SIZE */
  async set(
    settings: Partial<
      Pick<PoolSettings, "sizeBytes" | "collectAboveRatio" | "scrubBytesPerSecond" | "nodeCacheBytes">
    >,
  ): Promise<void> {
    const engine = this.#engine;
    completeSettings({ ...engine.settings, ...settings });
    const { sizeBytes } = settings;
    if (sizeBytes !== undefined) {
      const inUse =
        (engine.segments.all.size + engine.settings.reserveSegments) * engine.segments.segmentBytes;
      if (sizeBytes < inUse)
        throw new RopewalkError(
          "INVALID_SIZE",
          `the pool uses ${inUse} bytes; free some (gc) before it shrinks`,
        );
      await this.#catalogueWriter.commit(() => ({ operation: { op: "pool-size", sizeBytes }, volume: 0 }));
    }
    // What another call has set meanwhile stays.
    Object.assign(engine.settings, completeSettings({ ...engine.settings, ...settings }));
    await engine.segments.spares.trim(engine.segments.filesMax);
    await engine.segments.spares.fill();
    this.#scrub.start();
  }

  checkpoint(): Promise<void> {
    return this.#checkpointer.runFresh();
  }

  /** Gives back what can be given back until used space is at most `ratio` × live, or nothing more can be gained. */
  async collect(options: { ratio?: number } = {}): Promise<{ segmentsFreed: number }> {
    const { segments } = this.#engine;
    const before = segments.files;
    await this.#reclaimer.drain();
    await this.#marker.run();
    await this.#reclaimer.drain();
    await this.#collector.collect(options.ratio ?? this.#engine.settings.collectAboveRatio, {
      segmentsMax: Number.POSITIVE_INFINITY,
      shareMax: options.ratio === undefined ? 0.95 : 0.995,
    });
    // Two checkpoints, so that neither slot needs what was emptied.
    await this.#checkpointer.runFresh();
    await this.#checkpointer.runFresh();
    await segments.spares.shrink();
    return { segmentsFreed: Math.max(0, before - segments.files) };
  }

  /** Reads everything that the maps refer to and compares checksums. CANCELLED */
  scrub(
    options: {
      onError?: (sentence: string) => void;
      onProgress?: (blocks: number) => void;
      signal?: AbortSignal;
    } = {},
  ): Promise<ScrubResult> {
    return scrub(this.#engine, options);
  }

  /** Recomputes counts, referrers and live blocks from the maps and returns what does not agree: the pool's fsck. */
  async verify(): Promise<string[]> {
    return this.#collector.paused(async () => {
      let findings: string[] = [];
      // What the background is about may be seen half done; what is wrong stays wrong.
      for (let attempt = 0; attempt < VERIFY_ATTEMPTS; attempt += 1) {
        await this.#reclaimer.drain();
        findings = await verify(this.#engine);
        if (findings.length === 0) break;
      }
      return findings;
    });
  }
}
