/**
 * One device with many openings: what a device tree is to the clients that open it, and a leaf to a tree that names
 * it twice, so that there is one cache, one set of bitmaps, one connection.
 *
 * Always holds: an opening closes when its own requests have ended; the device closes with its last opening, and is
 * gone then. Errors: SHUTTING_DOWN for an opening after that.
 */
import { RopewalkError } from "../base/errors.ts";
import type { BlockDevice, Capabilities, Completion, Extent, Geometry } from "./block-device.ts";
import type { DeviceOffload } from "./offload.ts";

export class SharedDevice {
  readonly #device: BlockDevice;
  #openings = 0;
  #closed: Promise<void> | undefined;

  /** Takes `device` over. */
  constructor(device: BlockDevice) {
    this.#device = device;
  }

  get openings(): number {
    return this.#openings;
  }

  open(): BlockDevice {
    if (this.#closed !== undefined)
      throw new RopewalkError("SHUTTING_DOWN", "The device was closed with its last opening; open it anew.");
    this.#openings++;
    return new Opening(this.#device, () => this.#leave());
  }

  #leave(): Promise<void> {
    if (--this.#openings > 0) return Promise.resolve();
    return (this.#closed = this.#device.close());
  }
}

class Opening implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #device: BlockDevice;
  readonly #leave: () => Promise<void>;
  #underWay = 0;
  #idle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  constructor(device: BlockDevice, leave: () => Promise<void>) {
    this.#device = device;
    this.#leave = leave;
    this.geometry = device.geometry;
    this.capabilities = device.capabilities;
    const inner = device.offload;
    this.offload = inner && {
      providers: inner.providers,
      read: (request) => this.#tracked(inner.read(request)),
      write: (request) => this.#tracked(inner.write(request)),
    };
  }

  get sizeBytes(): number {
    return this.#device.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    return this.#completed(this.#device.read(offset, target));
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    return this.#completed(this.#device.write(offset, source, flags));
  }

  zero(offset: number, length: number, flags: number): Completion {
    return this.#completed(this.#device.zero(offset, length, flags));
  }

  trim(offset: number, length: number, flags: number): Completion {
    return this.#completed(this.#device.trim(offset, length, flags));
  }

  flush(): Completion {
    return this.#completed(this.#device.flush());
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    const found = this.#device.extents(offset, length, extentsMax);
    return Array.isArray(found) ? found : this.#tracked(found);
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#end());
  }

  async #end(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#leave();
  }

  #completed(completion: Completion): Completion {
    if (completion !== undefined) void this.#tracked(completion);
    return completion;
  }

  #tracked<Value>(request: Promise<Value>): Promise<Value> {
    this.#underWay++;
    request.then(this.#ended, this.#ended);
    return request;
  }

  readonly #ended = (): void => {
    if (--this.#underWay === 0) this.#idle?.();
  };
}
