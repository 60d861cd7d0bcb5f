/**
 * Spare files: the reserve that keeps a full pool working, files made ahead of need, and files of segments that
 * are needed no more, kept because their blocks are written and their pages in memory.
 *
 * Always holds: a spare file has all its blocks allocated; spares and segments together are at most `filesMax`.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { Clock, Disk, Timer } from "../../ports/mod.ts";
import type { PoolSettings } from "../pool-api.ts";

/** Spare files beyond the reserve that are kept in any case. */
const ABOVE = 2;
/** Files made ahead of need, at most. */
const AHEAD_MAX = 16;
/** What was taken within one to two times this may be wanted again: its blocks are written and its pages in memory. */
const KEEP_MS = 5 * 60 * 1000;
/** So much of the pool may be kept for that, */
const KEEP_SHARE = 1 / 2;
/** and no more than a machine may have in memory. */
const KEEP_BYTES_MAX = 8 * 2 ** 30;

export class Spares {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #settings: PoolSettings;
  /** How many segments there are. */
  readonly #segments: () => number;
  #names: string[] = [];
  #next = 0;
  /** Spares taken since the last checkpoint, and in the interval before it. */
  #taken = 0;
  #takenBefore = 0;
  /** Spares taken in this period of `KEEP_MS`, and in the one before. */
  #takenLately = 0;
  #takenEarlier = 0;
  #periodTimer: Timer | undefined;
  #isSettled = false;
  /** Files that are being made or renamed to be spares. */
  #coming = 0;
  #filling: Promise<void> | undefined;

  constructor(options: { disk: Disk; clock: Clock; settings: PoolSettings; segments: () => number }) {
    this.#disk = options.disk;
    this.#clock = options.clock;
    this.#settings = options.settings;
    this.#segments = options.segments;
  }

  get count(): number {
    return this.#names.length;
  }

  get #filesMax(): number {
    const { sizeBytes, segmentBytes } = this.#settings;
    return Math.floor(sizeBytes / segmentBytes);
  }

  get #hasRoom(): boolean {
    return this.#segments() + this.#names.length + this.#coming < this.#filesMax;
  }

  /** The reserve, and as many as were taken of late, so that nobody waits for a file to be made. */
  get #wanted(): number {
    return this.#settings.reserveSegments + Math.min(this.#taken + this.#takenBefore, AHEAD_MAX);
  }

  /** As many are kept for use again as go in a while. */
  get #most(): number {
    const kept = Math.min(this.#filesMax * KEEP_SHARE, KEEP_BYTES_MAX / this.#settings.segmentBytes);
    const lately = Math.min(this.#takenLately + this.#takenEarlier, Math.floor(kept));
    return this.#least + Math.max(this.#taken + this.#takenBefore, lately);
  }

  get #least(): number {
    return this.#settings.reserveSegments + ABOVE;
  }

  adopt(names: string[]): void {
    this.#names = names;
    for (const name of names) this.#next = Math.max(this.#next, Number.parseInt(name.slice(6), 16) + 1);
  }

  /** Makes as many as are wanted, as far as there is room. Never throws NO_SPACE. */
  async fill(): Promise<void> {
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined;
    });
    await this.#filling;
  }

  async #fill(): Promise<void> {
    let made = false;
    while (this.#names.length < this.#wanted && this.#hasRoom) {
      try {
        await this.#make();
        made = true;
      } catch (error) {
        if (error instanceof RopewalkError && error.code === "NO_SPACE") break;
        throw error;
      }
    }
    if (made) await this.#disk.syncDirectory();
  }

  async #make(): Promise<void> {
    await this.#bring(async (name) => {
      const file = await this.#disk.create(name, this.#settings.segmentBytes);
      await file.close();
    });
  }

  /** Counts a file from before it exists under its new name. */
  async #bring(make: (name: string) => Promise<void>): Promise<void> {
    const name = this.#newName();
    this.#coming += 1;
    try {
      await make(name);
      this.#names.push(name);
    } finally {
      this.#coming -= 1;
    }
  }

  #newName(): string {
    return `spare-${(this.#next++).toString(16).padStart(8, "0")}`;
  }

  /**
   * The name of a spare file that the caller renames; undefined when fewer than `keep` would be left and no other
   * can be made. `taken` is called in the turn from which on it counts as a segment's. What was taken is replaced in the
   * background.
   */
  async take(keep: number, taken: () => void): Promise<string | undefined> {
    if (this.#names.length <= keep) await this.#filling;
    if (this.#names.length <= keep) {
      if (!this.#hasRoom) return undefined;
      await this.#make();
      if (this.#names.length <= keep) return undefined;
    }
    this.#taken += 1;
    this.#takenLately += 1;
    const name = this.#names.pop()!;
    taken();
    // What fails here fails again, and is told, when somebody waits for it.
    if (this.#names.length < this.#wanted && this.#hasRoom) this.fill().catch(() => undefined);
    return name;
  }

  /** A checkpoint is done: spare files that were not wanted of late go. */
  async turnInterval(): Promise<void> {
    this.#takenBefore = this.#taken;
    this.#taken = 0;
    await this.#removeAbove(this.#most);
  }

  /** Gives all back that is only kept in case it is wanted again. */
  async shrink(): Promise<void> {
    this.#taken = this.#takenBefore = this.#takenLately = this.#takenEarlier = 0;
    await this.#removeAbove(this.#least);
  }

  /** The oldest ones go, of which the least is in memory. */
  async #removeAbove(count: number): Promise<void> {
    while (this.#names.length > count) await this.#disk.remove(this.#names.shift()!);
  }

  /** While more are kept than the least, somebody has to see when their time is over. */
  #watch(): void {
    if (this.#periodTimer !== undefined || this.#isSettled || this.#names.length <= this.#least) return;
    this.#periodTimer = this.#clock.after(KEEP_MS, () => {
      this.#periodTimer = undefined;
      this.#takenEarlier = this.#takenLately;
      this.#takenLately = 0;
      // A file that cannot be removed now is tried again with the next ones.
      this.#removeAbove(this.#most).then(
        () => this.#watch(),
        () => this.#watch(),
      );
    });
  }

  /** The file of a segment that exists no more becomes a spare, or goes. */
  async put(file: string): Promise<void> {
    if (this.#names.length >= this.#most || !this.#hasRoom) return this.#disk.remove(file);
    await this.#bring((name) => this.#disk.rename(file, name));
    this.#watch();
  }

  /** Removes spares that a smaller pool has no room for: `filesMax` for segments and spares. */
  async trim(filesMax: number): Promise<void> {
    while (this.#names.length > 0 && this.#segments() + this.#names.length > filesMax)
      await this.#disk.remove(this.#names.pop()!);
  }

  /** Resolves when nothing is being made; nothing is removed any more. */
  async settle(): Promise<void> {
    this.#isSettled = true;
    this.#periodTimer?.cancel();
    await this.#filling?.catch(() => undefined);
  }
}
