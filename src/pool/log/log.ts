/**
 * The appender: the one place where records enter the log.
 *
 * Always holds: records are written in the order of their sequences; a batch's promise resolves when it and all
 * before it are written; a sync covers what was written when it was issued, and before it is issued the
 * position is rounded up to 4 KiB, so that no durable sector is written again. After a failed write or sync
 * nothing is appended any more (POOL_READ_ONLY) and nothing retries.
 */
import { assert } from "../../base/assert.ts";
import { checksum, checksumAt } from "../../base/checksum.ts";
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import { bytesOfWords } from "../../base/words.ts";
import type { PageThreads, Timer } from "../../ports/mod.ts";
import {
  PAGE_BYTES,
  REQUEST_BYTES_MAX,
  roundUp,
  SEGMENT_FOOTER_BYTES,
  SEGMENT_HEADER_BYTES,
} from "../format/layout.ts";
import { RECORD_HEADER_BYTES, RecordKind, recordHeaderBytes, sealRecordHeader } from "../format/record.ts";
import { encodeSegmentFooter, SegmentKind } from "../format/segment.ts";
import type { PoolCounters, PoolSettings } from "../pool-api.ts";
import type { PoolWorld } from "../world.ts";
import { Owners } from "./owners.ts";
import type { Segment } from "./segment.ts";
import type { Segments } from "./segments.ts";

/** Small parts are gathered here, so that a turn's records leave in one call. */
const ARENA_BYTES = 4 * 1024 * 1024;
/** Data of at least this length is written from where it stands; below, a copy is cheaper than another part. */
const DIRECT_BYTES = 32 * 1024;
/** Batches on their way at once: the kernel's lock lets one file's writers in one by one, so one more waits at its door. */
const FLIGHTS_MAX = 2;
/** Appended while a batch flies, at most. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024;
/** Room at a segment's end that only the pool's own small records may use. */
const PRIVILEGED_BYTES = 80 * 1024;
/** Clients may be ahead of the disk by so many times what a sync begins at: 1 GiB, what the kernel lets others do too. */
const UNSYNCED_MAX = 16;
/** A sync of so much may take the kernel tens of milliseconds. */
const HEAVY_SYNC_BYTES = 8 * 1024 * 1024;
/** A write that held up the loop for so long leaves writing to others for a while. */
const SLOW_WRITE_MS = 1;
const SLOW_MS = 1000;

/** When nothing was written for so long, nobody else is there whom a longer write would keep waiting. */
const ALONE_MS = 0.02;
const ALONE_FACTOR = 4;

export const KIND_NAMES: Readonly<Record<number, string>> = {
  [RecordKind.write]: "write",
  [RecordKind.zero]: "zero",
  [RecordKind.trim]: "trim",
  [RecordKind.resize]: "resize",
  [RecordKind.graft]: "graft",
  [RecordKind.catalogue]: "catalogue",
  [RecordKind.mark]: "mark",
};

export interface RecordToAppend {
  readonly kind: number;
  readonly flags: number;
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  /** Whole pages, in order; at most a merged page, the body and another merged page. */
  readonly data: readonly Uint8Array[];
  /** Checksums of its pages, where they are known already. */
  readonly checksums?: Uint32Array | undefined;
  readonly payload?: Uint8Array;
  /** Catalogue records: what the observer is told. */
  readonly catalogue?: { readonly operation: string; readonly object: number };
}

/** A batch that another thread writes. */
interface Flight {
  readonly end: number;
  readonly landed: Deferred;
  isDone: boolean;
}

export class Log {
  readonly #segments: Segments;
  readonly #world: PoolWorld;
  readonly #settings: PoolSettings;
  readonly #counters: PoolCounters;
  #arena: Uint32Array;
  #arenaBytes: Uint8Array;
  /** The other arenas, while they are not being written from. */
  readonly #spareArenas: Uint32Array[] = [];
  /** Batches on their way to the kernel on other threads, in order. */
  readonly #flights: Flight[] = [];
  #filled = 0;
  #partStart = 0;
  #parts: Uint8Array[] = [];
  #batch: Deferred | undefined;
  #turnPlanned = false;
  #next: Segment | undefined;
  #preparing: Promise<void> | undefined;
  #switching: Promise<void> | undefined;
  #syncGroup: Deferred | undefined;
  #syncing: Deferred | undefined;
  #syncingBytes = 0;
  #writtenAtMs = 0;
  /** Until then another thread writes everything. */
  #slowUntilMs = 0;
  /** Segments that a sync has to cover, with the bytes that are with the kernel and not durable. */
  readonly #unsynced = new Map<Segment, number>();
  #unsyncedBytes = 0;
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
    this.#arena = this.checksums = newArena(world.pageThreads);
    this.#arenaBytes = bytesOfWords(this.#arena);
    while (this.#spareArenas.length < FLIGHTS_MAX) this.#spareArenas.push(newArena(world.pageThreads));
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
    this.#prepare();
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
    return privileged || this.#unsyncedBytes <= UNSYNCED_MAX * this.#settings.syncBytes;
  }

  /** Whether a record can be gathered: while a batch flies, only so much, and nothing once a sync waits for it. */
  #takesNow(headerBytes: number, dataBytes: number): boolean {
    if (this.#flights.length === 0) return true;
    if (this.#syncGroup !== undefined && this.#syncing === undefined) return false;
    return this.#arenaFits(headerBytes, dataBytes) && this.position - this.written < PENDING_BYTES_MAX;
  }

  #arenaFits(headerBytes: number, dataBytes: number): boolean {
    return (
      this.#filled + headerBytes + (dataBytes >= DIRECT_BYTES ? 2 * PAGE_BYTES : dataBytes) <= ARENA_BYTES
    );
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
      if (this.#flights.length > 0) return this.#flights[0]!.landed.promise;
      if (this.#unsyncedBytes > UNSYNCED_MAX * this.#settings.syncBytes) await this.flush();
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
    await this.#preparing;
    const next = this.#next ?? (await this.#segments.take(SegmentKind.log, privileged ? "upkeep" : "client"));
    this.#next = undefined;
    // Nothing else is appended meanwhile: there is no room.
    while (this.#flights.length > 0) await this.#flights[0]!.landed.promise;
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
    this.#unsynced.set(segment, this.#unsynced.get(segment) ?? 0);
    this.#unsynced.set(next, 0);
    next.owners = new Owners();
    this.#segments.setEnd(segment, { sealed: true });
    this.segment = next;
    this.position = this.written = SEGMENT_HEADER_BYTES;
    this.#prepare();
  }

  /** Gets the next segment ready in the background; when the pool is full there is none. */
  #prepare(): void {
    if (this.#next !== undefined || this.#preparing !== undefined || this.#closed) return;
    this.#preparing = this.#segments
      .take(SegmentKind.log, "client")
      .then(
        (segment) => {
          this.#next = segment;
        },
        (error) => {
          if (!(error instanceof RopewalkError && error.code === "NO_SPACE")) this.fail(error);
        },
      )
      .finally(() => {
        this.#preparing = undefined;
      });
  }

  /** The prepared segment that no record stands in, if any. */
  get spareSegment(): Segment | undefined {
    return this.#next;
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
    const direct = dataBytes >= DIRECT_BYTES;
    if (!this.#arenaFits(headerBytes, dataBytes)) this.writeOut();
    this.check();
    assert(this.#arenaFits(headerBytes, dataBytes), "the gathered records leave room for one more");

    const at = this.#filled / 4;
    let sum = at + RECORD_HEADER_BYTES / 4;
    this.checksums = this.#arena;
    this.checksumsAt = sum;
    if (record.checksums !== undefined) {
      assert(record.checksums.length === dataPages, "a checksum for each page");
      this.#arena.set(record.checksums, sum);
      sum += dataPages;
    } else {
      sum = this.#checksumPages(data, sum);
    }
    if (payload !== undefined) this.#arenaBytes.set(payload, sum * 4);
    this.#arenaBytes.fill(0, sum * 4 + payloadBytes, this.#filled + headerBytes);
    const sequence = ++this.sequence;
    const header = this.segment.header!;
    sealRecordHeader(
      this.#arena,
      this.#arenaBytes,
      at,
      headerBytes,
      {
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
      },
      header.keyLow,
      header.keyHigh,
    );
    this.#filled += headerBytes;
    for (const part of data) {
      if (direct && part.length > PAGE_BYTES) {
        this.#closePart();
        this.#parts.push(part);
      } else {
        this.#arenaBytes.set(part, this.#filled);
        this.#filled += part.length;
      }
    }
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

  #checksumPages(data: readonly Uint8Array[], at: number): number {
    let sum = at;
    for (const part of data) {
      for (let offset = 0; offset < part.length; offset += PAGE_BYTES) {
        this.#arena[sum] = part.length === PAGE_BYTES ? checksum(part) : checksumAt(part, offset, PAGE_BYTES);
        sum += 1;
      }
    }
    return sum;
  }

  #closePart(): void {
    if (this.#filled > this.#partStart)
      this.#parts.push(this.#arenaBytes.subarray(this.#partStart, this.#filled));
    this.#partStart = this.#filled;
  }

  /** Whether what is appended now waits for a batch that is on its way. */
  get isFlying(): boolean {
    return this.#flights.length > 0;
  }

  /** Resolves when everything appended so far is written; undefined when it is. */
  whenWritten(): Promise<void> | undefined {
    if (this.failed !== undefined) throw this.failed;
    if (this.position === this.written) return undefined;
    if (this.#filled === 0 && this.#flights.length > 0) return this.#flights.at(-1)!.landed.promise;
    this.#batch ??= new Deferred();
    return this.#batch.promise;
  }

  /** Resolves when everything appended so far is durable; undefined when it is. One sync serves all who ask meanwhile. */
  flush(): Promise<void> | undefined {
    if (this.failed !== undefined) throw this.failed;
    if (this.durable >= this.sequence) return undefined;
    this.#syncGroup ??= new Deferred();
    this.#plan();
    return this.#syncGroup.promise;
  }

  /** Like `flush`, and segment headers and footers without a record behind them are durable too. */
  flushAll(): Promise<void> | undefined {
    if (this.durable >= this.sequence && this.#unsynced.size > 0) {
      if (this.failed !== undefined) throw this.failed;
      this.#syncGroup ??= new Deferred();
      this.#plan();
      return this.#syncGroup.promise;
    }
    return this.flush() ?? this.#syncing?.promise;
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
    if (this.#gatheredBytes >= this.#asideBytes) this.#sendAside();
    else this.writeOut();
    this.#syncIfDue();
    this.#timer ??= this.#closed
      ? undefined
      : this.#world.clock.after(this.#settings.syncIntervalMs, () => this.#tick());
  }

  #syncIfDue(): void {
    if (this.#syncGroup !== undefined) this.#sync();
    else if (this.#unsyncedBytes >= this.#settings.syncBytes) this.#syncBehind();
  }

  /**
   * From how many bytes on another thread writes. While much is synced, or memory for the page cache is short, the
   * kernel may hold up a writer for milliseconds, so then the loop writes nothing itself. A client that waits for
   * each answer is answered sooner without a hand-over.
   */
  get #asideBytes(): number {
    const isHeavy = this.#syncing !== undefined && this.#syncingBytes >= HEAVY_SYNC_BYTES;
    const nowMs = this.#world.clock.nowMs();
    if (isHeavy || nowMs < this.#slowUntilMs) return 1;
    const { writeAsideBytes } = this.#settings;
    return nowMs - this.#writtenAtMs > ALONE_MS ? ALONE_FACTOR * writeAsideBytes : writeAsideBytes;
  }

  /** Hands everything appended so far to the kernel, now; does nothing while a batch flies. Sets `failed` rather than throw. */
  writeOut(): void {
    if (this.position === this.written || this.failed !== undefined || this.#flights.length > 0) return;
    this.#closePart();
    const { clock } = this.#world;
    const beganMs = clock.nowMs();
    try {
      this.segment.file!.write(this.written, this.#parts);
    } catch (error) {
      this.fail(error);
      return;
    }
    const endedMs = clock.nowMs();
    if (endedMs - beganMs > SLOW_WRITE_MS) this.#slowUntilMs = endedMs + SLOW_MS;
    const batch = this.#batch;
    this.#batch = undefined;
    this.#parts = [];
    this.#filled = 0;
    this.#partStart = 0;
    this.#arrived(this.position);
    batch?.resolve();
  }

  /** Appended and neither written nor on its way. */
  get #gatheredBytes(): number {
    return this.position - (this.#flights.at(-1)?.end ?? this.written);
  }

  /** Sends what has gathered to the kernel on another thread, unless enough are at it; the loop goes on with another arena. */
  #sendAside(): void {
    if (this.#flights.length >= FLIGHTS_MAX) return;
    this.#closePart();
    const flight: Flight = { end: this.position, landed: this.#batch ?? new Deferred(), isDone: false };
    const parts = this.#parts;
    const arena = this.#arena;
    const position = this.#flights.at(-1)?.end ?? this.written;
    this.#batch = undefined;
    this.#flights.push(flight);
    this.#parts = [];
    this.#filled = 0;
    this.#partStart = 0;
    this.#arena = this.#spareArenas.pop()!;
    this.#arenaBytes = bytesOfWords(this.#arena);
    this.segment.file!.writeAside(position, parts).then(
      () => {
        this.#spareArenas.push(arena);
        flight.isDone = true;
        this.#land();
      },
      (error) => {
        this.fail(error);
        flight.isDone = true;
        this.#land();
      },
    );
  }

  /** Batches end in their order, whichever thread was faster. */
  #land(): void {
    while (this.#flights[0]?.isDone) {
      const flight = this.#flights.shift()!;
      if (this.failed !== undefined) {
        flight.landed.reject(this.failed);
        continue;
      }
      this.#arrived(flight.end);
      // A sync that is due goes before those who wait append again; they held back for it.
      if (this.#gatheredBytes >= this.#asideBytes) this.#sendAside();
      else this.#syncIfDue();
      flight.landed.resolve();
      if (this.position !== this.written || this.#syncGroup !== undefined) this.#plan();
    }
  }

  /** Everything up to `end` of the current segment is with the kernel. */
  #arrived(end: number): void {
    const bytes = end - this.written;
    this.written = end;
    this.#writtenAtMs = this.#world.clock.nowMs();
    this.#unsynced.set(this.segment, (this.#unsynced.get(this.segment) ?? 0) + bytes);
    this.#unsyncedBytes += bytes;
    this.#counters.logBytesWritten += bytes;
  }

  #sync(): void {
    if (this.#syncing !== undefined || this.#flights.length > 0 || this.failed !== undefined) return;
    this.writeOut();
    if (this.failed !== undefined) return;
    const group = this.#syncGroup ?? new Deferred();
    this.#syncGroup = undefined;
    if (!this.#world.plants?.has("no-round")) {
      this.position = this.written = roundUp(this.position, PAGE_BYTES);
    }
    this.#beginSync([...this.#unsynced.keys()], this.sequence, group);
  }

  /**
   * Syncs what nobody waits for, behind the segment that is appended to: a sync of that one would hold up its
   * writers. Where segments are large it cannot wait for their ends.
   */
  #syncBehind(): void {
    if (this.#syncing !== undefined || this.failed !== undefined) return;
    const segments = [...this.#unsynced.keys()].filter((segment) => segment !== this.segment);
    if (segments.length > 0)
      this.#beginSync(segments, this.segment.header!.firstSequence - 1, new Deferred());
    else if (this.#segments.segmentBytes > 2 * this.#settings.syncBytes) this.#sync();
  }

  #beginSync(segments: readonly Segment[], target: number, group: Deferred): void {
    this.#syncingBytes = 0;
    for (const segment of segments) {
      this.#syncingBytes += this.#unsynced.get(segment)!;
      this.#unsynced.delete(segment);
    }
    this.#unsyncedBytes -= this.#syncingBytes;
    this.#syncing = group;
    this.#counters.syncs += 1;
    const skip = this.#world.plants?.has("skip-sync") && this.#counters.syncs % 3 === 0;
    const done = skip
      ? Promise.resolve([])
      : Promise.all(segments.map((segment) => this.#segments.sync(segment)));
    done.then(
      () => {
        this.#syncing = undefined;
        if (this.failed !== undefined) {
          group.reject(this.failed);
          return;
        }
        this.durable = Math.max(this.durable, target);
        group.resolve();
        this.onDurable?.();
        if (this.#syncGroup !== undefined) this.#plan();
      },
      (error) => {
        this.#syncing = undefined;
        this.#syncGroup ??= group;
        group.reject(this.fail(error));
      },
    );
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
    this.#batch?.reject(this.failed);
    this.#syncGroup?.reject(this.failed);
    this.#batch = undefined;
    this.#syncGroup = undefined;
    return this.failed;
  }

  /** Ends appending; everything is durable when it resolves (or the log had failed). */
  async close(): Promise<void> {
    await this.#preparing;
    if (this.failed === undefined) await this.flush();
    this.#closed = true;
    this.#timer?.cancel();
  }
}

/** In memory that the page threads see, if there is some. */
function newArena(pageThreads: PageThreads | undefined): Uint32Array {
  const shared = pageThreads?.allocate(ARENA_BYTES);
  if (shared === undefined) return new Uint32Array(ARENA_BYTES / 4);
  return new Uint32Array(shared.buffer, shared.byteOffset, ARENA_BYTES / 4);
}
