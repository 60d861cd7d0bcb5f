/**
 * Errors of the catalogue as sense data of third-party copy (SPC-4, table 43 and 5.17.6).
 *
 * Always holds: a token that does not verify is always 23h/04h; what can be had by copying plainly is never reported
 * as an error of the medium, so that initiators fall back.
 */
import { asRopewalkError, type ErrorCode } from "../../../base/errors.ts";
import { CheckCondition, type SenseData, SenseKey } from "../../../wire/iscsi/scsi/mod.ts";

/** What was going on: the same error means different things to who makes a token and to who uses one. */
export type CopyStep = "populate" | "write";

const illegal = (asc: number, ascq: number): SenseData => ({ key: SenseKey.illegalRequest, asc, ascq });
const protect = (ascq: number): SenseData => ({ key: SenseKey.dataProtect, asc: 0x27, ascq });

const SHARED: Partial<Record<ErrorCode, SenseData>> = {
  TOKEN_UNKNOWN: illegal(0x23, 0x04),
  TOKEN_REVOKED: illegal(0x23, 0x06),
  TOKEN_EXPIRED: illegal(0x23, 0x07),
  TOKEN_CANCELLED: illegal(0x23, 0x08),
  TOKEN_DELETED: illegal(0x23, 0x09),
  TOKEN_CUT: illegal(0x23, 0x0a),
  TOKEN_CHANNEL: illegal(0x23, 0x02),
  UNREACHABLE: { key: SenseKey.copyAborted, asc: 0x0d, ascq: 0x02 },
  INVALID_RANGE: illegal(0x21, 0x00),
  READ_ONLY: protect(0x00),
  POOL_READ_ONLY: protect(0x00),
  CHECKSUM_MISMATCH: { key: SenseKey.mediumError, asc: 0x11, ascq: 0x00 },
  SHUTTING_DOWN: { key: SenseKey.notReady, asc: 0x04, ascq: 0x00 },
  CANCELLED: { key: SenseKey.copyAborted, asc: 0x00, ascq: 0x06 },
  TIMEOUT: { key: SenseKey.copyAborted, asc: 0x0d, ascq: 0x04 },
};

const BY_STEP: Record<CopyStep, Partial<Record<ErrorCode, SenseData>>> = {
  populate: {
    TOKEN_UNSUPPORTED: illegal(0x26, 0x00),
    UNSUPPORTED: illegal(0x20, 0x00),
    TOO_MANY: illegal(0x55, 0x0d),
    NO_SPACE: illegal(0x55, 0x0c),
  },
  write: {
    TOKEN_UNSUPPORTED: illegal(0x23, 0x01),
    UNSUPPORTED: illegal(0x23, 0x01),
    TOO_MANY: { key: SenseKey.illegalRequest, asc: 0x55, ascq: 0x03 },
    NO_SPACE: protect(0x07),
  },
};

/** INTERNAL TARGET FAILURE: what is left is a fault of the daemon or the disk. */
const FAILURE: SenseData = { key: SenseKey.hardwareError, asc: 0x44, ascq: 0x00 };

export function copySense(error: unknown, step: CopyStep): SenseData {
  if (error instanceof CheckCondition) return error.sense;
  const { code } = asRopewalkError(error);
  return BY_STEP[step][code] ?? SHARED[code] ?? FAILURE;
}

/** COPY ABORTED: blocks were moved, or the fault is in what the copy found. */
export function copyAborted(asc: number, ascq: number): CheckCondition {
  return new CheckCondition(SenseKey.copyAborted, asc, ascq);
}

/** COPY TARGET DEVICE DATA UNDERRUN: fewer blocks than asked. */
export function dataUnderrun(): CheckCondition {
  return copyAborted(0x0d, 0x04);
}

/** I/O PROCESS TERMINATED: an abort ended the copy. */
export function copyTerminated(): CheckCondition {
  return copyAborted(0x00, 0x06);
}

/** INVALID TOKEN OPERATION, INVALID TOKEN LENGTH: the token has nothing at the offset. */
export function tokenLength(): CheckCondition {
  return new CheckCondition(SenseKey.illegalRequest, 0x23, 0x0a);
}
