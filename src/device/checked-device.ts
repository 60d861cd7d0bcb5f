/**
 * The shim between a device and whoever uses it: between two layers, and between the stack and a front end.
 *
 * Always holds: what reaches the inner device is aligned, in range, within its limits, has only flags that the
 * operation knows and asks only for what the device can do; so neither layers nor devices validate again.
 * A request of length zero is checked like any other and then does nothing. A check allocates nothing.
 * Errors: INVALID_RANGE (also reads, trims and extents past the end), NO_SPACE (writes and zeroes past the
 * end), TOO_LARGE, INVALID_ARGUMENT (flags), READ_ONLY, UNSUPPORTED, SHUTTING_DOWN after `close`.
 */
import { assert } from "../base/assert.ts";
import { type ErrorCode, RopewalkError } from "../base/errors.ts";
import {
  type BlockDevice,
  type Capabilities,
  type Capability,
  type Completion,
  type Extent,
  type Geometry,
  RequestFlag,
} from "./block-device.ts";
import type { ByteRange, DeviceOffload } from "./offload.ts";

const BLOCK_BYTES_MAX = 4096;
/** Ranges of one token operation; a SCSI parameter list names fewer. */
const OFFLOAD_RANGES_MAX = 4096;
const ZERO_FLAGS = RequestFlag.fua | RequestFlag.noHole | RequestFlag.fast;

/** The device behind the shim; one that is already behind it is returned as it is. */
export function checkDevice(device: BlockDevice): BlockDevice {
  return device instanceof CheckedDevice ? device : new CheckedDevice(device);
}

class CheckedDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #inner: BlockDevice;
  /** Offsets and lengths have none of these bits. */
  readonly #alignmentMask: number;
  #closed: Promise<void> | undefined;

  constructor(inner: BlockDevice) {
    this.#inner = inner;
    this.geometry = inner.geometry;
    this.capabilities = inner.capabilities;
    this.offload = inner.offload && this.#checkedOffload(inner.offload);
    const { minimumBlockBytes, preferredBlockBytes, maximumRequestBytes } = inner.geometry;
    assert(
      isPowerOfTwo(minimumBlockBytes) && minimumBlockBytes <= BLOCK_BYTES_MAX,
      "a device's smallest block is a power of two up to 4096",
    );
    assert(isPowerOfTwo(preferredBlockBytes), "a device's preferred block is a power of two");
    assert(
      maximumRequestBytes > 0 && maximumRequestBytes % minimumBlockBytes === 0,
      "a device's longest request is a multiple of its smallest block",
    );
    this.#alignmentMask = minimumBlockBytes - 1;
  }

  get sizeBytes(): number {
    return this.#inner.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    this.#checkOpen();
    const length = target.length;
    this.#checkRequestLength("read", length);
    this.#checkRange("read", offset, length, "INVALID_RANGE");
    return length === 0 ? undefined : this.#inner.read(offset, target);
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    this.#checkOpen();
    const length = source.length;
    this.#checkWritable("write");
    this.#checkFlags("write", flags, RequestFlag.fua);
    this.#checkRequestLength("write", length);
    this.#checkRange("write", offset, length, "NO_SPACE");
    return length === 0 ? undefined : this.#inner.write(offset, source, flags);
  }

  zero(offset: number, length: number, flags: number): Completion {
    this.#checkOpen();
    this.#checkWritable("zero");
    this.#checkCapability("zero", this.capabilities.zero);
    this.#checkFlags("zero", flags, ZERO_FLAGS);
    if (flags & RequestFlag.fast)
      this.#checkCapability("zero faster than writing", this.capabilities.fastZero);
    this.#checkRange("zero", offset, length, "NO_SPACE");
    return length === 0 ? undefined : this.#inner.zero(offset, length, flags);
  }

  trim(offset: number, length: number, flags: number): Completion {
    this.#checkOpen();
    this.#checkWritable("trim");
    this.#checkCapability("trim", this.capabilities.trim);
    this.#checkFlags("trim", flags, RequestFlag.fua);
    this.#checkRange("trim", offset, length, "INVALID_RANGE");
    return length === 0 ? undefined : this.#inner.trim(offset, length, flags);
  }

  flush(): Completion {
    this.#checkOpen();
    this.#checkCapability("flush", this.capabilities.flush);
    return this.#inner.flush();
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    this.#checkOpen();
    this.#checkCapability("tell extents", this.capabilities.extents);
    if (!Number.isSafeInteger(extentsMax) || extentsMax < 1) {
      throw new RopewalkError(
        "INVALID_ARGUMENT",
        `At most ${extentsMax} extents were asked for; ask for one or more.`,
      );
    }
    this.#checkRange("extents", offset, length, "INVALID_RANGE");
    return length === 0 ? [] : this.#inner.extents(offset, length, extentsMax);
  }

  #checkedOffload(inner: DeviceOffload): DeviceOffload {
    return {
      providers: inner.providers,
      read: async (request) => {
        this.#checkOpen();
        this.#checkRanges("token read", request.ranges, "INVALID_RANGE");
        return inner.read(request);
      },
      write: async (request) => {
        this.#checkOpen();
        this.#checkWritable("token write");
        this.#checkRanges("token write", request.ranges, "NO_SPACE");
        if (!Number.isSafeInteger(request.tokenOffsetBytes) || request.tokenOffsetBytes < 0)
          throw new RopewalkError("INVALID_RANGE", `${request.tokenOffsetBytes} is no place in a token.`);
        return inner.write(request);
      },
    };
  }

  #checkRanges(operation: string, ranges: readonly ByteRange[], pastEnd: ErrorCode): void {
    if (ranges.length > OFFLOAD_RANGES_MAX)
      throw new RopewalkError("TOO_MANY", `A ${operation} takes at most ${OFFLOAD_RANGES_MAX} ranges.`);
    for (const { offsetBytes, lengthBytes } of ranges)
      this.#checkRange(operation, offsetBytes, lengthBytes, pastEnd);
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#inner.close());
  }

  #checkOpen(): void {
    if (this.#closed === undefined) return;
    throw new RopewalkError("SHUTTING_DOWN", "The device was closed; open it again.");
  }

  #checkWritable(operation: string): void {
    if (this.capabilities.writable) return;
    throw new RopewalkError("READ_ONLY", `The device is read-only; it takes no ${operation}.`);
  }

  #checkCapability(operation: string, capability: Capability): void {
    if (capability !== "absent") return;
    throw new RopewalkError("UNSUPPORTED", `The device cannot ${operation}.`);
  }

  #checkFlags(operation: string, flags: number, known: number): void {
    if (flags === RequestFlag.none) return;
    if (flags !== (flags & known)) {
      throw new RopewalkError("INVALID_ARGUMENT", `A ${operation} does not know all of the flags ${flags}.`);
    }
    if (flags & RequestFlag.fua)
      this.#checkCapability("make a single request durable", this.capabilities.fua);
  }

  #checkRequestLength(operation: string, length: number): void {
    const { maximumRequestBytes } = this.geometry;
    if (length <= maximumRequestBytes) return;
    throw new RopewalkError(
      "TOO_LARGE",
      `A ${operation} of ${length} bytes is longer than the device's limit of ${maximumRequestBytes}; split it.`,
    );
  }

  #checkRange(operation: string, offset: number, length: number, pastEnd: ErrorCode): void {
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
      throw new RopewalkError("INVALID_RANGE", `A ${operation} at ${offset} of ${length} bytes is no range.`);
    }
    // Bit operations cut a number to its low 32 bits, which hold all that counts here.
    if (((offset | length) & this.#alignmentMask) !== 0) {
      throw new RopewalkError(
        "INVALID_RANGE",
        `A ${operation} at ${offset} of ${length} bytes is not in units of ${this.#alignmentMask + 1} bytes.`,
      );
    }
    if (offset + length <= this.sizeBytes) return;
    throw new RopewalkError(
      pastEnd,
      `A ${operation} at ${offset} of ${length} bytes ends past the device's end at ${this.sizeBytes}.`,
    );
  }
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value > 0 && Number.isInteger(Math.log2(value));
}
