/**
 * Cursors: readers of one volume's records, in order, durable ones only.
 *
 * Always holds: from a following cursor's place on, the log's segments stay; beyond its budget the cursor is
 * dropped by a record, and its frozen map still gives the difference. Where a cursor stands changes by records
 * only, so a crash never moves it forward.
 */
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import type { Engine } from "../engine.ts";
import type { CursorInfo, CursorRecord } from "../pool-api.ts";
import type { CursorObject } from "../volume/catalogue.ts";
import type { CatalogueWriter } from "../volume/catalogue-writer.ts";
import { CursorBudgets } from "./cursor-budgets.ts";
import { CursorReadings } from "./cursor-readings.ts";
import { followingCursor } from "./cursor-state.ts";

const CURSORS_MAX = 256;

export class Cursors {
  readonly #engine: Engine;
  readonly #writer: CatalogueWriter;
  readonly #readings: CursorReadings;
  readonly #budgets: CursorBudgets;

  constructor(engine: Engine, writer: CatalogueWriter) {
    this.#engine = engine;
    this.#writer = writer;
    this.#readings = new CursorReadings(engine);
    this.#budgets = new CursorBudgets(engine, writer, this.#readings);
  }

  close(): void {
    this.#budgets.close();
    this.#readings.close();
  }

  /** More of the log is durable: readers that wait look again, and budgets are looked at. */
  durableMoved(): void {
    this.#readings.wake();
    this.#budgets.look();
  }

  /** The pool is full: gives up what cursors keep. Returns whether anything was given up. */
  yieldSpace(): Promise<boolean> {
    return this.#budgets.yieldSpace();
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
      pinnedLogBytes: cursor.state === "following" ? this.#budgets.pinnedBytes(cursor) : 0,
      state: cursor.state,
      base: cursor.base === 0 ? undefined : cursor.base,
    };
  }

  read(
    name: string,
    options: { after?: number; bytesMax?: number; waitMs?: number },
  ): Promise<CursorRecord[]> {
    return this.#readings.read(name, options);
  }

  async acknowledge(name: string, sequence: number): Promise<void> {
    const { catalogue, log } = this.#engine;
    const cursor = followingCursor(catalogue, name);
    if (sequence < cursor.sequence)
      throw new RopewalkError("INVALID_ARGUMENT", `sequence ${sequence} is behind what was acknowledged`);
    if (sequence > log.durable)
      throw new RopewalkError("INVALID_ARGUMENT", `sequence ${sequence} is not durable yet`);
    const place = await this.#readings.placeOf(cursor, sequence);
    await this.#writer.commit(() => {
      const current = followingCursor(catalogue, name);
      if (current !== cursor || sequence < current.sequence)
        throw new RopewalkError("INVALID_ARGUMENT", `sequence ${sequence} is behind what was acknowledged`);
      const candidate = this.#wantsCandidate(current) ? this.#writer.nextId() : 0;
      return {
        operation: { op: "cursor-acknowledge", id: current.id, ...place, sequence, candidate },
        volume: current.volume,
      };
    });
    this.#readings.acknowledged(cursor, sequence);
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
    this.#readings.forget(cursor);
    return { from: from === 0 ? undefined : from, to: cursor.base, sequence: cursor.sequence };
  }

  async delete(name: string): Promise<void> {
    const { catalogue } = this.#engine;
    await this.#writer.commit(() => {
      const cursor = catalogue.cursor(name);
      this.#readings.forget(cursor);
      return { operation: { op: "cursor-delete", id: cursor.id }, volume: cursor.volume };
    });
    this.durableMoved();
  }
}
