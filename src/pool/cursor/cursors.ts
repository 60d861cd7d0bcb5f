/**
 * Cursors: readers of one volume's records, in order, durable ones only.
 *
 * Always holds: from a following cursor's place on, the log's segments stay; beyond its budget the cursor is
 * dropped by a record, and its frozen map still gives the difference. Where a cursor stands changes by records
 * only, so a crash never moves it forward.
 */
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import type { Engine } from "../engine.ts";
import { SEGMENT_HEADER_BYTES } from "../format/layout.ts";
import { type RecordHeader, recordBytes } from "../format/record.ts";
import { decodeSegmentHeader, type SegmentHeader, SegmentKind } from "../format/segment.ts";
import { nextRecord } from "../log/log-chain.ts";
import { SegmentScanner } from "../log/segment-scanner.ts";
import type { CursorInfo, CursorRecord } from "../pool-api.ts";
import type { CursorObject } from "../volume/catalogue.ts";
import type { CatalogueWriter } from "../volume/catalogue-writer.ts";
import { cursorRecord } from "./cursor-record.ts";

const CURSORS_MAX = 256;
const READ_BYTES = 8 * 1024 * 1024;
const RECORDS_MAX = 4096;
/** Grafts and rollbacks that are held for one cursor; each is an object of the catalogue. */
const HOLDS_MAX = 1024;
/** Room that a cursor's own record needs in the log. */
const RECORD_ROOM = 16 * 1024;
/** Records of other volumes passed over in one read before it looks whether anybody else wants a turn. */
const STEPS_PER_TURN = 256;

/** A place in the log between two records. */
interface Position {
  readonly sequence: number;
  readonly segment: number;
  readonly position: number;
}

interface Reading {
  /** Where reading got to, and the places of what was delivered and not acknowledged. */
  at: Position;
  delivered: Position[];
  /** The read that is under way; reads of one cursor go one behind the other. */
  running: Promise<unknown> | undefined;
}

export class Cursors {
  readonly #engine: Engine;
  readonly #writer: CatalogueWriter;
  readonly #readings = new Map<number, Reading>();
  #moved = new Deferred();
  #enforcing: Promise<void> | undefined;
  #lastSegment = 0;
  #closed = false;

  constructor(engine: Engine, writer: CatalogueWriter) {
    this.#engine = engine;
    this.#writer = writer;
  }

  close(): void {
    this.#closed = true;
    this.durableMoved();
  }

  /** More of the log is durable: readers that wait look again, and budgets are looked at. */
  durableMoved(): void {
    const moved = this.#moved;
    this.#moved = new Deferred();
    moved.resolve();
    const segment = this.#engine.log.segment.number;
    if (this.#closed || (segment === this.#lastSegment && !this.#holdsTooMany())) return;
    this.#lastSegment = segment;
    this.enforce().catch(() => undefined);
  }

  #holdsTooMany(): boolean {
    for (const cursor of this.#engine.catalogue.cursors.values())
      if (cursor.holds.length > HOLDS_MAX) return true;
    return false;
  }

  /** First log segment that a following cursor still needs. */
  pinnedFrom(): number {
    let first = Number.POSITIVE_INFINITY;
    for (const cursor of this.#engine.catalogue.cursors.values())
      if (cursor.state === "following") first = Math.min(first, cursor.segment);
    return first;
  }

  /** Whether a pin is a cursor's frozen map or hold. */
  owns(pin: number): boolean {
    for (const cursor of this.#engine.catalogue.cursors.values()) {
      if (
        cursor.base === pin ||
        cursor.candidate === pin ||
        cursor.previous === pin ||
        cursor.holds.some((hold) => hold.pin === pin)
      )
        return true;
    }
    return false;
  }

  async create(options: { name: string; volume: string; logBytesMax?: number }): Promise<CursorInfo> {
    const { catalogue, settings } = this.#engine;
    const logBytesMax = options.logBytesMax ?? settings.cursorLogBytes;
    if (!Number.isSafeInteger(logBytesMax) || logBytesMax < 0)
      throw new RopewalkError("INVALID_ARGUMENT", "a cursor's budget of log must be a whole number of bytes");
    await this.#writer.commit(() => {
      const volume = catalogue.volume(options.volume);
      if (catalogue.cursors.has(options.name))
        throw new RopewalkError("ALREADY_EXISTS", `there is a cursor ${quoted(options.name)} already`);
      if (catalogue.cursors.size >= CURSORS_MAX)
        throw new RopewalkError("TOO_MANY", `the pool has ${CURSORS_MAX} cursors`);
      const id = this.#writer.nextId();
      const base = this.#writer.nextId(1);
      return {
        operation: { op: "cursor-create", id, name: options.name, volume: volume.id, base, logBytesMax },
        volume: volume.id,
      };
    });
    return this.#info(catalogue.cursor(options.name));
  }

  list(): CursorInfo[] {
    return [...this.#engine.catalogue.cursors.values()].map((cursor) => this.#info(cursor));
  }

  #info(cursor: CursorObject): CursorInfo {
    const volume = this.#engine.catalogue.objects.get(cursor.volume);
    return {
      name: cursor.name,
      volume: volume?.kind === "volume" ? volume.name : "",
      sequence: cursor.sequence,
      pinnedLogBytes: cursor.state === "following" ? this.#pinnedBytes(cursor) : 0,
      state: cursor.state,
      base: cursor.base === 0 ? undefined : cursor.base,
    };
  }

  #pinnedBytes(cursor: CursorObject): number {
    const { segments, log } = this.#engine;
    let bytes = 0;
    for (const segment of segments.all.values()) {
      if (segment.kind !== SegmentKind.log || segment.row < 0 || segment.number < cursor.segment) continue;
      if (segment === log.segment)
        bytes += log.position - (segment.number === cursor.segment ? cursor.position : 0);
      else
        bytes +=
          segment.number === cursor.segment
            ? Math.max(0, segment.end - cursor.position)
            : segments.segmentBytes;
    }
    return bytes;
  }

  // ---- reading ----

  async read(
    name: string,
    options: { after?: number; bytesMax?: number; waitMs?: number },
  ): Promise<CursorRecord[]> {
    const { log, world } = this.#engine;
    const until = world.clock.nowMs() + (options.waitMs ?? 0);
    for (;;) {
      const cursor = this.#following(name);
      const moved = this.#moved;
      const records = await this.#readDurable(
        cursor,
        options.after ?? cursor.sequence,
        options.bytesMax ?? READ_BYTES,
      );
      const left = until - world.clock.nowMs();
      if (records.length > 0 || left <= 0 || this.#closed) return records;
      log.check();
      const timer = world.clock.after(left, () => moved.resolve());
      await moved.promise;
      timer.cancel();
    }
  }

  #following(name: string): CursorObject {
    const cursor = this.#engine.catalogue.cursor(name);
    if (cursor.state === "following") return cursor;
    if (cursor.state === "dropped")
      throw new RopewalkError(
        "PIN_DROPPED",
        `the log that cursor ${quoted(name)} needs was given up to stay within its budget; restart it and read the difference`,
      );
    throw new RopewalkError(
      "BASE_LOST",
      `cursor ${quoted(name)} lost its frozen map as well; restart it and copy the volume whole`,
    );
  }

  #stillFollowing(cursor: CursorObject): void {
    if (this.#is(cursor, "following")) return;
    this.#following(cursor.name);
    throw new RopewalkError(
      "CURSOR_NOT_FOUND",
      `cursor ${quoted(cursor.name)} was deleted while it was read`,
    );
  }

  #reading(cursor: CursorObject): Reading {
    let reading = this.#readings.get(cursor.id);
    if (reading === undefined) {
      reading = {
        at: { sequence: cursor.sequence, segment: cursor.segment, position: cursor.position },
        delivered: [],
        running: undefined,
      };
      this.#readings.set(cursor.id, reading);
    }
    return reading;
  }

  async #readDurable(cursor: CursorObject, from: number, bytesMax: number): Promise<CursorRecord[]> {
    const reading = this.#reading(cursor);
    while (reading.running !== undefined) await reading.running.catch(() => undefined);
    this.#stillFollowing(cursor);
    const read = this.#readOn(cursor, reading, from, bytesMax).finally(() => {
      reading.running = undefined;
    });
    reading.running = read;
    return read;
  }

  async #readOn(
    cursor: CursorObject,
    reading: Reading,
    from: number,
    bytesMax: number,
  ): Promise<CursorRecord[]> {
    const { log, world } = this.#engine;
    // What lies before was acknowledged, or held nothing of this volume.
    const after = Math.max(from, cursor.sequence);
    let at = reading.at;
    if (at.sequence > after) {
      // The reader asks again for what it has not acknowledged.
      at = { sequence: cursor.sequence, segment: cursor.segment, position: cursor.position };
      for (const place of reading.delivered) if (place.sequence <= after) at = place;
      reading.delivered = reading.delivered.filter((place) => place.sequence <= after);
      // What was delivered and is asked for again counts as not read: nothing may acknowledge it meanwhile.
      reading.at = at;
    }
    const records: CursorRecord[] = [];
    const walk = new LogWalk(this.#engine, at);
    let bytes = 0;
    let steps = 0;
    const limit = world.plants?.has("undurable-cursor") ? () => log.sequence : () => log.durable;
    while (walk.at.sequence < limit() && records.length < RECORDS_MAX && bytes < bytesMax && !this.#closed) {
      let found: RecordHeader | undefined;
      let record: CursorRecord | undefined;
      try {
        found = await walk.next();
        if (found?.volume === cursor.volume)
          record = await cursorRecord(this.#engine, cursor, found, walk.segment);
      } catch (error) {
        // Its log may be gone because the cursor is; that is what the reader must hear.
        this.#stillFollowing(cursor);
        throw error;
      }
      this.#stillFollowing(cursor);
      if (found === undefined) break;
      if (record !== undefined) {
        // Also what the reader has and only did not acknowledge yet: nothing may be acknowledged past it.
        reading.delivered.push(walk.at);
        if (walk.at.sequence > after) {
          records.push(record);
          bytes += recordBytes(found);
        }
      }
      steps += 1;
      if (steps % STEPS_PER_TURN === 0) await new Promise<void>((resolve) => world.clock.soon(resolve));
    }
    reading.at = walk.at;
    return records;
  }

  async acknowledge(name: string, sequence: number): Promise<void> {
    const { log } = this.#engine;
    const cursor = this.#following(name);
    if (sequence < cursor.sequence)
      throw new RopewalkError("INVALID_ARGUMENT", `sequence ${sequence} is behind what was acknowledged`);
    if (sequence > log.durable)
      throw new RopewalkError("INVALID_ARGUMENT", `sequence ${sequence} is not durable yet`);
    const place = await this.#placeOf(cursor, sequence);
    await this.#writer.commit(() => {
      const current = this.#following(name);
      if (current !== cursor || sequence < current.sequence)
        throw new RopewalkError("INVALID_ARGUMENT", `sequence ${sequence} is behind what was acknowledged`);
      const candidate = this.#wantsCandidate(current) ? this.#writer.nextId() : 0;
      return {
        operation: { op: "cursor-acknowledge", id: current.id, ...place, sequence, candidate },
        volume: current.volume,
      };
    });
    const reading = this.#readings.get(cursor.id);
    if (reading !== undefined)
      reading.delivered = reading.delivered.filter((delivered) => delivered.sequence > sequence);
  }

  /** A new frozen map is taken once the reader is a good part of its budget past the old one. */
  #wantsCandidate(cursor: CursorObject): boolean {
    if (cursor.candidate !== 0) return false;
    const { log } = this.#engine;
    const { records, bytes } = this.#sinceBase(cursor);
    return log.sequence > cursor.baseSequence && (bytes * 4 >= cursor.logBytesMax || records >= 1024);
  }

  #sinceBase(cursor: CursorObject): { records: number; bytes: number } {
    const records = this.#engine.log.sequence - cursor.baseSequence;
    return { records, bytes: records * 4096 };
  }

  async #placeOf(cursor: CursorObject, sequence: number): Promise<{ segment: number; position: number }> {
    const reading = this.#reading(cursor);
    let from: Position = { sequence: cursor.sequence, segment: cursor.segment, position: cursor.position };
    for (const place of reading.delivered)
      if (place.sequence <= sequence && place.sequence > from.sequence) from = place;
    if (reading.at.sequence <= sequence && reading.at.sequence > from.sequence) from = reading.at;
    const walk = new LogWalk(this.#engine, from);
    while (walk.at.sequence < sequence) {
      if ((await walk.next()) === undefined)
        throw new RopewalkError("POOL_DAMAGED", `the log ends before sequence ${sequence}`);
    }
    return { segment: walk.at.segment, position: walk.at.position };
  }

  async restart(name: string): Promise<{ from: number | undefined; to: number; sequence: number }> {
    const { catalogue } = this.#engine;
    let from = 0;
    await this.#writer.commit(() => {
      const cursor = catalogue.cursor(name);
      from = cursor.previous !== 0 ? cursor.previous : cursor.base;
      return {
        operation: { op: "cursor-restart", id: cursor.id, base: this.#writer.nextId() },
        volume: cursor.volume,
      };
    });
    const cursor = catalogue.cursor(name);
    this.#readings.delete(cursor.id);
    return { from: from === 0 ? undefined : from, to: cursor.base, sequence: cursor.sequence };
  }

  async delete(name: string): Promise<void> {
    const { catalogue } = this.#engine;
    await this.#writer.commit(() => {
      const cursor = catalogue.cursor(name);
      this.#readings.delete(cursor.id);
      return { operation: { op: "cursor-delete", id: cursor.id }, volume: cursor.volume };
    });
    this.durableMoved();
  }

  // ---- budgets ----

  /** Drops cursors that pin more than they may, and moves on those that merely passed other volumes' records over. */
  enforce(): Promise<void> {
    this.#enforcing ??= this.#enforce().finally(() => {
      this.#enforcing = undefined;
    });
    return this.#enforcing;
  }

  async #enforce(): Promise<void> {
    const { catalogue, log, segments, settings } = this.#engine;
    for (const cursor of [...catalogue.cursors.values()]) {
      if (cursor.state === "dropped" && this.#baseTooOld(cursor)) await this.#lose(cursor);
      if (cursor.state !== "following") continue;
      if (cursor.segment === log.segment.number && cursor.holds.length <= HOLDS_MAX) continue;
      await this.#passOver(cursor);
      if (this.#pinnedBytes(cursor) > cursor.logBytesMax || cursor.holds.length > HOLDS_MAX)
        await this.#drop(cursor);
    }
    // The reserve is being used up while cursors pin log: they go first, as long as there is room to say so.
    if (segments.freeForClients === 0 && segments.spares.count < settings.reserveSegments)
      await this.yieldSpace();
  }

  /** Acknowledges, for a reader that has all that was delivered, the records of other volumes that it passed over. */
  async #passOver(cursor: CursorObject): Promise<void> {
    const reading = this.#readings.get(cursor.id);
    await this.#append(() => {
      if (
        reading === undefined ||
        reading.running !== undefined ||
        this.#readings.get(cursor.id) !== reading ||
        !this.#is(cursor, "following")
      )
        return undefined;
      if (
        reading.delivered.length > 0 ||
        reading.at.segment <= cursor.segment ||
        reading.at.sequence < cursor.sequence
      )
        return undefined;
      // The frozen map of before a restart stays until the reader itself says that it has the difference.
      if (cursor.previous !== 0) return undefined;
      if (cursor.holds.length > 0 && cursor.holds[0]!.sequence <= reading.at.sequence) return undefined;
      const { sequence, segment, position } = reading.at;
      return {
        operation: { op: "cursor-acknowledge", id: cursor.id, sequence, segment, position, candidate: 0 },
        volume: cursor.volume,
      };
    });
  }

  async #drop(cursor: CursorObject): Promise<void> {
    await this.#append(() => {
      if (!this.#is(cursor, "following")) return undefined;
      return { operation: { op: "cursor-drop", id: cursor.id }, volume: cursor.volume };
    });
    if (cursor.state !== "following") this.#readings.delete(cursor.id);
    this.durableMoved();
  }

  async #lose(cursor: CursorObject): Promise<void> {
    await this.#append(() => {
      if (!this.#is(cursor, "dropped")) return undefined;
      return { operation: { op: "cursor-lose", id: cursor.id }, volume: cursor.volume };
    });
  }

  /** Whether the cursor is still there and in a state; what waited for its turn in the log looks again. */
  #is(cursor: CursorObject, state: CursorObject["state"]): boolean {
    return this.#engine.catalogue.objects.get(cursor.id) === cursor && cursor.state === state;
  }

  /** Appends a record unless `prepare`, asked in the turn of the append, says that there is no reason any more. */
  async #append(
    prepare: () => ReturnType<Parameters<CatalogueWriter["append"]>[0]> | undefined,
  ): Promise<void> {
    const needless = new RopewalkError("CANCELLED", "the cursor changed meanwhile");
    try {
      await this.#writer.append(() => {
        const prepared = prepare();
        if (prepared === undefined) throw needless;
        return prepared;
      });
    } catch (error) {
      if (error !== needless) throw error;
    }
  }

  /** A dropped cursor's frozen map is kept while at most eight budgets of log were written since. */
  #baseTooOld(cursor: CursorObject): boolean {
    const { segments, log } = this.#engine;
    return (log.segment.number - cursor.segment) * segments.segmentBytes > 8 * cursor.logBytesMax;
  }

  /** The pool is full: gives up pinned log first, then frozen maps of dropped cursors. Returns whether anything was given up. */
  async yieldSpace(): Promise<boolean> {
    const { catalogue, segments, log } = this.#engine;
    const pinning = [...catalogue.cursors.values()].find(
      (cursor) =>
        cursor.state === "following" &&
        log.segment.number > cursor.segment &&
        this.#pinnedBytes(cursor) > segments.segmentBytes,
    );
    const giving = pinning ?? [...catalogue.cursors.values()].find((cursor) => cursor.state === "dropped");
    if (giving === undefined || !(await this.#roomForRecord())) return false;
    await (giving.state === "dropped" ? this.#lose(giving) : this.#drop(giving));
    return true;
  }

  /** Makes room for a record without asking for space to be made: whoever does that may be waiting for us. */
  async #roomForRecord(): Promise<boolean> {
    const { log } = this.#engine;
    try {
      while (!log.ready(0, RECORD_ROOM, true)) await log.makeReady(0, RECORD_ROOM, true);
      return true;
    } catch (error) {
      if (error instanceof RopewalkError && error.code === "NO_SPACE") return false;
      throw error;
    }
  }
}

/** Goes from record to record along the chain, across segments and incarnations. */
class LogWalk {
  readonly #engine: Engine;
  at: Position;
  #scanner: SegmentScanner | undefined;
  #header: SegmentHeader | undefined;

  constructor(engine: Engine, at: Position) {
    this.#engine = engine;
    this.at = at;
  }

  get segment(): number {
    return this.at.segment;
  }

  /** The next record, or undefined at the log's end. */
  async next(): Promise<RecordHeader | undefined> {
    this.#engine.log.writeOut();
    this.#header ??= await headerOf(this.#engine, this.at.segment);
    this.#scanner ??= new SegmentScanner(this.#engine.segments, this.at.segment, this.#header);
    const superseding = await this.#successor(
      (header) => header.begins && header.incarnation > this.#header!.incarnation,
    );
    if (superseding === undefined) {
      const record = await nextRecord(
        this.#scanner,
        this.at.position,
        this.at.sequence + 1,
        this.#header.incarnation,
      );
      if (record !== undefined) return this.#arrive(this.at.segment, record);
    }
    const next =
      superseding ??
      (await this.#successor(
        (header) => header.incarnation === this.#header!.incarnation && header.number !== this.at.segment,
      ));
    if (next === undefined) return undefined;
    const scanner = new SegmentScanner(this.#engine.segments, next.number, next);
    const record = await nextRecord(scanner, SEGMENT_HEADER_BYTES, this.at.sequence + 1, next.incarnation);
    if (record === undefined) return undefined;
    this.#scanner = scanner;
    this.#header = next;
    return this.#arrive(next.number, record);
  }

  #arrive(segment: number, record: RecordHeader): RecordHeader {
    this.at = { sequence: record.sequence, segment, position: record.position + recordBytes(record) };
    return record;
  }

  async #successor(fits: (header: SegmentHeader) => boolean): Promise<SegmentHeader | undefined> {
    const { segments } = this.#engine;
    let best: SegmentHeader | undefined;
    for (const segment of [...segments.all.values()]) {
      if (segment.kind !== SegmentKind.log || segment.row < 0 || segment.number <= this.at.segment) continue;
      const header = segment.header ?? (await headerOf(this.#engine, segment.number));
      if (header.firstSequence !== this.at.sequence + 1 || !fits(header)) continue;
      if (best === undefined || header.incarnation > best.incarnation) best = header;
    }
    return best;
  }
}

async function headerOf(engine: Engine, number: number): Promise<SegmentHeader> {
  const segment = engine.segments.get(number);
  if (segment.header !== undefined) return segment.header;
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  await engine.segments.read(number, 0, bytes, 0, SEGMENT_HEADER_BYTES);
  const header = decodeSegmentHeader(bytes);
  if (header === undefined || header.number !== number)
    throw new RopewalkError("POOL_DAMAGED", `the header of segment ${number} is damaged`);
  segment.header = header;
  return header;
}
