// A pool on a simulated disk and clock, for tests beside the pool's code: quick, the same each time, and able to
// die, lose power, fill up and rot.

import { SimulatedClock, type SimulatedProcess } from "../../sim/simulated-clock.ts";
import { type CrashMode, type DiskOptions, SimulatedDisk } from "../../sim/simulated-disk.ts";
import { SimulatedRandom } from "../../sim/simulated-random.ts";
import type { BlockDevice } from "../../src/device/mod.ts";
import { Pool, type PoolSettings } from "../../src/pool/mod.ts";

const MIB = 2 ** 20;
export const SMALL_SETTINGS: Partial<PoolSettings> = { segmentBytes: MIB, sizeBytes: 64 * MIB };

export class SimulatedPool {
  readonly clock = new SimulatedClock();
  readonly disk: SimulatedDisk;
  readonly settings: Partial<PoolSettings>;
  readonly #random = new SimulatedRandom("pool");
  #process!: SimulatedProcess;
  pool!: Pool;

  constructor(settings: Partial<PoolSettings>, disk: DiskOptions) {
    this.settings = { ...SMALL_SETTINGS, ...settings };
    this.disk = new SimulatedDisk(this.clock, "disk", disk);
  }

  get world() {
    return { disk: this.disk.attach(this.#process), clock: this.#process, random: this.#random };
  }

  async format(): Promise<void> {
    this.#process = this.clock.startProcess();
    await Pool.format(this.world, this.settings);
  }

  /** Opens in a process of its own. */
  async open(): Promise<Pool> {
    this.#process = this.clock.startProcess();
    this.pool = await Pool.open(this.world, this.settings);
    return this.pool;
  }

  /** The process dies where it stands; then the power may go. */
  die(mode: CrashMode = "clean"): void {
    this.#process.kill();
    this.disk.lockedBy = undefined;
    this.disk.powerCut(mode);
  }

  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.#process.after(delayMs, resolve));
  }

  /** A new volume, open for use. */
  async volume(name: string, sizeBytes: number): Promise<BlockDevice> {
    await this.pool.createVolume({ name, sizeBytes });
    return this.pool.openVolume(name);
  }
}

/** Runs a test's body on a new pool, with the simulated clock driving it. */
export async function withSimulatedPool(
  body: (simulated: SimulatedPool) => Promise<void>,
  options: { settings?: Partial<PoolSettings>; disk?: DiskOptions; turnsMax?: number } = {},
): Promise<void> {
  const simulated = new SimulatedPool(options.settings ?? {}, options.disk ?? {});
  const whole = async () => {
    await simulated.format();
    await simulated.open();
    await body(simulated);
  };
  await simulated.clock.run(whole(), options.turnsMax === undefined ? {} : { turnsMax: options.turnsMax });
}

/** Bytes that differ from place to place and from one `seed` to the next. */
export function patternBytes(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let at = 0; at < words.length; at += 1)
    words[at] = Math.imul(at + 1, 0x9e37_79b1) ^ Math.imul(seed + 1, 0x85eb_ca6b);
  return new Uint8Array(words.buffer, 0, length);
}

/** What a device holds in a range. */
export async function bytesOf(
  device: BlockDevice,
  offset = 0,
  length: number = device.sizeBytes - offset,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const step = device.geometry.maximumRequestBytes;
  for (let done = 0; done < length; done += step)
    await device.read(offset + done, bytes.subarray(done, done + step));
  return bytes;
}
