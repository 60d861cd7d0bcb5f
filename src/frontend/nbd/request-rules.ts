/**
 * Which requests an export takes, and with which error it refuses the others.
 *
 * Always holds: a request that passes is inside the device, in whole blocks, of a command and with flags that
 * were advertised; so nothing is checked again on its way. The size is asked each time, it may change.
 */
import { Errno } from "../../base/errors.ts";
import type { BlockDevice } from "../../device/mod.ts";
import {
  BLOCK_STATUS_FILTER_BYTES_MAX,
  Command,
  CommandFlag,
  type RequestHeader,
} from "../../wire/nbd/mod.ts";
import { allowedFlags, exportFacts, payloadBytesMax, type ReplyFormat } from "./export-facts.ts";

export interface Refusal {
  readonly errno: number;
  readonly sentence: string;
}

const refusal = (errno: number, sentence: string): Refusal => ({ errno, sentence });

const NOT_OFFERED = refusal(Errno.EINVAL, "the command is not offered");
const WRONG_FLAGS = refusal(Errno.EINVAL, "the command does not take these flags");
const READ_ONLY = refusal(Errno.EPERM, "the export is read-only");
const TOO_LONG = refusal(Errno.EINVAL, "the request is longer than the largest payload");
const BEYOND = refusal(Errno.EINVAL, "the range ends beyond the export");
const NO_ROOM = refusal(Errno.ENOSPC, "the range ends beyond the export");
const MISALIGNED = refusal(Errno.EINVAL, "offset and length must be multiples of the minimum block size");
const NO_CONTEXT = refusal(Errno.EINVAL, "no meta context was selected");
const LONG_FILTER = refusal(Errno.EINVAL, "the filter is too long");
const EMPTY_RANGE = refusal(Errno.EINVAL, "a block status of no bytes has no extent");

export class RequestRules {
  readonly #device: BlockDevice;
  readonly #allowed: Int32Array;
  readonly #writable: boolean;
  readonly #payloadBytesMax: number;
  readonly #blockBytes: number;
  readonly #hasContexts: boolean;

  constructor(device: BlockDevice, format: ReplyFormat, contexts: number) {
    this.#device = device;
    this.#allowed = allowedFlags(exportFacts(device, format), format);
    this.#writable = device.capabilities.writable;
    this.#payloadBytesMax = payloadBytesMax(device);
    this.#blockBytes = device.geometry.minimumBlockBytes;
    this.#hasContexts = contexts > 0;
  }

  /** Undefined when the request, which `payloadBytes` follow, may go to the device. */
  refusal(header: RequestHeader, payloadBytes: number): Refusal | undefined {
    const { type, flags, length } = header;
    const allowed = type < this.#allowed.length ? this.#allowed[type]! : -1;
    if (allowed < 0) return NOT_OFFERED;
    if ((flags & ~allowed) !== 0) return WRONG_FLAGS;
    switch (type) {
      case Command.read:
        return length > this.#payloadBytesMax ? TOO_LONG : this.range(header.offset, length, BEYOND);
      case Command.write:
        if (!this.#writable) return READ_ONLY;
        return length > this.#payloadBytesMax ? TOO_LONG : this.range(header.offset, length, NO_ROOM);
      case Command.writeZeroes:
        return this.#writable ? this.range(header.offset, length, NO_ROOM) : READ_ONLY;
      case Command.trim:
        return this.#writable ? this.range(header.offset, length) : READ_ONLY;
      case Command.cache:
        return this.range(header.offset, length);
      case Command.blockStatus:
        if (!this.#hasContexts) return NO_CONTEXT;
        if (payloadBytes > BLOCK_STATUS_FILTER_BYTES_MAX) return LONG_FILTER;
        // With a filter the length stands in the payload, and is checked when that is there.
        if ((flags & CommandFlag.payloadLength) !== 0) return undefined;
        return this.statusRange(header.offset, length);
      default:
        return undefined;
    }
  }

  statusRange(offset: number, length: number): Refusal | undefined {
    return length === 0 ? EMPTY_RANGE : this.range(offset, length);
  }

  range(offset: number, length: number, beyond = BEYOND): Refusal | undefined {
    if (offset + length > this.#device.sizeBytes) return beyond;
    if (this.#blockBytes > 1 && (offset % this.#blockBytes) + (length % this.#blockBytes) > 0)
      return MISALIGNED;
    return undefined;
  }
}

/** Bytes of reads and writes that the request keeps in work. */
export function chargeOf(header: RequestHeader): number {
  return header.type === Command.read || header.type === Command.write ? header.length : 0;
}
