/**
 * One member of the layer `copies`: whether it is in, and which regions it has missed.
 * Always holds: a region in `missed` is never read from this member; a member that is out misses every change.
 */
import type { BlockDevice } from "../block-device.ts";
import type { ByteRange } from "../offload.ts";
import { RegionMap } from "./region-map.ts";

export class CopiesMember {
  readonly index: number;
  readonly device: BlockDevice;
  readonly missed: RegionMap;
  /** Out: nothing is asked of it but whether it is back. */
  isIn = true;
  readsUnderWay = 0;

  constructor(index: number, device: BlockDevice, regions: { sizeBytes: number; regionBytes: number }) {
    this.index = index;
    this.device = device;
    this.missed = new RegionMap(regions);
  }

  /** It is in and has missed nothing at all: the others may fail. */
  get isComplete(): boolean {
    return this.isIn && this.missed.count === 0;
  }

  /** It is in and has missed nothing of the ranges. */
  isCurrent(ranges: readonly ByteRange[]): boolean {
    return (
      this.isIn &&
      (this.missed.count === 0 ||
        ranges.every(({ offsetBytes, lengthBytes }) => !this.missed.touches(offsetBytes, lengthBytes)))
    );
  }

  miss(ranges: readonly ByteRange[]): void {
    for (const { offsetBytes, lengthBytes } of ranges) this.missed.setRange(offsetBytes, lengthBytes);
  }
}
