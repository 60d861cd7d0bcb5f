/**
 * A device whose token copies this layer keeps (T19).
 * Always holds: every change passes the origin, which saves first what tokens stand for; data of which a checksum is
 * kept is read against it, and is no hole; the layer owns `base` and closes it. Errors: those of `base`, the TOKEN_ codes.
 */
import type { BlockDevice, Completion, DeviceOffload, Extent } from "../device/mod.ts";
import type { EmulatedOrigin } from "./emulated-origin.ts";

export class EmulatedTokenDevice implements BlockDevice {
  readonly geometry: BlockDevice["geometry"];
  readonly capabilities: BlockDevice["capabilities"];
  readonly offload: DeviceOffload;
  readonly #base: BlockDevice;
  readonly #origin: EmulatedOrigin;

  constructor(options: {
    base: BlockDevice;
    origin: EmulatedOrigin;
    offload: (device: EmulatedTokenDevice) => DeviceOffload;
  }) {
    this.#base = options.base;
    this.#origin = options.origin;
    this.geometry = options.base.geometry;
    this.capabilities = options.base.capabilities;
    this.offload = options.offload(this);
    this.#origin.opened(this.#base);
  }

  get sizeBytes(): number {
    return this.#base.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    const { checksums, lasting } = this.#origin;
    if (lasting?.isLoaded === false) return lasting.loaded.then(() => this.read(offset, target));
    return checksums.isIdle ? this.#base.read(offset, target) : checksums.read(this.#base, offset, target);
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    return this.#origin.change(offset, source.length, () => this.#base.write(offset, source, flags));
  }

  zero(offset: number, length: number, flags: number): Completion {
    return this.#origin.change(offset, length, () => this.#base.zero(offset, length, flags));
  }

  trim(offset: number, length: number, flags: number): Completion {
    return this.#origin.change(offset, length, () => this.#base.trim(offset, length, flags));
  }

  flush(): Completion {
    return this.#base.flush();
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    const { checksums, lasting } = this.#origin;
    if (lasting?.isLoaded === false)
      return lasting.loaded.then(() => this.extents(offset, length, extentsMax));
    const found = this.#base.extents(offset, length, extentsMax);
    if (checksums.isIdle) return found;
    const guard = (extents: Extent[]) =>
      checksums.guarded(extents, { sizeBytes: this.#base.sizeBytes, extentsMax });
    return Array.isArray(found) ? guard(found) : found.then(guard);
  }

  async close(): Promise<void> {
    await this.#origin.closed(this.#base);
    await this.#base.close();
  }
}
