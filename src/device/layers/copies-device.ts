/**
 * The device of the layer `copies`: reads from any member that has the data, changes all.
 *
 * Always holds: changes of overlapping ranges happen on all members in one order; a request succeeds when a member
 * that has everything made it durable or written as asked, and those that failed are left out.
 * Errors: a member's own, when no other can stand in for it.
 */
import { RopewalkError } from "../../base/errors.ts";
import {
  type BlockDevice,
  type Capabilities,
  type Completion,
  type Extent,
  type Geometry,
  RequestFlag,
} from "../block-device.ts";
import type { ByteRange, DeviceOffload } from "../offload.ts";
import { combinedCapabilities, combinedGeometry, combinedOffloads } from "./combined.ts";
import { CopiesGroup, type CopiesGroupOptions } from "./copies-group.ts";
import type { CopiesMember } from "./copies-member.ts";
import { CopiesOffload } from "./copies-offload.ts";
import { type GateHold, RangeGate } from "./range-gate.ts";

type Change = (device: BlockDevice) => Completion;

export class CopiesDevice implements BlockDevice {
  readonly sizeBytes: number;
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #regionBytes: number;
  readonly #gate: RangeGate;
  readonly #group: CopiesGroup;
  #lastFlush: Promise<void> = Promise.resolve();
  /** Not begun yet. */
  #nextFlush: Promise<void> | undefined;

  /** `areEqual`: nothing need be compared. */
  constructor(
    devices: readonly BlockDevice[],
    { areEqual, ...options }: Omit<CopiesGroupOptions, "gate" | "sizeBytes"> & { areEqual: boolean },
  ) {
    this.geometry = combinedGeometry(devices);
    this.capabilities = combinedCapabilities(devices);
    const smallest = Math.min(...devices.map(({ sizeBytes }) => sizeBytes));
    this.sizeBytes = smallest - (smallest % this.geometry.minimumBlockBytes);
    this.#regionBytes = options.regionBytes;
    this.#gate = new RangeGate(this.geometry.minimumBlockBytes);
    this.#group = new CopiesGroup(devices, { ...options, sizeBytes: this.sizeBytes, gate: this.#gate });
    const offloads = combinedOffloads(devices);
    this.offload = offloads && new CopiesOffload(this.#group, this.#gate, offloads);
    if (areEqual || !this.capabilities.writable) return;
    for (const member of this.#group.members.slice(1)) member.missed.setAll();
    this.#group.kick();
  }

  read(offset: number, target: Uint8Array): Completion {
    const ranges = [{ offsetBytes: offset, lengthBytes: target.length }];
    const member = this.#group.pick(ranges);
    if (member === undefined) return this.#readByRegions(offset, target);
    let completion: Completion;
    try {
      completion = member.device.read(offset, target);
    } catch (error) {
      return this.#readElsewhere(ranges, target, member, error);
    }
    if (completion === undefined) return undefined;
    member.readsUnderWay++;
    return completion.then(
      () => void member.readsUnderWay--,
      (error: unknown) => {
        member.readsUnderWay--;
        return this.#readElsewhere(ranges, target, member, error);
      },
    );
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    const ranges = [{ offsetBytes: offset, lengthBytes: source.length }];
    return this.#change(ranges, (device) => device.write(offset, source, flags));
  }

  zero(offset: number, length: number, flags: number): Completion {
    const ranges = [{ offsetBytes: offset, lengthBytes: length }];
    if (flags & RequestFlag.fast) return this.#zeroFast(ranges, flags);
    return this.#change(ranges, (device) => device.zero(offset, length, flags));
  }

  trim(offset: number, length: number, flags: number): Completion {
    const ranges = [{ offsetBytes: offset, lengthBytes: length }];
    return this.#change(ranges, (device) => device.trim(offset, length, flags));
  }

  /** One at a time, and all that come before the next one begins share it: it covers them. */
  flush(): Completion {
    if (this.#nextFlush !== undefined) return this.#nextFlush;
    const begin = (): Promise<void> => {
      this.#nextFlush = undefined;
      return this.#flushOnce();
    };
    const flush = this.#lastFlush.then(begin, begin);
    this.#nextFlush = flush;
    this.#lastFlush = flush;
    return flush;
  }

  async extents(offset: number, length: number, extentsMax: number): Promise<Extent[]> {
    const ranges = [{ offsetBytes: offset, lengthBytes: length }];
    const failed = new Set<CopiesMember>();
    let failure: { readonly error: unknown } | undefined;
    for (;;) {
      const member = this.#group.pick(ranges, failed);
      if (member === undefined) break;
      try {
        return cutAt(this.sizeBytes, await member.device.extents(offset, length, extentsMax));
      } catch (error) {
        failure ??= { error };
        failed.add(member);
      }
    }
    if (failure !== undefined) throw failure.error;
    // No single member has all of the range: whatever is there may be data.
    return [{ offsetBytes: offset, lengthBytes: length, kind: "data" }];
  }

  async close(): Promise<void> {
    await this.#group.close();
    const outcomes = await Promise.allSettled(this.#group.members.map(({ device }) => device.close()));
    for (const [index, outcome] of outcomes.entries())
      if (outcome.status === "rejected" && this.#group.members[index]!.isIn) throw outcome.reason;
  }

  #change(ranges: readonly ByteRange[], change: Change): Completion {
    const hold = this.#gate.enter(ranges, "exclusive");
    if (hold instanceof Promise) return hold.then((held) => this.#changeHeld(held, ranges, change));
    return this.#changeHeld(hold, ranges, change);
  }

  #changeHeld(hold: GateHold, ranges: readonly ByteRange[], change: Change): Completion {
    const failures = new Map<CopiesMember, unknown>();
    const waiting: Promise<unknown>[] = [];
    for (const member of this.#group.members) {
      if (!member.isIn) {
        member.miss(ranges);
        continue;
      }
      try {
        const completion = change(member.device);
        if (completion !== undefined)
          waiting.push(completion.catch((error: unknown) => failures.set(member, error)));
      } catch (error) {
        failures.set(member, error);
      }
    }
    const judge = (): void => {
      try {
        this.#group.judge(ranges, failures);
      } finally {
        this.#gate.leave(hold);
      }
    };
    return waiting.length === 0 ? void judge() : Promise.all(waiting).then(judge);
  }

  /** Whether it is fast is up to the first member; where it is, the others are not asked. */
  #zeroFast(ranges: readonly ByteRange[], flags: number): Promise<void> {
    const { offsetBytes, lengthBytes } = ranges[0]!;
    return this.#gate.during(ranges, "exclusive", async () => {
      const failures = new Map<CopiesMember, unknown>();
      let asked = flags;
      for (const member of this.#group.members) {
        if (!member.isIn) {
          member.miss(ranges);
          continue;
        }
        try {
          await member.device.zero(offsetBytes, lengthBytes, asked);
        } catch (error) {
          if (asked === flags && error instanceof RopewalkError && error.code === "UNSUPPORTED") throw error;
          failures.set(member, error);
        }
        asked = flags & ~RequestFlag.fast;
      }
      this.#group.judge(ranges, failures);
    });
  }

  async #flushOnce(): Promise<void> {
    this.#group.flushBegins();
    const failures = new Map<CopiesMember, unknown>();
    await Promise.all(
      this.#group.members.map(async (member) => {
        if (!member.isIn) return;
        try {
          await member.device.flush();
        } catch (error) {
          failures.set(member, error);
        }
      }),
    );
    this.#group.judge([], failures);
    this.#group.flushEnded();
  }

  /** Another member's bytes for those that one could not give; the one that could not is then written anew. */
  async #readElsewhere(
    ranges: readonly ByteRange[],
    target: Uint8Array,
    first: CopiesMember,
    error: unknown,
  ): Promise<void> {
    const failed = new Set([first]);
    for (;;) {
      const member = this.#group.pick(ranges, failed);
      if (member === undefined) throw error;
      try {
        await member.device.read(ranges[0]!.offsetBytes, target);
      } catch {
        failed.add(member);
        continue;
      }
      if (this.capabilities.writable) {
        for (const other of failed) other.miss(ranges);
        this.#group.kick();
      }
      return;
    }
  }

  /** No member has all of the range: each region from one that has it. */
  async #readByRegions(offset: number, target: Uint8Array): Promise<void> {
    for (let done = 0; done < target.length; ) {
      const rest = this.#regionBytes - ((offset + done) % this.#regionBytes);
      const length = Math.min(rest, target.length - done);
      if (length === target.length) throw new RopewalkError("IO_ERROR", "No copy has this range.");
      await this.read(offset + done, target.subarray(done, done + length));
      done += length;
    }
  }
}

function cutAt(sizeBytes: number, extents: readonly Extent[]): Extent[] {
  return extents
    .filter(({ offsetBytes }) => offsetBytes < sizeBytes)
    .map((extent) => ({
      ...extent,
      lengthBytes: Math.min(extent.lengthBytes, sizeBytes - extent.offsetBytes),
    }));
}
