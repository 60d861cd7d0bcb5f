/**
 * The appender: the one place where records enter the log.
 *
 * Always holds: records are written in the order of their sequences; a batch's promise resolves when it and all
 * before it are written; a sync covers what was written when it was issued, and before it is issued the
 * position is rounded up to 4 KiB, so that no durable sector is written again. After a failed write or sync
 * nothing is appended any more (POOL_READ_ONLY) and nothing retries.
 */
import { assert } from "../../base/assert.ts";
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { Timer } from "../../ports/mod.ts";
import {
  PAGE_BYTES,
  REQUEST_BYTES_MAX,
  roundUp,
  SEGMENT_FOOTER_BYTES,
  SEGMENT_HEADER_BYTES,
} from "../format/layout.ts";
import { RecordKind, recordHeaderBytes } from "../format/record.ts";
import { encodeSegmentFooter, SegmentKind } from "../format/segment.ts";
import type { PoolCounters, PoolSettings } from "../pool-api.ts";
import type { PoolWorld } from "../world.ts";
import { Batch } from "./batch.ts";
import { FLIGHTS_MAX, Flights } from "./flights.ts";
import { LogSyncs } from "./log-syncs.ts";
import { LogWriters } from "./log-writers.ts";
import { NextSegment } from "./next-segment.ts";
import { Owners } from "./owners.ts";
import { KIND_NAMES, type RecordToAppend } from "./record-to-append.ts";
import type { Segment } from "./segment.ts";
import type { Segments } from "./segments.ts";

/** Appended while a batch flies, at most. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024;
/** Room at a segment's end that only the pool's own small records may use. */
const PRIVILEGED_BYTES = 80 * 1024;
/** Clients may be ahead of the disk by so many times what a sync begins at: 1 GiB, what the kernel lets others do too. */
const UNSYNCED_MAX = 16;
export class Log {
  readonly #segments: Segments;
  readonly #world: PoolWorld;
  readonly #settings: PoolSettings;
  readonly #counters: PoolCounters;
  /** What is gathered now. */
  #batch: Batch;
  /** The other ones, while they are not being written from. */
  readonly #spareBatches: Batch[] = [];
  readonly #flights: Flights;
  /** Those who wait for what is gathered now. */
  #gathered: Deferred | undefined;
  #turnPlanned = false;
  #switching: Promise<void> | undefined;
  readonly #next: NextSegment;
  readonly #writers: LogWriters;
  readonly #syncs: LogSyncs;
  #timer: Timer | undefined;
  #closed = false;
  failed: RopewalkError | undefined;

  segment!: Segment;
  /** Where the next record goes. */
  position = 0;
  /** Up to here the current segment is with the kernel. */
  written = 0;
  sequence = 0;
  durable = 0;
  /** Highest durable sequence that stands in the log. */
  #claimed = 0;
  /** Last record that is not a mark. */
  #lastSubstantial = 0;
  incarnation = 0;
  /** Bytes and records appended since the pool was opened. */
  appendedBytes = 0;

  /** Checksums of the last appended record's pages: words of `checksums` from `checksumsAt`. */
  checksums: Uint32Array;
  checksumsAt = 0;
  /** Time stamp for records, refreshed once a turn. */
  atMs = 0;

  onDurable: (() => void) | undefined;

  constructor(world: PoolWorld, segments: Segments, settings: PoolSettings, counters: PoolCounters) {
    this.#world = world;
    this.#segments = segments;
    this.#settings = settings;
    this.#counters = counters;
    this.#next = new NextSegment(segments, (error) => this.fail(error));
    this.#flights = new Flights({
      arrived: (end) => this.#landed(end),
      fail: (error) => this.fail(error),
      ended: () => {
        if (this.position !== this.written || this.#syncs.isWanted) this.#plan();
      },
    });
    this.#writers = new LogWriters(world.clock, settings.writeAsideBytes);
    this.#syncs = new LogSyncs({
      segments,
      counters,
      plants: world.plants,
      arrived: (sequence) => {
        if (this.failed === undefined) this.durable = Math.max(this.durable, sequence);
        return this.failed;
      },
      fail: (error) => this.fail(error),
      ended: () => {
        this.onDurable?.();
        if (this.#syncs.isWanted) this.#plan();
      },
    });
    this.#batch = new Batch(world.pageThreads);
    this.checksums = this.#batch.words;
    while (this.#spareBatches.length < FLIGHTS_MAX) this.#spareBatches.push(new Batch(world.pageThreads));
  }

  /** Begins an incarnation behind `sequence`, which is durable. */
  async start(sequence: number, incarnation: number): Promise<void> {
    this.sequence = sequence;
    this.durable = sequence;
    this.#claimed = sequence;
    this.#lastSubstantial = sequence;
    this.incarnation = incarnation;
    const segment = await this.#segments.take(SegmentKind.log, "checkpoint");
    segment.owners = new Owners();
    this.#segments.begin(segment, { firstSequence: sequence + 1, begins: true, durable: sequence });
    await this.#segments.sync(segment);
    this.segment = segment;
    this.position = this.written = SEGMENT_HEADER_BYTES;
    this.atMs = this.#world.clock.wallMs();
    this.#plan();
    if (!this.#closed) this.#next.prepare();
  }

  get room(): number {
    return this.#segments.segmentBytes - SEGMENT_FOOTER_BYTES - this.position;
  }

  /** Whether a record can be appended in this turn. Throws POOL_READ_ONLY, SHUTTING_DOWN. */
  ready(dataBytes: number, payloadBytes: number, privileged: boolean): boolean {
    this.check();
    const headerBytes = recordHeaderBytes(dataBytes / PAGE_BYTES, payloadBytes);
    if (this.room < headerBytes + dataBytes + (privileged ? 0 : PRIVILEGED_BYTES)) return false;
    if (!this.#takesNow(headerBytes, dataBytes)) return false;
    return privileged || this.#syncs.unsyncedBytes <= UNSYNCED_MAX * this.#settings.syncBytes;
  }

  /** Whether a record can be gathered: while a batch flies, only so much, and nothing once a sync waits for it. */
  #takesNow(headerBytes: number, dataBytes: number): boolean {
    if (!this.#flights.any) return true;
    if (this.#syncs.isWanted && !this.#syncs.isRunning) return false;
    return this.#batch.fits(headerBytes, dataBytes) && this.position - this.written < PENDING_BYTES_MAX;
  }

  check(): void {
    if (this.failed !== undefined) throw this.failed;
    if (this.#closed) throw new RopewalkError("SHUTTING_DOWN", "the pool is closing");
  }

  /** Waits until `ready` may hold. NO_SPACE when there is no segment to go on in. */
  async makeReady(dataBytes: number, payloadBytes: number, privileged: boolean): Promise<void> {
    const bytes = recordHeaderBytes(dataBytes / PAGE_BYTES, payloadBytes) + dataBytes;
    assert(
      bytes + PRIVILEGED_BYTES <= this.#segments.segmentBytes - SEGMENT_HEADER_BYTES - SEGMENT_FOOTER_BYTES,
      "a record fits an empty segment",
    );
    if (this.room >= bytes + (privileged ? 0 : PRIVILEGED_BYTES)) {
      if (this.#flights.any) return this.#flights.whenFirstLanded();
      if (this.#syncs.unsyncedBytes > UNSYNCED_MAX * this.#settings.syncBytes) await this.flush();
      return;
    }
    const joined = this.#switching;
    if (joined !== undefined) {
      // A client's switch that fails in a full pool says nothing about what may use the reserve.
      return privileged ? joined.catch(() => undefined) : joined;
    }
    this.#switching = this.#switch(privileged).finally(() => {
      this.#switching = undefined;
    });
    return this.#switching;
  }

  async #switch(privileged: boolean): Promise<void> {
    const next = await this.#next.take(privileged ? "upkeep" : "client");
    // Nothing else is appended meanwhile: there is no room.
    while (this.#flights.any) await this.#flights.whenFirstLanded();
    this.writeOut();
    this.check();
    const { segment } = this;
    segment.end = this.position;
    const header = segment.header!;
    const footer = encodeSegmentFooter({
      number: segment.number,
      end: segment.end,
      lastSequence: this.sequence,
      blocks: this.#segments.blocks(segment),
      keyLow: header.keyLow,
      keyHigh: header.keyHigh,
    });
    try {
      segment.file!.write(this.#segments.segmentBytes - SEGMENT_FOOTER_BYTES, [footer]);
      this.#segments.begin(next, { firstSequence: this.sequence + 1, begins: false, durable: this.durable });
    } catch (error) {
      this.fail(error);
      throw this.failed;
    }
    for (const changed of [segment, next]) this.#syncs.wrote(changed, 0);
    next.owners = new Owners();
    this.#segments.setEnd(segment, { sealed: true });
    this.segment = next;
    this.position = this.written = SEGMENT_HEADER_BYTES;
    if (!this.#closed) this.#next.prepare();
  }

  /** The prepared segment that no record stands in, if any. */
  get spareSegment(): Segment | undefined {
    return this.#next.segment;
  }

  /**
   * Appends one record; `ready` was true in this turn. Returns the offset in `segment` of its first data page.
   * `checksums` from `checksumsAt` are its pages' checksums until the next append.
   */
  append(record: RecordToAppend): number {
    const { data, payload } = record;
    let dataBytes = 0;
    for (const part of data) dataBytes += part.length;
    const dataPages = dataBytes / PAGE_BYTES;
    const payloadBytes = payload?.length ?? 0;
    const headerBytes = recordHeaderBytes(dataPages, payloadBytes);
    assert(
      dataBytes <= REQUEST_BYTES_MAX + PAGE_BYTES && dataBytes % PAGE_BYTES === 0,
      "whole pages, one request",
    );
    // The clock is asked once a turn, by its first record.
    if (!this.#turnPlanned) this.atMs = this.#world.clock.wallMs();
    assert(headerBytes + dataBytes <= this.room, "the record ends inside its segment");
    if (!this.#batch.fits(headerBytes, dataBytes)) this.writeOut();
    this.check();
    const batch = this.#batch;
    assert(batch.fits(headerBytes, dataBytes), "the gathered records leave room for one more");

    const sequence = ++this.sequence;
    this.checksums = batch.words;
    this.checksumsAt = batch.checksumsAt;
    batch.put(record, { headerBytes, dataBytes }, this.segment.header!, {
      kind: record.kind,
      flags: record.flags,
      sequence,
      durable: this.durable,
      incarnation: this.incarnation,
      volume: record.volume,
      offset: record.offset,
      length: record.length,
      atMs: this.atMs,
      dataPages,
      payloadBytes,
    });
    const dataPosition = this.position + headerBytes;
    this.position = dataPosition + dataBytes;
    this.segment.end = this.position;
    this.appendedBytes += headerBytes + dataBytes;
    this.#claimed = this.durable;
    if (record.kind !== RecordKind.mark) this.#lastSubstantial = sequence;
    this.#plan();
    this.#world.observer?.({
      type: "append",
      sequence,
      kind: KIND_NAMES[record.kind]!,
      volume: record.volume,
      offset: record.offset,
      length: record.length,
      ...record.catalogue,
    });
    return dataPosition;
  }

  /** Whether what is appended now waits for a batch that is on its way. */
  get isFlying(): boolean {
    return this.#flights.any;
  }

  /** Resolves when everything appended so far is written; undefined when it is. */
  whenWritten(): Promise<void> | undefined {
    if (this.failed !== undefined) throw this.failed;
    if (this.position === this.written) return undefined;
    if (this.#batch.filled === 0 && this.#flights.any) return this.#flights.whenLastLanded();
    this.#gathered ??= new Deferred();
    return this.#gathered.promise;
  }

  /** Resolves when everything appended so far is durable; undefined when it is. One sync serves all who ask meanwhile. */
  flush(): Promise<void> | undefined {
    if (this.failed !== undefined) throw this.failed;
    if (this.durable >= this.sequence) return undefined;
    this.#plan();
    return this.#syncs.wait();
  }

  /** Like `flush`, and segment headers and footers without a record behind them are durable too. */
  flushAll(): Promise<void> | undefined {
    if (this.durable >= this.sequence && !this.#syncs.isClean) {
      if (this.failed !== undefined) throw this.failed;
      this.#plan();
      return this.#syncs.wait();
    }
    return this.flush() ?? this.#syncs.whenEnded();
  }

  #plan(): void {
    if (this.#turnPlanned) return;
    this.#turnPlanned = true;
    this.#world.clock.soon(() => {
      this.#turnPlanned = false;
      this.#endTurn();
    });
  }

  #endTurn(): void {
    if (this.failed !== undefined) return;
    if (this.#isForOthers) this.#sendAside();
    else this.writeOut();
    this.#syncIfDue();
    this.#timer ??= this.#closed
      ? undefined
      : this.#world.clock.after(this.#settings.syncIntervalMs, () => this.#tick());
  }

  #syncIfDue(): void {
    if (this.#syncs.isWanted) this.#sync();
    else if (this.#syncs.unsyncedBytes >= this.#settings.syncBytes) this.#syncBehind();
  }

  /** Hands everything appended so far to the kernel, now; does nothing while a batch flies. Sets `failed` rather than throw. */
  writeOut(): void {
    if (this.position === this.written || this.failed !== undefined || this.#flights.any) return;
    try {
      this.#writers.time(() => this.segment.file!.write(this.written, this.#batch.parts()));
    } catch (error) {
      this.fail(error);
      return;
    }
    const gathered = this.#gathered;
    this.#gathered = undefined;
    this.#batch.clear();
    this.#arrived(this.position);
    gathered?.resolve();
  }

  /** Appended and neither written nor on its way. */
  get #gatheredBytes(): number {
    return this.position - (this.#flights.end ?? this.written);
  }

  get #isForOthers(): boolean {
    return this.#gatheredBytes >= this.#writers.asideBytes(this.#syncs.isHeavy);
  }

  /** Sends what has gathered to the kernel on another thread, unless enough are at it; the loop goes on with another arena. */
  #sendAside(): void {
    if (this.#flights.isFull) return;
    const batch = this.#batch;
    const position = this.#flights.end ?? this.written;
    const gathered = this.#gathered;
    this.#gathered = undefined;
    this.#batch = this.#spareBatches.pop()!;
    this.#flights.begin(this.position, gathered, async () => {
      await this.segment.file!.writeAside(position, batch.parts());
      batch.clear();
      this.#spareBatches.push(batch);
    });
  }

  #landed(end: number): RopewalkError | undefined {
    if (this.failed !== undefined) return this.failed;
    this.#arrived(end);
    // A sync that is due goes before those who wait append again; they held back for it.
    if (this.#isForOthers) this.#sendAside();
    else this.#syncIfDue();
    return undefined;
  }

  /** Everything up to `end` of the current segment is with the kernel. */
  #arrived(end: number): void {
    const bytes = end - this.written;
    this.written = end;
    this.#writers.wrote();
    this.#syncs.wrote(this.segment, bytes);
    this.#counters.logBytesWritten += bytes;
  }

  #sync(): void {
    if (this.#syncs.isRunning || this.#flights.any || this.failed !== undefined) return;
    this.writeOut();
    if (this.failed !== undefined) return;
    if (!this.#world.plants?.has("no-round")) {
      this.position = this.written = roundUp(this.position, PAGE_BYTES);
    }
    this.#syncs.begin(this.sequence);
  }

  /**
   * Syncs what nobody waits for, behind the segment that is appended to: a sync of that one would hold up its
   * writers. Where segments are large it cannot wait for their ends.
   */
  #syncBehind(): void {
    if (this.#syncs.isRunning || this.failed !== undefined) return;
    const begun = this.#syncs.beginWithout(this.segment, this.segment.header!.firstSequence - 1);
    if (!begun && this.#segments.segmentBytes > 2 * this.#settings.syncBytes) this.#sync();
  }

  /** Once an interval: nothing stays undurable for long, and the durable mark gets into the log. */
  #tick(): void {
    this.#timer = undefined;
    if (this.#closed || this.failed !== undefined) return;
    if (this.durable < this.#lastSubstantial) {
      void this.flush();
    } else if (this.#claimed < this.#lastSubstantial && this.ready(0, 0, true)) {
      this.append({ kind: RecordKind.mark, flags: 0, volume: 0, offset: 0, length: 0, data: [] });
      void this.flush();
    } else if (this.#claimed < this.#lastSubstantial) {
      this.makeReady(0, 0, true).catch(() => undefined);
    }
    this.#timer = this.#world.clock.after(this.#settings.syncIntervalMs, () => this.#tick());
  }

  /** Ends appending for good: something that was promised may not be on the disk. */
  fail(cause: unknown): RopewalkError {
    this.failed ??= new RopewalkError(
      "POOL_READ_ONLY",
      "a write or sync of the log failed; the pool is read-only until it is reopened",
      { cause },
    );
    this.#gathered?.reject(this.failed);
    this.#gathered = undefined;
    this.#syncs.reject(this.failed);
    return this.failed;
  }

  /** Ends appending; everything is durable when it resolves (or the log had failed). */
  async close(): Promise<void> {
    await this.#next.settle();
    if (this.failed === undefined) await this.flush();
    this.#closed = true;
    this.#timer?.cancel();
  }
}
