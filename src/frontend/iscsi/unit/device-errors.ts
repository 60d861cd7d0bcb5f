/**
 * The one table from errors of a device to sense data.
 *
 * Always holds: every code of the catalogue has an answer; what the device does not foresee is an aborted command,
 * which initiators try again.
 */

import { asRopewalkError, type ErrorCode } from "../../../base/errors.ts";
import { CheckCondition, type SenseData, SenseKey } from "../../../wire/iscsi/scsi/mod.ts";

const { notReady, mediumError, hardwareError, illegalRequest, dataProtect, abortedCommand } = SenseKey;

const SENSE_OF_ERRORS: Partial<Record<ErrorCode, readonly [key: number, asc: number, ascq: number]>> = {
  // SPACE ALLOCATION FAILED WRITE PROTECT: what a thin unit says when its pool is full (SBC-3, 4.7.3.6).
  NO_SPACE: [dataProtect, 0x27, 0x07],
  // WRITE PROTECTED.
  READ_ONLY: [dataProtect, 0x27, 0x00],
  POOL_READ_ONLY: [dataProtect, 0x27, 0x00],
  // UNRECOVERED READ ERROR.
  CHECKSUM_MISMATCH: [mediumError, 0x11, 0x00],
  POOL_DAMAGED: [mediumError, 0x11, 0x00],
  // INTERNAL TARGET FAILURE.
  IO_ERROR: [hardwareError, 0x44, 0x00],
  INTERNAL: [hardwareError, 0x44, 0x00],
  // LOGICAL BLOCK ADDRESS OUT OF RANGE.
  INVALID_RANGE: [illegalRequest, 0x21, 0x00],
  // INVALID FIELD IN CDB.
  INVALID_ARGUMENT: [illegalRequest, 0x24, 0x00],
  TOO_LARGE: [illegalRequest, 0x24, 0x00],
  // INVALID COMMAND OPERATION CODE: plain copying, or another command, is the way.
  UNSUPPORTED: [illegalRequest, 0x20, 0x00],
  // LOGICAL UNIT NOT READY, CAUSE NOT REPORTABLE.
  SHUTTING_DOWN: [notReady, 0x04, 0x00],
  UNREACHABLE: [notReady, 0x04, 0x00],
  // INSUFFICIENT RESOURCES.
  TOO_MANY: [illegalRequest, 0x55, 0x03],
  // INVALID TOKEN OPERATION, with its cause (SPC-4, 5.17.6).
  TOKEN_UNKNOWN: [illegalRequest, 0x23, 0x04],
  TOKEN_REVOKED: [illegalRequest, 0x23, 0x06],
  TOKEN_EXPIRED: [illegalRequest, 0x23, 0x07],
  TOKEN_CANCELLED: [illegalRequest, 0x23, 0x08],
  TOKEN_DELETED: [illegalRequest, 0x23, 0x09],
  TOKEN_CUT: [illegalRequest, 0x23, 0x0a],
  TOKEN_CHANNEL: [illegalRequest, 0x23, 0x02],
  TOKEN_UNSUPPORTED: [illegalRequest, 0x23, 0x01],
};

/** NO ADDITIONAL SENSE INFORMATION. */
const OTHERWISE = [abortedCommand, 0x00, 0x00] as const;

/** The sense data of whatever a command threw. */
export function senseOf(error: unknown): SenseData {
  if (error instanceof CheckCondition) return error.sense;
  const [key, asc, ascq] = SENSE_OF_ERRORS[asRopewalkError(error).code] ?? OTHERWISE;
  return { key, asc, ascq };
}
