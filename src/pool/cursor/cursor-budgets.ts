/**
 * Budgets: how much log and how many held maps a cursor may keep from being freed, and what is given up beyond that.
 *
 * Always holds: a cursor gives up by a record only, the pinned log first and its frozen map last; a record that
 * waited for its turn in the log is not appended when there is no reason for it any more. May fail: whatever an
 * append may, except that a full pool is an answer of `yieldSpace` and no error.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { SegmentKind } from "../format/segment.ts";
import type { CursorObject } from "../volume/catalogue.ts";
import type { CatalogueWriter } from "../volume/catalogue-writer.ts";
import type { CursorReadings } from "./cursor-readings.ts";
import { isStill } from "./cursor-state.ts";

/** Grafts and rollbacks that are held for one cursor; each is an object of the catalogue. */
const HOLDS_MAX = 1024;
/** Room that a cursor's own record needs in the log. */
const RECORD_ROOM = 16 * 1024;

export class CursorBudgets {
  readonly #engine: Engine;
  readonly #writer: CatalogueWriter;
  readonly #readings: CursorReadings;
  #enforcing: Promise<void> | undefined;
  #lastSegment = 0;
  #closed = false;

  constructor(engine: Engine, writer: CatalogueWriter, readings: CursorReadings) {
    this.#engine = engine;
    this.#writer = writer;
    this.#readings = readings;
  }

  close(): void {
    this.#closed = true;
  }

  /** Enforces budgets in the background, when the log is in another segment than last time or too much is held. */
  look(): void {
    const segment = this.#engine.log.segment.number;
    if (this.#closed || (segment === this.#lastSegment && !this.#holdsTooMany())) return;
    this.#lastSegment = segment;
    this.#enforcing ??= this.#enforce().finally(() => {
      this.#enforcing = undefined;
    });
    this.#enforcing.catch(() => undefined);
  }

  #holdsTooMany(): boolean {
    for (const cursor of this.#engine.catalogue.cursors.values())
      if (cursor.holds.length > HOLDS_MAX) return true;
    return false;
  }

  /** Log that a following cursor keeps from being freed. */
  pinnedBytes(cursor: CursorObject): number {
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

  /** The pool is full: gives up pinned log first, then frozen maps of dropped cursors. Returns whether anything was given up. */
  async yieldSpace(): Promise<boolean> {
    const { catalogue, segments, log } = this.#engine;
    const pinning = [...catalogue.cursors.values()].find(
      (cursor) =>
        cursor.state === "following" &&
        log.segment.number > cursor.segment &&
        this.pinnedBytes(cursor) > segments.segmentBytes,
    );
    const giving = pinning ?? [...catalogue.cursors.values()].find((cursor) => cursor.state === "dropped");
    if (giving === undefined || !(await this.#roomForRecord())) return false;
    await (giving.state === "dropped" ? this.#lose(giving) : this.#drop(giving));
    return true;
  }

  /** Drops cursors that pin more than they may, and moves on those that merely passed other volumes' records over. */
  async #enforce(): Promise<void> {
    const { catalogue, log, segments, settings } = this.#engine;
    for (const cursor of [...catalogue.cursors.values()]) {
      if (cursor.state === "dropped" && this.#baseTooOld(cursor)) await this.#lose(cursor);
      if (cursor.state !== "following") continue;
      if (cursor.segment === log.segment.number && cursor.holds.length <= HOLDS_MAX) continue;
      await this.#passOver(cursor);
      if (this.pinnedBytes(cursor) > cursor.logBytesMax || cursor.holds.length > HOLDS_MAX)
        await this.#drop(cursor);
    }
    // The reserve is being used up while cursors pin log: they go first, as long as there is room to say so.
    if (segments.freeForClients === 0 && segments.spares.count < settings.reserveSegments)
      await this.yieldSpace();
  }

  /** Acknowledges, for a reader that has all that was delivered, the records of other volumes that it passed over. */
  async #passOver(cursor: CursorObject): Promise<void> {
    const reading = this.#readings.get(cursor);
    await this.#append(() => {
      if (
        reading === undefined ||
        reading.running !== undefined ||
        this.#readings.get(cursor) !== reading ||
        !isStill(this.#engine.catalogue, cursor, "following")
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
      if (!isStill(this.#engine.catalogue, cursor, "following")) return undefined;
      return { operation: { op: "cursor-drop", id: cursor.id }, volume: cursor.volume };
    });
    if (cursor.state !== "following") this.#readings.forget(cursor);
    this.#readings.wake();
    this.look();
  }

  async #lose(cursor: CursorObject): Promise<void> {
    await this.#append(() => {
      if (!isStill(this.#engine.catalogue, cursor, "dropped")) return undefined;
      return { operation: { op: "cursor-lose", id: cursor.id }, volume: cursor.volume };
    });
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
