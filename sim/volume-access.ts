/**
 * Who uses which volume in one life of the pool: opened devices for the data requests, and turns for what
 * needs a volume alone (rollback, deletion, shrinking, exact comparisons).
 * Always holds: while one holds a volume alone, no other request on it is on its way and no device is open.
 */
import type { BlockDevice } from "../src/device/mod.ts";
import type { Life } from "./machine.ts";

interface Use {
  device: BlockDevice | undefined;
  users: number;
  alone: boolean;
}

/** How often a waiting one looks again. */
const waitMs = 0.5;

export class VolumeAccess {
  readonly #life: Life;
  readonly #open: (volume: number) => BlockDevice;
  readonly #uses = new Map<number, Use>();

  /** `open`: how a volume's device is had, when it is not the pool's own. */
  constructor(life: Life, open?: (volume: number) => BlockDevice) {
    this.#life = life;
    this.#open = open ?? ((volume) => life.pool.openVolume(life.machine.history.current.volume(volume).name));
  }

  /** Whether requests may be sent to the volume now. */
  free(volume: number): boolean {
    return !this.#use(volume).alone;
  }

  /** The volume's device, to be given back with `release`. */
  acquire(volume: number): BlockDevice {
    const use = this.#use(volume);
    if (use.alone) throw new Error("the volume is taken by one alone");
    use.users++;
    use.device ??= this.#open(volume);
    return use.device;
  }

  release(volume: number): void {
    this.#use(volume).users--;
  }

  /** Waits until nobody uses the volume, and closes its device. False when another one has it alone. */
  async takeAlone(volume: number): Promise<boolean> {
    const use = this.#use(volume);
    if (use.alone) return false;
    use.alone = true;
    while (use.users > 0) await this.#life.pause(waitMs);
    await this.#close(use);
    return true;
  }

  giveBack(volume: number): void {
    this.#use(volume).alone = false;
  }

  async closeAll(): Promise<void> {
    for (const use of this.#uses.values()) await this.#close(use);
  }

  async #close(use: Use): Promise<void> {
    const { device } = use;
    use.device = undefined;
    if (device !== undefined) await this.#life.answer(device.close());
  }

  #use(volume: number): Use {
    let use = this.#uses.get(volume);
    if (use === undefined) {
      use = { device: undefined, users: 0, alone: false };
      this.#uses.set(volume, use);
    }
    return use;
  }
}
