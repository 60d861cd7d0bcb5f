/**
 * The device of the layer `snapshot`: changes go to the origin, after what they overwrite was saved in the store.
 *
 * Always holds: while the view is kept, a chunk of the origin changes only after its bytes stand in the store at the
 * same place, and nobody reads the chunk for the view meanwhile. What is saved is known in memory, so the view ends
 * with the device.
 * Errors: when a chunk cannot be saved, either the change fails with that error, or the view is given up.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { BlockDevice, Capabilities, Completion, Extent, Geometry } from "../block-device.ts";
import type { ByteRange, DeviceOffload } from "../offload.ts";
import { ChunkSaver } from "./chunk-saver.ts";
import { combinedGeometry } from "./combined.ts";
import { RangeGate } from "./range-gate.ts";
import { RegionMap } from "./region-map.ts";

export interface SnapshotOptions {
  readonly origin: BlockDevice;
  /** At least as large; its content is overwritten. */
  readonly store: BlockDevice;
  readonly chunkBytes: number;
  readonly whenStoreFails: "dropView" | "failWrites";
  readonly print: (line: string) => void;
}

export class SnapshotDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly store: BlockDevice;
  readonly origin: BlockDevice;
  /** Size of the origin when it was frozen. */
  readonly frozenBytes: number;
  readonly #options: SnapshotOptions;
  readonly #saved: RegionMap;
  readonly #gate: RangeGate;
  readonly #saver: ChunkSaver;
  /** Why there is no view any more. */
  #lost: unknown;

  constructor(options: SnapshotOptions) {
    this.#options = options;
    this.origin = options.origin;
    this.store = options.store;
    this.geometry = combinedGeometry([options.origin, options.store]);
    this.capabilities = options.origin.capabilities;
    this.frozenBytes = options.origin.sizeBytes;
    this.#gate = new RangeGate(options.chunkBytes);
    this.#saved = new RegionMap({ sizeBytes: this.frozenBytes, regionBytes: options.chunkBytes });
    this.#saver = new ChunkSaver(options.origin, options.store);
    const below = options.origin.offload;
    this.offload = below && {
      providers: below.providers,
      read: (request) => below.read(request),
      write: (request) => this.#changed(request.ranges, () => below.write(request)),
    };
  }

  get sizeBytes(): number {
    return this.origin.sizeBytes;
  }

  get savedChunks(): number {
    return this.#saved.count;
  }

  read(offset: number, target: Uint8Array): Completion {
    return this.origin.read(offset, target);
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    return this.#change(offset, source.length, () => this.origin.write(offset, source, flags));
  }

  zero(offset: number, length: number, flags: number): Completion {
    return this.#change(offset, length, () => this.origin.zero(offset, length, flags));
  }

  trim(offset: number, length: number, flags: number): Completion {
    return this.#change(offset, length, () => this.origin.trim(offset, length, flags));
  }

  flush(): Completion {
    return this.origin.flush();
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    return this.origin.extents(offset, length, extentsMax);
  }

  async close(): Promise<void> {
    this.#lost ??= new RopewalkError("SHUTTING_DOWN", "The device was closed, and its frozen view with it.");
    try {
      await this.origin.close();
    } finally {
      await this.store.close();
    }
  }

  /** Does `work` while what the view has of the ranges stays where it is. The view's error once it is given up. */
  whileFrozen<Result>(ranges: readonly ByteRange[], work: () => Promise<Result>): Promise<Result> {
    return this.#gate.during(ranges, "shared", () => {
      if (this.#lost !== undefined)
        throw new RopewalkError("IO_ERROR", "The frozen view was given up.", { cause: this.#lost });
      return work();
    });
  }

  /** The range as runs that are all saved or all not. */
  *frozenRuns({ offsetBytes, lengthBytes }: ByteRange): Generator<ByteRange & { isSaved: boolean }> {
    const { chunkBytes } = this.#options;
    const end = offsetBytes + lengthBytes;
    for (let start = offsetBytes; start < end; ) {
      const isSaved = this.#isSavedAt(start);
      let next = start;
      do next = Math.min(end, next - (next % chunkBytes) + chunkBytes);
      while (next < end && this.#isSavedAt(next) === isSaved);
      yield { offsetBytes: start, lengthBytes: next - start, isSaved };
      start = next;
    }
  }

  #isSavedAt(offset: number): boolean {
    return this.#saved.has(this.#saved.regionOf(offset));
  }

  #change(offset: number, length: number, change: () => Completion): Completion {
    if (this.#lost !== undefined) return change();
    return this.#changed([{ offsetBytes: offset, lengthBytes: length }], async () => void (await change()));
  }

  /** Alone on the chunks: they are saved once, and no reader of the view is in them. */
  #changed<Result>(ranges: readonly ByteRange[], change: () => Promise<Result>): Promise<Result> {
    return this.#gate.during(ranges, "exclusive", async () => {
      if (this.#lost === undefined) await this.#save(ranges);
      return await change();
    });
  }

  async #save(ranges: readonly ByteRange[]): Promise<void> {
    const { chunkBytes, whenStoreFails, print } = this.#options;
    try {
      for (const range of ranges) {
        const start = range.offsetBytes - (range.offsetBytes % chunkBytes);
        const wholeEnd = Math.ceil((range.offsetBytes + range.lengthBytes) / chunkBytes) * chunkBytes;
        const lengthBytes = Math.min(wholeEnd, this.frozenBytes) - start;
        if (range.lengthBytes === 0 || lengthBytes <= 0) continue;
        for (const run of this.frozenRuns({ offsetBytes: start, lengthBytes })) {
          if (run.isSaved) continue;
          await this.#saver.save(run);
          this.#saved.setRange(run.offsetBytes, run.lengthBytes);
        }
      }
    } catch (error) {
      if (whenStoreFails === "failWrites") throw error;
      this.#lost = error;
      print(`the frozen view is given up: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
