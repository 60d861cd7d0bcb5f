/**
 * A device that counts what passes through it and how long it took. It changes nothing else.
 *
 * Always holds: a request that completed at once costs two looks at the clock and a few additions, no promise
 * and no closure; a completion is handed on as it came, since one promise may stand for many requests.
 */
import type {
  BlockDevice,
  Capabilities,
  Completion,
  DeviceOffload,
  Extent,
  Geometry,
} from "../device/mod.ts";
import type { Clock } from "../ports/mod.ts";
import { MeteredRequest, type VolumeMeter } from "./volume-meter.ts";

export class MeasuredDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #device: BlockDevice;
  readonly #meter: VolumeMeter;
  readonly #clock: Clock;

  constructor(options: { device: BlockDevice; meter: VolumeMeter; clock: Clock }) {
    this.#device = options.device;
    this.#meter = options.meter;
    this.#clock = options.clock;
    this.geometry = options.device.geometry;
    this.offload = options.device.offload;
    this.capabilities = options.device.capabilities;
  }

  get sizeBytes(): number {
    return this.#device.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    const startedMs = this.#clock.nowMs();
    let completion: Completion;
    try {
      completion = this.#device.read(offset, target);
    } catch (error) {
      throw this.#failed(MeteredRequest.read, error);
    }
    return this.#end(MeteredRequest.read, completion, startedMs, target.length);
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    const startedMs = this.#clock.nowMs();
    let completion: Completion;
    try {
      completion = this.#device.write(offset, source, flags);
    } catch (error) {
      throw this.#failed(MeteredRequest.write, error);
    }
    return this.#end(MeteredRequest.write, completion, startedMs, source.length);
  }

  zero(offset: number, length: number, flags: number): Completion {
    const startedMs = this.#clock.nowMs();
    let completion: Completion;
    try {
      completion = this.#device.zero(offset, length, flags);
    } catch (error) {
      throw this.#failed(MeteredRequest.zero, error);
    }
    return this.#end(MeteredRequest.zero, completion, startedMs, length);
  }

  trim(offset: number, length: number, flags: number): Completion {
    const startedMs = this.#clock.nowMs();
    let completion: Completion;
    try {
      completion = this.#device.trim(offset, length, flags);
    } catch (error) {
      throw this.#failed(MeteredRequest.trim, error);
    }
    return this.#end(MeteredRequest.trim, completion, startedMs, length);
  }

  flush(): Completion {
    const startedMs = this.#clock.nowMs();
    let completion: Completion;
    try {
      completion = this.#device.flush();
    } catch (error) {
      throw this.#failed(MeteredRequest.flush, error);
    }
    return this.#end(MeteredRequest.flush, completion, startedMs, 0);
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    return this.#device.extents(offset, length, extentsMax);
  }

  close(): Promise<void> {
    return this.#device.close();
  }

  #end(kind: number, completion: Completion, startedMs: number, bytes: number): Completion {
    if (completion === undefined) this.#meter.done(kind, this.#clock.nowMs() - startedMs, bytes);
    else this.#endLater(kind, completion, startedMs, bytes);
    return completion;
  }

  // Apart from #end, whose callers would else pay for the closures' context on every request.
  #endLater(kind: number, completion: Promise<void>, startedMs: number, bytes: number): void {
    completion.then(
      () => this.#meter.done(kind, this.#clock.nowMs() - startedMs, bytes),
      () => this.#meter.failed(kind),
    );
  }

  #failed(kind: number, error: unknown): unknown {
    this.#meter.failed(kind);
    return error;
  }
}
