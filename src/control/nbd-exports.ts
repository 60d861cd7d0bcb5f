/**
 * The exports in the form in which the NBD front end is handed them, with the meta contexts of QEMU's names:
 * `qemu:allocation-depth`, and `qemu:dirty-bitmap:SNAPSHOT` for what changed since a snapshot
 * (QEMU, docs/interop/nbd.rst).
 */

import { formatSize } from "../base/size-text.ts";
import type { BlockDevice } from "../device/mod.ts";
import type { Exports, Stretch } from "./exports.ts";

export interface NbdStatusExtent {
  readonly lengthBytes: number;
  readonly flags: number;
}

export interface NbdMetaContext {
  readonly name: string;
  query(offset: number, length: number, extentsMax: number): Promise<readonly NbdStatusExtent[]>;
}

export interface NbdOpenedExport {
  readonly device: BlockDevice;
  readonly description: string;
  contexts(): readonly NbdMetaContext[];
}

/** The bitmap's only flag. */
const DIRTY = 1;

export class NbdExportTable {
  readonly #exports: Exports;

  constructor(exports: Exports) {
    this.#exports = exports;
  }

  list(): { name: string; description: string }[] {
    return this.#exports.list().map(({ name, sizeBytes, isWritable }) => {
      return { name, description: describe(sizeBytes, isWritable) };
    });
  }

  open(name: string): NbdOpenedExport {
    const { sizeBytes, isWritable } = this.#exports.show(name);
    const device = this.#exports.open(name);
    return { device, description: describe(sizeBytes, isWritable), contexts: () => this.#contexts(name) };
  }

  #contexts(name: string): NbdMetaContext[] {
    if (this.#exports.isStack(name)) return [];
    const depth: NbdMetaContext = {
      name: "qemu:allocation-depth",
      query: async (offsetBytes, lengthBytes, stretchesMax) =>
        (await this.#exports.allocationDepth({ export: name, offsetBytes, lengthBytes, stretchesMax })).map(
          (stretch) => extentOf(stretch, stretch.value),
        ),
    };
    const bitmaps = this.#exports.comparableSnapshots(name).map((snapshot): NbdMetaContext => {
      return {
        name: `qemu:dirty-bitmap:${snapshot}`,
        query: async (offsetBytes, lengthBytes, stretchesMax) =>
          (
            await this.#exports.changesSince(snapshot, {
              export: name,
              offsetBytes,
              lengthBytes,
              stretchesMax,
            })
          ).map((stretch) => extentOf(stretch, stretch.value ? DIRTY : 0)),
      };
    });
    return [depth, ...bitmaps];
  }
}

function extentOf({ lengthBytes }: Stretch<unknown>, flags: number): NbdStatusExtent {
  return { lengthBytes, flags };
}

function describe(sizeBytes: number, isWritable: boolean): string {
  return `${isWritable ? "volume" : "snapshot, read-only"}, ${formatSize(sizeBytes)}`;
}
