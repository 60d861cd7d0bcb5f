/**
 * A frozen map of the pool behind tokens: one pin, shared by all tokens that were bound while the map did not change.
 *
 * Always holds: the pin is given back when the last user (token or run) is gone, once, after its device is closed.
 * Errors: those of reading a pin.
 */
import { Deferred } from "../base/deferred.ts";
import type { BlockDevice, ByteRange } from "../device/mod.ts";
import type { PoolOrigin } from "./pool-origin.ts";
import { readWhole, type TokenBacking, type TokenContent } from "./token-backing.ts";

export class PinnedMap implements TokenBacking {
  readonly origin: PoolOrigin;
  readonly pin: number;
  readonly isPersistent: boolean;
  /** The pool's sequence up to which the origin is known to hold the same; -1: not known. */
  sequence: number;
  readonly #device: BlockDevice;
  readonly #settled = new Deferred();
  #users = 1;
  #closed = false;
  #giving: Promise<void> | undefined;

  /** Made with one user; takes over `pin`. */
  constructor(options: { origin: PoolOrigin; pin: number; isPersistent: boolean; sequence: number }) {
    this.origin = options.origin;
    this.pin = options.pin;
    this.isPersistent = options.isPersistent;
    this.sequence = options.sequence;
    this.#device = options.origin.pool.openPin(options.pin);
    options.origin.made(this);
  }

  get sizeBytes(): number {
    return this.#device.sizeBytes;
  }

  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  hold(): void {
    this.#users += 1;
  }

  release(): void {
    this.#users -= 1;
    if (this.#users === 0) void this.giveBack();
  }

  /** Whoever may still count on it: the room closes. */
  giveBack(): Promise<void> {
    return (this.#giving ??= this.#giveBack());
  }

  async #giveBack(): Promise<void> {
    this.origin.forget(this);
    await this.close();
    try {
      await this.origin.pool.unpin(this.pin);
      // A token that was told to have ended must not come back with its pin after a crash.
      if (this.isPersistent && !this.origin.board.plants.has("token-undurable-end"))
        await this.origin.board.makeDurable();
    } catch (error) {
      this.origin.board.report(`Pin ${this.pin} of tokens could not be given back: ${String(error)}`);
    }
    this.#settled.resolve();
  }

  /** Closes the device and leaves the pin. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#device.close();
  }

  open(): Promise<TokenContent> {
    const device = this.#device;
    return Promise.resolve({
      pin: this.pin,
      sizeBytes: device.sizeBytes,
      read: (offset, target) =>
        this.origin.board.plants.has("token-live-edge") && target.length < 4096
          ? this.#readLive(offset, target)
          : readWhole(device, offset, target),
      extents: (offset, length, extentsMax) => device.extents(offset, length, extentsMax),
      close: () => undefined,
    });
  }

  /** The planted bug token-live-edge. */
  async #readLive(offset: number, target: Uint8Array): Promise<void> {
    const live = await this.origin.bind(Number.MAX_SAFE_INTEGER);
    await readWhole(live.#device, offset, target);
    live.release();
  }

  hasChanged(ranges: readonly ByteRange[]): Promise<boolean> {
    return this.origin.differs(this, ranges);
  }
}

/** All pins that tokens hold, and where sentences about them go. */
export interface PinBoard {
  readonly maps: Set<PinnedMap>;
  /** Known bugs to plant. */
  readonly plants: ReadonlySet<string>;
  report(sentence: string): void;
  /** An origin has no pin any more. */
  idle(origin: PoolOrigin): void;
  /** Everything that the pool was asked for is durable. */
  makeDurable(): Promise<void>;
  /** Room for one pin more; ends tokens for it (T11). TOO_MANY */
  makeRoom(priority: number): Promise<void>;
}
