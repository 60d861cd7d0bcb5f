/**
 * The device of the layer `verify`: remembers checksums of blocks as they were written or first read, and holds later
 * reads against them.
 *
 * Always holds: a checksum is known only of a block that nothing changed since; what a request may have changed in
 * part, or failed at, is forgotten. Reads share a block, changes are alone on it.
 * Errors: CHECKSUM_MISMATCH instead of bytes that changed below.
 */
import { checksumAt } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { BlockDevice, Capabilities, Completion, Extent, Geometry } from "../block-device.ts";
import type { ByteRange, DeviceOffload } from "../offload.ts";
import { KnownChecksums } from "./known-checksums.ts";
import { RangeGate } from "./range-gate.ts";

export interface VerifyOptions {
  readonly blockBytes: number;
  /** Memory for checksums. */
  readonly bytesMax: number;
}

export class VerifyDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #inner: BlockDevice;
  readonly #blockBytes: number;
  readonly #known: KnownChecksums;
  readonly #gate: RangeGate;

  constructor(inner: BlockDevice, { blockBytes, bytesMax }: VerifyOptions) {
    this.#inner = inner;
    this.#blockBytes = blockBytes;
    this.#known = new KnownChecksums(bytesMax);
    this.#gate = new RangeGate(blockBytes);
    this.geometry = inner.geometry;
    this.capabilities = inner.capabilities;
    const below = inner.offload;
    this.offload = below && {
      providers: below.providers,
      read: (request) => below.read(request),
      write: (request) => this.#changed(request.ranges, () => below.write(request)),
    };
  }

  get sizeBytes(): number {
    return this.#inner.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    const ranges = [{ offsetBytes: offset, lengthBytes: target.length }];
    return this.#gate.during(ranges, "shared", async () => {
      const { start, end } = this.#toVerify(offset, target.length);
      if (start === offset && end === offset + target.length) {
        await this.#inner.read(offset, target);
        this.#verify(offset, target);
        return;
      }
      const bytes = new Uint8Array(end - start);
      await this.#readAll(start, bytes);
      this.#verify(start, bytes);
      target.set(bytes.subarray(offset - start, offset - start + target.length));
    });
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    const range = { offsetBytes: offset, lengthBytes: source.length };
    return this.#changed([range], async () => {
      await this.#inner.write(offset, source, flags);
      for (const { number, at } of this.#wholeBlocks(offset, source.length))
        this.#known.set(number, checksumAt(source, at, this.#lengthOf(number)));
    });
  }

  zero(offset: number, length: number, flags: number): Completion {
    const range = { offsetBytes: offset, lengthBytes: length };
    return this.#changed([range], async () => void (await this.#inner.zero(offset, length, flags)));
  }

  trim(offset: number, length: number, flags: number): Completion {
    const range = { offsetBytes: offset, lengthBytes: length };
    return this.#changed([range], async () => void (await this.#inner.trim(offset, length, flags)));
  }

  flush(): Completion {
    return this.#inner.flush();
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    return this.#inner.extents(offset, length, extentsMax);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** Alone on the ranges, and with nothing known of them when `change` begins. */
  #changed<Result>(ranges: readonly ByteRange[], change: () => Promise<Result>): Promise<Result> {
    return this.#gate.during(ranges, "exclusive", () => {
      for (const { offsetBytes, lengthBytes } of ranges) {
        if (lengthBytes === 0) continue;
        const first = Math.floor(offsetBytes / this.#blockBytes);
        this.#known.drop(first, Math.floor((offsetBytes + lengthBytes - 1) / this.#blockBytes));
      }
      return change();
    });
  }

  /** The range, widened by what is wanted of the first and last block when their checksums are known. */
  #toVerify(offset: number, length: number): { start: number; end: number } {
    const end = offset + length;
    const first = Math.floor(offset / this.#blockBytes);
    const last = Math.floor((end - 1) / this.#blockBytes);
    const lastEnd = last * this.#blockBytes + this.#lengthOf(last);
    return {
      start: this.#known.get(first) === undefined ? offset : first * this.#blockBytes,
      end: this.#known.get(last) === undefined ? end : lastEnd,
    };
  }

  /** Two blocks longer than the request was, so perhaps longer than one may be. */
  async #readAll(offset: number, target: Uint8Array): Promise<void> {
    const { maximumRequestBytes } = this.geometry;
    for (let done = 0; done < target.length; done += maximumRequestBytes)
      await this.#inner.read(offset + done, target.subarray(done, done + maximumRequestBytes));
  }

  /** Checks every whole block in `bytes`, and remembers those of which nothing was known. */
  #verify(offset: number, bytes: Uint8Array): void {
    for (const { number, at } of this.#wholeBlocks(offset, bytes.length)) {
      const found = checksumAt(bytes, at, this.#lengthOf(number));
      const known = this.#known.get(number);
      if (known === undefined) this.#known.set(number, found);
      else if (known !== found)
        throw new RopewalkError(
          "CHECKSUM_MISMATCH",
          `The ${this.#lengthOf(number)} bytes at ${number * this.#blockBytes} are not those that were there before.`,
        );
    }
  }

  *#wholeBlocks(offset: number, length: number): Generator<{ number: number; at: number }> {
    const first = Math.ceil(offset / this.#blockBytes);
    for (let number = first; ; number++) {
      const at = number * this.#blockBytes - offset;
      if (at >= length || at + this.#lengthOf(number) > length) return;
      yield { number, at };
    }
  }

  #lengthOf(number: number): number {
    return Math.min(this.#blockBytes, this.sizeBytes - number * this.#blockBytes);
  }
}
