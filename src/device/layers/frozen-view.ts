/**
 * The frozen view of the layer `snapshot` as a device: the origin as it was, from the store where it was overwritten.
 * Always holds: read-only; every byte is that of the instant of the freeze. Errors: IO_ERROR once the view was given up.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { BlockDevice, Capabilities, Completion, Extent, Geometry } from "../block-device.ts";
import type { DeviceOffload } from "../offload.ts";
import { combinedCapabilities, combinedOffloads } from "./combined.ts";
import { ExtentList } from "./extent-list.ts";
import type { SnapshotDevice } from "./snapshot-device.ts";
import { SplitOffload } from "./split-offload.ts";

export class FrozenView implements BlockDevice {
  readonly sizeBytes: number;
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #snapshot: SnapshotDevice;

  constructor(snapshot: SnapshotDevice) {
    this.#snapshot = snapshot;
    this.sizeBytes = snapshot.frozenBytes;
    this.geometry = snapshot.geometry;
    const { origin, store } = snapshot;
    this.capabilities = { ...combinedCapabilities([origin, store]), writable: false };
    const offloads = combinedOffloads([origin, store]);
    this.offload = offloads && this.#frozenOffload(offloads);
  }

  read(offset: number, target: Uint8Array): Completion {
    const range = { offsetBytes: offset, lengthBytes: target.length };
    return this.#snapshot.whileFrozen([range], async () => {
      for (const { offsetBytes, lengthBytes, isSaved } of this.#snapshot.frozenRuns(range)) {
        const part = target.subarray(offsetBytes - offset, offsetBytes - offset + lengthBytes);
        await this.#sourceOf(isSaved).read(offsetBytes, part);
      }
    });
  }

  write(): Completion {
    throw readOnly();
  }

  zero(): Completion {
    throw readOnly();
  }

  trim(): Completion {
    throw readOnly();
  }

  /** Nothing of it can be lost by itself. */
  flush(): Completion {
    return undefined;
  }

  extents(offset: number, length: number, extentsMax: number): Promise<Extent[]> {
    const range = { offsetBytes: offset, lengthBytes: length };
    return this.#snapshot.whileFrozen([range], async () => {
      const list = new ExtentList(offset, extentsMax);
      for (const { offsetBytes, lengthBytes, isSaved } of this.#snapshot.frozenRuns(range)) {
        const end = offsetBytes + lengthBytes;
        for (const extent of await this.#sourceOf(isSaved).extents(offsetBytes, lengthBytes, extentsMax))
          if (!list.add(Math.min(extent.lengthBytes, end - extent.offsetBytes), extent.kind))
            return list.extents;
        if (list.endBytes < end) break;
      }
      return list.extents;
    });
  }

  /** The layer's device owns what the view is made of. */
  async close(): Promise<void> {}

  #sourceOf(isSaved: boolean): BlockDevice {
    return isSaved ? this.#snapshot.store : this.#snapshot.origin;
  }

  #frozenOffload(offloads: readonly DeviceOffload[]): DeviceOffload {
    const snapshot = this.#snapshot;
    const split = new SplitOffload(offloads, function* (range) {
      for (const { offsetBytes, lengthBytes, isSaved } of snapshot.frozenRuns(range))
        yield { member: isSaved ? 1 : 0, offsetBytes, lengthBytes };
    });
    return {
      providers: split.providers,
      read: (request) => snapshot.whileFrozen(request.ranges, () => split.read(request)),
      write: () => Promise.reject(readOnly()),
    };
  }
}

function readOnly(): RopewalkError {
  return new RopewalkError("READ_ONLY", "A frozen view takes no changes.");
}
