/**
 * A part of one device as a device: offsets are shifted, and nothing outside the part can be reached.
 * Always holds: the part lies inside the device and begins at one of its blocks; its size does not change.
 * Errors: none of its own.
 */
import type { BlockDevice, Capabilities, Completion, Extent, Geometry } from "../block-device.ts";
import type { ByteRange, DeviceOffload } from "../offload.ts";
import { ExtentList } from "./extent-list.ts";
import { SplitOffload } from "./split-offload.ts";

export class PartitionDevice implements BlockDevice {
  readonly sizeBytes: number;
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #inner: BlockDevice;
  readonly #startBytes: number;

  constructor(inner: BlockDevice, { offsetBytes, lengthBytes }: ByteRange) {
    this.#inner = inner;
    this.#startBytes = offsetBytes;
    this.sizeBytes = lengthBytes;
    this.geometry = inner.geometry;
    this.capabilities = inner.capabilities;
    this.offload =
      inner.offload &&
      new SplitOffload([inner.offload], (range) => [
        { member: 0, offsetBytes: offsetBytes + range.offsetBytes, lengthBytes: range.lengthBytes },
      ]);
  }

  read(offset: number, target: Uint8Array): Completion {
    return this.#inner.read(this.#startBytes + offset, target);
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    return this.#inner.write(this.#startBytes + offset, source, flags);
  }

  zero(offset: number, length: number, flags: number): Completion {
    return this.#inner.zero(this.#startBytes + offset, length, flags);
  }

  trim(offset: number, length: number, flags: number): Completion {
    return this.#inner.trim(this.#startBytes + offset, length, flags);
  }

  flush(): Completion {
    return this.#inner.flush();
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    const found = this.#inner.extents(this.#startBytes + offset, length, extentsMax);
    const shifted = (extents: readonly Extent[]): Extent[] => {
      const list = new ExtentList(offset, extentsMax);
      // The last extent of the answer may go on behind the part's end.
      for (const { lengthBytes, kind } of extents)
        list.add(Math.min(lengthBytes, this.sizeBytes - list.endBytes), kind);
      return list.extents;
    };
    return Array.isArray(found) ? shifted(found) : found.then(shifted);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
