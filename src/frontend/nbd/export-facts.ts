/**
 * A device as NBD describes it: size, transmission flags, block sizes, errors.
 * Always holds: what is not advertised here is refused in the transmission phase.
 */
import { AssertionFailed } from "../../base/assert.ts";
import { asRopewalkError, Errno, type RopewalkError } from "../../base/errors.ts";
import type { BlockDevice } from "../../device/mod.ts";
import {
  type BlockSizes,
  Command,
  CommandFlag,
  type ExportFacts,
  PAYLOAD_BYTES_MAX,
  TransmissionFlag,
} from "../../wire/nbd/mod.ts";

/** How replies look, as negotiated. */
export type ReplyFormat = "simple" | "structured" | "extended";

export function exportFacts(device: BlockDevice, format: ReplyFormat): ExportFacts {
  const minimumBytes = device.geometry.minimumBlockBytes;
  return {
    sizeBytes: device.sizeBytes - (device.sizeBytes % minimumBytes),
    transmissionFlags: transmissionFlags(device, format),
  };
}

export function blockSizes(device: BlockDevice): BlockSizes {
  const { minimumBlockBytes, preferredBlockBytes } = device.geometry;
  return {
    minimumBytes: minimumBlockBytes,
    preferredBytes: Math.max(minimumBlockBytes, Math.min(preferredBlockBytes, PAYLOAD_BYTES_MAX)),
    maximumPayloadBytes: payloadBytesMax(device),
  };
}

export function payloadBytesMax(device: BlockDevice): number {
  return Math.min(PAYLOAD_BYTES_MAX, device.geometry.maximumRequestBytes);
}

function transmissionFlags(device: BlockDevice, format: ReplyFormat): number {
  const { writable, flush, fua, trim, zero, fastZero, sharedFlush, rotational } = device.capabilities;
  let flags = TransmissionFlag.hasFlags | TransmissionFlag.cache;
  if (flush !== "absent") flags |= TransmissionFlag.flush;
  if (rotational) flags |= TransmissionFlag.rotational;
  if (format !== "simple") flags |= TransmissionFlag.dontFragment;
  if (format === "extended") flags |= TransmissionFlag.blockStatusPayload;
  if (sharedFlush || !writable) flags |= TransmissionFlag.multipleConnections;
  if (!writable) return flags | TransmissionFlag.readOnly;
  if (fua !== "absent") flags |= TransmissionFlag.fua;
  if (trim !== "absent") flags |= TransmissionFlag.trim;
  if (zero !== "absent") flags |= TransmissionFlag.writeZeroes;
  if (zero !== "absent" && fastZero === "native") flags |= TransmissionFlag.fastZero;
  return flags;
}

/** For each command number the flags that a request may carry; -1: the command is not offered. */
export function allowedFlags(facts: ExportFacts, format: ReplyFormat): Int32Array {
  const offered = (flag: number) => (facts.transmissionFlags & flag) !== 0;
  const fua = offered(TransmissionFlag.fua) ? CommandFlag.fua : 0;
  const allowed = new Int32Array(8).fill(-1);
  allowed[Command.read] = fua | (offered(TransmissionFlag.dontFragment) ? CommandFlag.dontFragment : 0);
  allowed[Command.write] = fua | (format === "extended" ? CommandFlag.payloadLength : 0);
  allowed[Command.disconnect] = fua;
  if (offered(TransmissionFlag.flush)) allowed[Command.flush] = fua;
  // Commands that change a read-only export are known, but refused later and with another error.
  const readOnly = offered(TransmissionFlag.readOnly);
  if (readOnly || offered(TransmissionFlag.trim)) allowed[Command.trim] = fua;
  if (offered(TransmissionFlag.cache)) allowed[Command.cache] = fua;
  if (readOnly || offered(TransmissionFlag.writeZeroes)) {
    const fast = offered(TransmissionFlag.fastZero) ? CommandFlag.fastZero : 0;
    allowed[Command.writeZeroes] = fua | CommandFlag.noHole | fast;
  }
  if (format !== "simple") {
    const payload = format === "extended" ? CommandFlag.payloadLength : 0;
    allowed[Command.blockStatus] = fua | CommandFlag.requestOne | payload;
  }
  return allowed;
}

/** The catalogued error behind a device's failure. An assertion is no operational error and goes on its way. */
export function deviceError(error: unknown): RopewalkError {
  if (error instanceof AssertionFailed) throw error;
  return asRopewalkError(error);
}

/** The errno for the wire: ENOTSUP is kept for fast zeroing and EOVERFLOW for unfragmented reads alone. */
export function wireErrno(error: RopewalkError, request: { type: number; flags: number }): number {
  const errno = error.entry.errno;
  if (errno === Errno.ENOTSUP) {
    const fast = request.type === Command.writeZeroes && (request.flags & CommandFlag.fastZero) !== 0;
    return fast ? errno : Errno.EINVAL;
  }
  if (errno === Errno.EOVERFLOW) {
    const whole = request.type === Command.read && (request.flags & CommandFlag.dontFragment) !== 0;
    return whole ? errno : Errno.EINVAL;
  }
  return errno;
}
