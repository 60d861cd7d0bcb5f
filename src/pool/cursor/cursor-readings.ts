/**
 * Where the readers of cursors are: what each got delivered and did not acknowledge, and the reads that wait for more.
 *
 * Always holds: durable records only, in order; reads of one cursor go one behind the other. It is memory only:
 * after a crash a reader begins again where its cursor stands. May fail: PIN_DROPPED, BASE_LOST, CURSOR_NOT_FOUND
 * when the cursor changes while it is read, and POOL_DAMAGED, CHECKSUM_MISMATCH.
 */
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { type RecordHeader, recordBytes } from "../format/record.ts";
import { type LogPlace, LogWalk } from "../log/log-walk.ts";
import type { CursorRecord } from "../pool-api.ts";
import type { CursorObject } from "../volume/catalogue.ts";
import { cursorRecord } from "./cursor-record.ts";
import { checkStillFollowing, followingCursor } from "./cursor-state.ts";

const READ_BYTES = 8 * 1024 * 1024;
const RECORDS_MAX = 4096;
/** Records of other volumes passed over in one read before it looks whether anybody else wants a turn. */
const STEPS_PER_TURN = 256;

export interface Reading {
  /** Where reading got to, and the places of what was delivered and not acknowledged. */
  at: LogPlace;
  delivered: LogPlace[];
  /** The read that is under way; reads of one cursor go one behind the other. */
  running: Promise<unknown> | undefined;
}

export class CursorReadings {
  readonly #engine: Engine;
  readonly #readings = new Map<number, Reading>();
  #moved = new Deferred();
  #closed = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  close(): void {
    this.#closed = true;
    this.wake();
  }

  /** Reads that wait look again. */
  wake(): void {
    const moved = this.#moved;
    this.#moved = new Deferred();
    moved.resolve();
  }

  /** The reading of a cursor, if it was read since the pool was opened. */
  get(cursor: CursorObject): Readonly<Reading> | undefined {
    return this.#readings.get(cursor.id);
  }

  /** The cursor begins anew, or is not read any more. */
  forget(cursor: CursorObject): void {
    this.#readings.delete(cursor.id);
  }

  /** The reader has everything up to a sequence. */
  acknowledged(cursor: CursorObject, sequence: number): void {
    const reading = this.#readings.get(cursor.id);
    if (reading !== undefined)
      reading.delivered = reading.delivered.filter((delivered) => delivered.sequence > sequence);
  }

  /** Records behind `after`, at least one; none when `waitMs` is over or the pool closes. */
  async read(
    name: string,
    options: { after?: number; bytesMax?: number; waitMs?: number },
  ): Promise<CursorRecord[]> {
    const { catalogue, log, world } = this.#engine;
    const until = world.clock.nowMs() + (options.waitMs ?? 0);
    for (;;) {
      const cursor = followingCursor(catalogue, name);
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
    checkStillFollowing(this.#engine.catalogue, cursor);
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
    const { catalogue, log, world } = this.#engine;
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
        checkStillFollowing(catalogue, cursor);
        throw error;
      }
      checkStillFollowing(catalogue, cursor);
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

  /** Where the record of a sequence ends, from the nearest place that is known. */
  async placeOf(cursor: CursorObject, sequence: number): Promise<{ segment: number; position: number }> {
    const reading = this.#reading(cursor);
    let from: LogPlace = { sequence: cursor.sequence, segment: cursor.segment, position: cursor.position };
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
}
