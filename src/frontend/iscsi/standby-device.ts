/**
 * The device of a logical unit that outlives its sessions: open while somebody is logged in, given back in between, so
 * that a volume which nobody uses can be deleted, shrunk or rolled back although initiators are registered with it.
 *
 * Always holds: the device is opened once for all users and closed with the last; a request in between is SHUTTING_DOWN.
 * What it says of itself in between is what it said last.
 */
import { assert } from "../../base/assert.ts";
import { RopewalkError } from "../../base/errors.ts";
import type {
  BlockDevice,
  Capabilities,
  Completion,
  DeviceOffload,
  Extent,
  Geometry,
} from "../../device/mod.ts";

export type OpenDevice = () => BlockDevice | Promise<BlockDevice>;

export class StandbyDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #open: OpenDevice;
  #device: BlockDevice | undefined;
  #sizeBytes: number;
  #users = 1;
  /** Openings and closings, one behind the other. */
  #changes: Promise<void> = Promise.resolve();

  private constructor(open: OpenDevice, device: BlockDevice) {
    this.#open = open;
    this.#device = device;
    this.#sizeBytes = device.sizeBytes;
    this.geometry = device.geometry;
    this.capabilities = device.capabilities;
    this.offload = device.offload && {
      providers: device.offload.providers,
      read: (request) => this.#offload().read(request),
      write: (request) => this.#offload().write(request),
    };
  }

  /** Opens it for its first user. What `open` throws */
  static async open(open: OpenDevice): Promise<StandbyDevice> {
    return new StandbyDevice(open, await open());
  }

  get users(): number {
    return this.#users;
  }

  get sizeBytes(): number {
    return this.#device?.sizeBytes ?? this.#sizeBytes;
  }

  /** One user more, for whom the device is open when this resolves. What opening it throws */
  async use(): Promise<void> {
    this.#users++;
    try {
      await this.#change(async () => {
        this.#device ??= await this.#open();
      });
    } catch (error) {
      this.#users--;
      throw error;
    }
  }

  /** One user less; closed when the last has gone. */
  close(): Promise<void> {
    this.#users--;
    return this.#change(async () => {
      const device = this.#device;
      if (this.#users > 0 || !device) return;
      this.#sizeBytes = device.sizeBytes;
      this.#device = undefined;
      await device.close();
    });
  }

  read(offset: number, target: Uint8Array): Completion {
    return this.#inUse().read(offset, target);
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    return this.#inUse().write(offset, source, flags);
  }

  zero(offset: number, length: number, flags: number): Completion {
    return this.#inUse().zero(offset, length, flags);
  }

  trim(offset: number, length: number, flags: number): Completion {
    return this.#inUse().trim(offset, length, flags);
  }

  flush(): Completion {
    return this.#inUse().flush();
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    return this.#inUse().extents(offset, length, extentsMax);
  }

  #inUse(): BlockDevice {
    if (this.#device) return this.#device;
    // Work that an initiator left behind, such as a sanitize, may come late.
    throw new RopewalkError("SHUTTING_DOWN", "The last session of the unit has ended.");
  }

  #offload(): DeviceOffload {
    const { offload } = this.#inUse();
    assert(offload !== undefined, "a device that had token copies has them when it is opened again");
    return offload;
  }

  #change(work: () => Promise<void>): Promise<void> {
    const change = this.#changes.then(work);
    this.#changes = change.catch(() => {});
    return change;
  }
}
