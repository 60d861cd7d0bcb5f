/**
 * The device as the commands use it: in blocks' worth of bytes, with FUA where it is asked for, however the device
 * makes a request durable, and in pieces where the device takes no more at once.
 *
 * Always holds: a transfer that fits into one request of the device is one request, so it is whole or not at all;
 * nothing here allocates more than the transfer asks for. Errors: the device's.
 */

import { Buffer } from "node:buffer";
import { type BlockDevice, type Completion, RequestFlag } from "../../../device/mod.ts";
import type { Provisioning } from "../../../wire/iscsi/scsi/mod.ts";
import type { ByteSpan } from "./range-lock.ts";

export type Durability = "cached" | "durable";

export class BlockAccess {
  readonly provisioning: Provisioning;
  readonly #device: BlockDevice;
  readonly #unmapsByTrim: boolean;
  readonly #hasFua: boolean;
  readonly #hasFlush: boolean;

  constructor(device: BlockDevice, options: { readonly trimReadsZeros: boolean }) {
    this.#device = device;
    const { trim, zero, fua, flush } = device.capabilities;
    this.#unmapsByTrim = trim !== "absent" && (options.trimReadsZeros || zero === "absent");
    this.#hasFua = fua !== "absent";
    this.#hasFlush = flush !== "absent";
    this.provisioning = {
      isThin: trim !== "absent" || zero !== "absent",
      readsZeros: options.trimReadsZeros || zero !== "absent",
    };
  }

  /** Reads into `memory`, as long as the span, or into its own: neither is cleared first. */
  read(span: ByteSpan, memory?: Uint8Array): Uint8Array | Promise<Uint8Array> {
    // It leaves here filled whole, or not at all.
    const target = memory ?? new Uint8Array(Buffer.allocUnsafeSlow(span.lengthBytes).buffer);
    if (span.lengthBytes <= this.#device.geometry.maximumRequestBytes) {
      const done = this.#device.read(span.offsetBytes, target);
      return done === undefined ? target : done.then(() => target);
    }
    return this.#inPieces(span, (offset, length, at) =>
      this.#device.read(offset, target.subarray(at, at + length)),
    ).then(() => target);
  }

  write(offset: number, source: Uint8Array, durability: Durability): Completion {
    if (source.length <= this.#device.geometry.maximumRequestBytes) {
      return this.#finish(this.#device.write(offset, source, this.#flags(durability)), durability);
    }
    return this.#finish(
      this.#inPieces({ offsetBytes: offset, lengthBytes: source.length }, (pieceOffset, length, at) =>
        this.#device.write(pieceOffset, source.subarray(at, at + length), this.#flags(durability)),
      ),
      durability,
    );
  }

  /** Zeros that stay allocated, as written ones would. */
  zero(span: ByteSpan, durability: Durability): Completion {
    if (this.#device.capabilities.zero === "absent") {
      const zeros = new Uint8Array(Math.min(span.lengthBytes, this.#device.geometry.maximumRequestBytes));
      const done = this.#inPieces(span, (offset, length) =>
        this.#device.write(offset, zeros.subarray(0, length), this.#flags(durability)),
      );
      return this.#finish(done, durability);
    }
    const flags = this.#flags(durability) | RequestFlag.noHole;
    return this.#finish(this.#device.zero(span.offsetBytes, span.lengthBytes, flags), durability);
  }

  /** Gives the range back; only where `provisioning.isThin`. */
  unmap(span: ByteSpan, durability: Durability): Completion {
    const flags = this.#flags(durability);
    const done = this.#unmapsByTrim
      ? this.#device.trim(span.offsetBytes, span.lengthBytes, flags)
      : this.#device.zero(span.offsetBytes, span.lengthBytes, flags);
    return this.#finish(done, durability);
  }

  flush(): Completion {
    return this.#hasFlush ? this.#device.flush() : undefined;
  }

  #flags(durability: Durability): number {
    return durability === "durable" && this.#hasFua ? RequestFlag.fua : RequestFlag.none;
  }

  #finish(done: Completion, durability: Durability): Completion {
    if (durability === "cached" || this.#hasFua) return done;
    return done === undefined ? this.flush() : done.then(() => this.flush());
  }

  async #inPieces(
    { offsetBytes, lengthBytes }: ByteSpan,
    request: (offset: number, length: number, at: number) => Completion,
  ): Promise<void> {
    const { maximumRequestBytes } = this.#device.geometry;
    for (let at = 0; at < lengthBytes; at += maximumRequestBytes) {
      await request(offsetBytes + at, Math.min(maximumRequestBytes, lengthBytes - at), at);
    }
  }
}
