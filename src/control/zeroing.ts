/**
 * Ranges become zeros: by the zero token where the device takes it, else by its own zeroing, else by writing zeros
 * (T16, T30).
 *
 * Always holds: the work goes in steps, between which a cancel takes effect; what was zeroed stays.
 * Errors: INVALID_RANGE, NO_SPACE, READ_ONLY, CANCELLED, and what the device says.
 */
import { RopewalkError } from "../base/errors.ts";
import { checkName } from "../base/object-name.ts";
import type { BlockDevice } from "../device/mod.ts";
import type { Clock } from "../ports/mod.ts";
import type { ControlledTokens } from "./controlled-tokens.ts";
import type { Exports } from "./exports.ts";
import { saysCopyPlainly } from "./offload-fallback.ts";
import { flushDevice, openDevice } from "./opened-device.ts";
import { partialFailure } from "./partial-failure.ts";
import { writeThroughTokens } from "./token-runs.ts";

export interface ZeroWish {
  readonly volume: string;
  readonly offsetBytes?: number | undefined;
  /** To the volume's end when absent. */
  readonly lengthBytes?: number | undefined;
}

export interface Zeroed {
  readonly bytes: number;
  readonly elapsedMs: number;
}

const STEP_BYTES = 2 ** 30;
const WRITE_BYTES = 2 ** 20;

export class Zeroing {
  readonly #exports: Exports;
  readonly #clock: Clock;
  readonly #room: ControlledTokens | undefined;

  constructor(options: { exports: Exports; clock: Clock; room: ControlledTokens | undefined }) {
    this.#exports = options.exports;
    this.#clock = options.clock;
    this.#room = options.room;
  }

  /** Durable when it resolves. */
  async zero(wish: ZeroWish, { signal }: { signal?: AbortSignal } = {}): Promise<Zeroed> {
    const startedMs = this.#clock.nowMs();
    await using opened = openDevice(this.#exports, checkName("volume", wish.volume));
    const { device } = opened;
    const { offsetBytes = 0 } = wish;
    const lengthBytes = wish.lengthBytes ?? device.sizeBytes - offsetBytes;
    if (lengthBytes <= 0 || offsetBytes + lengthBytes > device.sizeBytes)
      throw new RopewalkError(
        "INVALID_RANGE",
        `${lengthBytes} bytes at ${offsetBytes} are no range of ${wish.volume}, which ends at ${device.sizeBytes}.`,
      );
    let bytes = 0;
    const onZeroed = (zeroed: number) => void (bytes += zeroed);
    try {
      await this.#zeroByToken(device, { offsetBytes, lengthBytes, signal, onZeroed });
      const rest = { offsetBytes: offsetBytes + bytes, lengthBytes: lengthBytes - bytes };
      await zeroRange(device, { ...rest, signal, onZeroed });
      await flushDevice(device);
    } catch (error) {
      throw partialFailure(error, { done: bytes, of: lengthBytes, verb: "zeroed" });
    }
    return { bytes, elapsedMs: this.#clock.nowMs() - startedMs };
  }

  /** As much as the device takes so; a device that does not take the token leaves it to its own zeroing. */
  async #zeroByToken({ offload }: BlockDevice, range: RangeToZero): Promise<void> {
    if (!this.#room || !offload) return;
    const { offsetBytes, lengthBytes, signal, onZeroed } = range;
    const token = this.#room.zeroToken;
    try {
      await writeThroughTokens(offload, {
        tokens: [{ token, dataOffsetBytes: 0, lengthBytes, role: "primary" }],
        fromBytes: 0,
        toBytes: offsetBytes,
        lengthBytes,
        isProtected: true,
        steps: "bounded",
        signal,
        onWritten: onZeroed,
      });
    } catch (error) {
      if (!saysCopyPlainly(error)) throw error;
    }
  }
}

export interface RangeToZero {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly signal: AbortSignal | undefined;
  readonly onZeroed: (bytes: number) => void;
}

/** By the device's own zeroing, or by writing zeros where it has none. */
export async function zeroRange(device: BlockDevice, range: RangeToZero): Promise<void> {
  const { offsetBytes, lengthBytes, signal, onZeroed } = range;
  const isNative = device.capabilities.zero !== "absent";
  const stepMax = isNative ? STEP_BYTES : Math.min(WRITE_BYTES, device.geometry.maximumRequestBytes);
  const zeros = new Uint8Array(isNative ? 0 : Math.min(stepMax, lengthBytes));
  for (let done = 0; done < lengthBytes; ) {
    signal?.throwIfAborted();
    const length = Math.min(stepMax, lengthBytes - done);
    if (isNative) await device.zero(offsetBytes + done, length, 0);
    else await device.write(offsetBytes + done, zeros.subarray(0, length), 0);
    done += length;
    onZeroed(length);
  }
}
