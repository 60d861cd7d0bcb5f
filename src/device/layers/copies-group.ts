/**
 * The members of the layer `copies` and what befalls them: who is left out, who is put back, what is made up for.
 *
 * Always holds: a member is left out only while another one has everything, so every region is whole on a member
 * that is in; whoever is left out has missed also what it had not made durable. What a member missed is copied
 * region by region, alone on the region. Errors: none; what a member fails with is printed.
 */
import { RopewalkError } from "../../base/errors.ts";
import { nextTurn, type Timer } from "../../ports/mod.ts";
import type { BlockDevice } from "../block-device.ts";
import type { ByteRange } from "../offload.ts";
import { CopiesMember } from "./copies-member.ts";
import type { LayerWorld } from "./layer.ts";
import type { RangeGate } from "./range-gate.ts";
import { RegionMap } from "./region-map.ts";

/** Memory of a resync: the source's bytes, and the member's to compare. */
const STEP_BYTES_MAX = 1024 * 1024;

export interface CopiesGroupOptions {
  readonly sizeBytes: number;
  readonly regionBytes: number;
  readonly retryMs: number;
  readonly where: string;
  readonly world: LayerWorld;
  /** Held alone by whoever changes a range. */
  readonly gate: RangeGate;
}

export class CopiesGroup {
  readonly members: readonly CopiesMember[];
  readonly #options: CopiesGroupOptions;
  /** Changed and acknowledged since the last flush began, and what the flush under way is to make durable. */
  readonly #unflushed: RegionMap;
  readonly #flushing: RegionMap;
  #resync: Promise<void> | undefined;
  #retry: Timer | undefined;
  #isClosed = false;

  constructor(devices: readonly BlockDevice[], options: CopiesGroupOptions) {
    this.#options = options;
    this.members = devices.map((device, index) => new CopiesMember(index, device, options));
    this.#unflushed = new RegionMap(options);
    this.#flushing = new RegionMap(options);
  }

  /** A member that is in and current on the ranges, the one with the fewest reads under way; undefined when none is. */
  pick(ranges: readonly ByteRange[], excluded?: ReadonlySet<CopiesMember>): CopiesMember | undefined {
    let best: CopiesMember | undefined;
    for (const member of this.members) {
      if (excluded?.has(member) || !member.isCurrent(ranges)) continue;
      if (best === undefined || member.readsUnderWay < best.readsUnderWay) best = member;
    }
    return best;
  }

  /** A change of the ranges has ended; it counts as made on whoever is in. */
  changed(ranges: readonly ByteRange[]): void {
    for (const { offsetBytes, lengthBytes } of ranges) this.#unflushed.setRange(offsetBytes, lengthBytes);
    for (const member of this.members) if (!member.isIn) member.miss(ranges);
  }

  /** What a change came to, by member: undefined is success. Throws where none, or none that counts, succeeded. */
  judge(ranges: readonly ByteRange[], failures: ReadonlyMap<CopiesMember, unknown>): void {
    if (failures.size === 0) {
      this.changed(ranges);
      return;
    }
    for (const [member, error] of failures) {
      const mayLeave = this.members.some(
        (other) => other !== member && other.isComplete && !failures.has(other),
      );
      if (mayLeave) {
        this.leaveOut(member, error);
        member.miss(ranges);
        continue;
      }
      // Nobody can stand in for this one: the request fails, and what the others made of it is undone by a resync.
      for (const other of this.members) if (other !== member) other.miss(ranges);
      this.changed(ranges);
      this.kick();
      throw error;
    }
    this.changed(ranges);
  }

  leaveOut(member: CopiesMember, error: unknown): void {
    if (!member.isIn) return;
    member.isIn = false;
    member.missed.add(this.#unflushed);
    member.missed.add(this.#flushing);
    this.#print(member, `left out: ${sentenceOf(error)}`);
    this.#retryLater();
  }

  /** What is acknowledged up to now is what a flush that begins now makes durable. */
  flushBegins(): void {
    this.#flushing.add(this.#unflushed);
    this.#unflushed.clearAll();
  }

  /** Every member that is in has flushed. */
  flushEnded(): void {
    this.#flushing.clearAll();
  }

  /** Makes up for what members that are in have missed, if it is not being done already. */
  kick(): void {
    if (this.#isClosed || this.#resync !== undefined) return;
    this.#resync = this.#resyncAll().finally(() => {
      this.#resync = undefined;
    });
  }

  /** Ends what runs here and says who is not up to date. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    await this.#resync;
    for (const member of this.members)
      if (member.missed.count > 0)
        this.#print(member, `closed while it lacks ${member.missed.count} regions; it is not a copy`);
  }

  async #resyncAll(): Promise<void> {
    const { world } = this.#options;
    for (;;) {
      const behind = this.members.find((member) => member.isIn && member.missed.count > 0);
      const region = behind?.missed.first();
      if (this.#isClosed || behind === undefined || region === undefined) return;
      await nextTurn(world.clock);
      if (!(await this.#resyncRegion(behind, region))) {
        this.#retryLater();
        return;
      }
      if (behind.isComplete) this.#print(behind, "is up to date");
    }
  }

  /** False when there is no whole source for the region now. */
  async #resyncRegion(member: CopiesMember, region: number): Promise<boolean> {
    const { regionBytes, sizeBytes, gate } = this.#options;
    const offsetBytes = region * regionBytes;
    const range = { offsetBytes, lengthBytes: Math.min(regionBytes, sizeBytes - offsetBytes) };
    return await gate.during([range], "exclusive", async () => {
      const source = this.pick([range], new Set([member]));
      if (source === undefined) return false;
      const { maximumRequestBytes } = member.device.geometry;
      const stepBytes = Math.min(
        STEP_BYTES_MAX,
        maximumRequestBytes,
        source.device.geometry.maximumRequestBytes,
      );
      for (let done = 0; done < range.lengthBytes; done += stepBytes) {
        const length = Math.min(stepBytes, range.lengthBytes - done);
        const bytes = Buffer.alloc(length);
        try {
          await source.device.read(offsetBytes + done, bytes);
        } catch (error) {
          this.#print(source, `cannot be read for member ${member.index}: ${sentenceOf(error)}`);
          return false;
        }
        try {
          await this.#makeEqual(member, offsetBytes + done, bytes);
        } catch (error) {
          this.leaveOut(member, error);
          return true;
        }
      }
      // It may have been left out meanwhile, for a flush or a read that failed; then it comes back to this region.
      if (!member.isIn) return true;
      member.missed.clear(region);
      this.#unflushed.set(region);
      return true;
    });
  }

  /** Reads before it writes: most of what is compared after a start is equal, and a thin member stays thin. */
  async #makeEqual(member: CopiesMember, offset: number, bytes: Buffer): Promise<void> {
    const present = Buffer.alloc(bytes.length);
    const isReadable = await Promise.resolve()
      .then(() => member.device.read(offset, present))
      .then(
        () => true,
        () => false,
      );
    if (!isReadable || !present.equals(bytes)) await member.device.write(offset, bytes, 0);
  }

  #retryLater(): void {
    if (this.#isClosed || this.#retry !== undefined) return;
    const { world, retryMs } = this.#options;
    this.#retry = world.clock.after(retryMs, () => {
      this.#retry = undefined;
      void this.#putBack();
    });
  }

  async #putBack(): Promise<void> {
    for (const member of this.members) {
      if (member.isIn || this.#isClosed) continue;
      try {
        await member.device.read(0, new Uint8Array(member.device.geometry.minimumBlockBytes));
        member.isIn = true;
        this.#print(member, `is back and lacks ${member.missed.count} regions`);
      } catch {
        this.#retryLater();
      }
    }
    this.kick();
  }

  #print(member: CopiesMember, text: string): void {
    this.#options.world.print(`copies at ${this.#options.where}: member ${member.index} ${text}`);
  }
}

function sentenceOf(error: unknown): string {
  return error instanceof RopewalkError ? `${error.code}, ${error.message}` : String(error);
}
