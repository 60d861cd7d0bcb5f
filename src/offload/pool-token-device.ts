/**
 * A volume or snapshot of the pool with token copies: reads bind pins, writes make references (T20).
 *
 * Always holds: every change through any opening of a volume made here is seen by its origin before the pool sees it;
 * the layer owns `base` and closes it. Errors: those of `base`, the TOKEN_ codes.
 */
import type { BlockDevice, Completion, DeviceOffload, Extent } from "../device/mod.ts";
import type { PoolOrigin } from "./pool-origin.ts";

export class PoolTokenDevice implements BlockDevice {
  readonly geometry: BlockDevice["geometry"];
  readonly capabilities: BlockDevice["capabilities"];
  readonly offload: DeviceOffload;
  readonly #base: BlockDevice;
  readonly #origin: PoolOrigin;
  readonly #onChange: (offset: number, length: number) => void;
  readonly #onClose: () => void;

  constructor(options: {
    base: BlockDevice;
    origin: PoolOrigin;
    offload: (device: PoolTokenDevice) => DeviceOffload;
    onChange: (offset: number, length: number) => void;
    onClose: () => void;
  }) {
    this.#base = options.base;
    this.#origin = options.origin;
    this.geometry = options.base.geometry;
    this.capabilities = options.base.capabilities;
    this.#onChange = options.onChange;
    this.#onClose = options.onClose;
    this.offload = options.offload(this);
  }

  get sizeBytes(): number {
    return this.#base.sizeBytes;
  }

  /** A change comes: tokens that it invalidates end first. */
  changes(offset: number, length: number): void {
    if (!this.#origin.watched.isEmpty) this.#onChange(offset, length);
  }

  read(offset: number, target: Uint8Array): Completion {
    return this.#base.read(offset, target);
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    this.changes(offset, source.length);
    return this.#base.write(offset, source, flags);
  }

  zero(offset: number, length: number, flags: number): Completion {
    this.changes(offset, length);
    return this.#base.zero(offset, length, flags);
  }

  trim(offset: number, length: number, flags: number): Completion {
    this.changes(offset, length);
    return this.#base.trim(offset, length, flags);
  }

  flush(): Completion {
    return this.#base.flush();
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    return this.#base.extents(offset, length, extentsMax);
  }

  close(): Promise<void> {
    this.#onClose();
    return this.#base.close();
  }
}
