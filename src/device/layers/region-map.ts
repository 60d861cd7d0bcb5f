/**
 * Which regions of a device something is true of: a bit for each.
 * Always holds: `count` is the number of bits that are set; a range touches every region that it has a byte in.
 */
import { assert } from "../../base/assert.ts";

export class RegionMap {
  readonly regionBytes: number;
  readonly regions: number;
  readonly #bits: Uint8Array;
  #count = 0;
  /** No region before this one is set. */
  #firstHint = 0;

  constructor({ sizeBytes, regionBytes }: { sizeBytes: number; regionBytes: number }) {
    assert(regionBytes > 0, "a region has bytes");
    this.regionBytes = regionBytes;
    this.regions = Math.ceil(sizeBytes / regionBytes);
    this.#bits = new Uint8Array(Math.ceil(this.regions / 8));
  }

  get count(): number {
    return this.#count;
  }

  has(region: number): boolean {
    return (this.#bits[region >>> 3]! & (1 << (region & 7))) !== 0;
  }

  set(region: number): void {
    if (this.has(region)) return;
    this.#bits[region >>> 3]! |= 1 << (region & 7);
    this.#count++;
    if (region < this.#firstHint) this.#firstHint = region;
  }

  clear(region: number): void {
    if (!this.has(region)) return;
    this.#bits[region >>> 3]! &= ~(1 << (region & 7));
    this.#count--;
  }

  setRange(offset: number, length: number): void {
    if (length === 0) return;
    const last = this.regionOf(offset + length - 1);
    for (let region = this.regionOf(offset); region <= last; region++) this.set(region);
  }

  setAll(): void {
    this.#bits.fill(0xff);
    this.#count = this.regions;
    this.#firstHint = 0;
  }

  clearAll(): void {
    this.#bits.fill(0);
    this.#count = 0;
  }

  /** Sets whatever is set in `other`, which has the same regions. */
  add(other: RegionMap): void {
    assert(other.regions === this.regions, "maps of the same regions are added");
    if (other.#count === 0) return;
    for (let region = 0; region < this.regions; region++) {
      if ((region & 7) === 0 && other.#bits[region >>> 3] === 0) region += 7;
      else if (other.has(region)) this.set(region);
    }
  }

  touches(offset: number, length: number): boolean {
    if (this.#count === 0 || length === 0) return false;
    const last = this.regionOf(offset + length - 1);
    for (let region = this.regionOf(offset); region <= last; region++) if (this.has(region)) return true;
    return false;
  }

  /** The first region that is set, or undefined. */
  first(): number | undefined {
    if (this.#count === 0) return undefined;
    for (let region = this.#firstHint; region < this.regions; region++) {
      if ((region & 7) === 0 && this.#bits[region >>> 3] === 0) region += 7;
      else if (this.has(region)) return (this.#firstHint = region);
    }
    return undefined;
  }

  regionOf(offset: number): number {
    return Math.floor(offset / this.regionBytes);
  }
}
