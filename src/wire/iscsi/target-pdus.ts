/**
 * What a target sends: the header of each PDU as a typed value (RFC 7143, section 11).
 *
 * Always holds: a decoded PDU refers to no memory of the network. An initiator's opcode, or one that is nobody's,
 * throws PROTOCOL_ERROR.
 */
import { RopewalkError } from "../../base/errors.ts";
import { TargetOpcode } from "./constants.ts";
import { opcodeAt } from "./initiator-pdus.ts";
import {
  additionalHeaderBytes,
  bits,
  dataSegmentBytes,
  flag,
  number8,
  number16,
  number32,
  octets,
  PduLayout,
  type PduOf,
} from "./pdu-layout.ts";

/** In every header that a target sends. */
const envelope = {
  additionalHeaderBytes,
  dataBytes: dataSegmentBytes,
  initiatorTaskTag: number32(16),
  statusNumber: number32(24),
  expectedCommandNumber: number32(28),
  commandNumberMax: number32(32),
};
const unit = { lunHigh: number32(8), lunLow: number32(12) };
/** F, which means nothing here but must be set. */
const final = flag(1, 0x80);

/** 11.4 */
export const scsiResponsePdu = new PduLayout(TargetOpcode.scsiResponse, {
  ...envelope,
  final,
  readOverflow: flag(1, 0x10),
  readUnderflow: flag(1, 0x08),
  overflow: flag(1, 0x04),
  underflow: flag(1, 0x02),
  response: number8(2),
  status: number8(3),
  snackTag: number32(20),
  expectedDataNumber: number32(36),
  readResidualBytes: number32(40),
  residualBytes: number32(44),
});

/** 11.6 */
export const taskManagementResponsePdu = new PduLayout(TargetOpcode.taskManagementResponse, {
  ...envelope,
  final,
  response: number8(2),
});

/** 11.7 */
export const dataInPdu = new PduLayout(TargetOpcode.dataIn, {
  ...envelope,
  ...unit,
  final,
  acknowledge: flag(1, 0x40),
  overflow: flag(1, 0x04),
  underflow: flag(1, 0x02),
  hasStatus: flag(1, 0x01),
  status: number8(3),
  targetTransferTag: number32(20),
  dataNumber: number32(36),
  bufferOffset: number32(40),
  residualBytes: number32(44),
});

/** 11.8 */
export const readyToTransferPdu = new PduLayout(TargetOpcode.readyToTransfer, {
  ...envelope,
  ...unit,
  final,
  targetTransferTag: number32(20),
  readyNumber: number32(36),
  bufferOffset: number32(40),
  desiredBytes: number32(44),
});

/** 11.9 */
export const asyncMessagePdu = new PduLayout(TargetOpcode.asyncMessage, {
  ...envelope,
  ...unit,
  final,
  event: number8(36),
  vendorCode: number8(37),
  parameter1: number16(38),
  parameter2: number16(40),
  parameter3: number16(42),
});

/** 11.11 */
export const textResponsePdu = new PduLayout(TargetOpcode.textResponse, {
  ...envelope,
  ...unit,
  final,
  continues: flag(1, 0x40),
  targetTransferTag: number32(20),
});

/** 11.13 */
export const loginResponsePdu = new PduLayout(TargetOpcode.loginResponse, {
  ...envelope,
  transit: flag(1, 0x80),
  continues: flag(1, 0x40),
  currentStage: bits(1, { mask: 0x0c, shift: 2 }),
  nextStage: bits(1, { mask: 0x03, shift: 0 }),
  versionMax: number8(2),
  versionActive: number8(3),
  isid: octets(8, 6),
  sessionHandle: number16(14),
  /** Class and detail. */
  status: number16(36),
});

/** 11.15 */
export const logoutResponsePdu = new PduLayout(TargetOpcode.logoutResponse, {
  ...envelope,
  final,
  response: number8(2),
  timeToWaitSeconds: number16(40),
  timeToRetainSeconds: number16(42),
});

/** 11.17; the data segment is the header that was rejected. */
export const rejectPdu = new PduLayout(TargetOpcode.reject, {
  ...envelope,
  final,
  reason: number8(2),
  dataNumber: number32(36),
});

/** 11.19 */
export const nopInPdu = new PduLayout(TargetOpcode.nopIn, {
  ...envelope,
  ...unit,
  final,
  targetTransferTag: number32(20),
});

export type TargetPdu =
  | PduOf<typeof scsiResponsePdu>
  | PduOf<typeof taskManagementResponsePdu>
  | PduOf<typeof dataInPdu>
  | PduOf<typeof readyToTransferPdu>
  | PduOf<typeof asyncMessagePdu>
  | PduOf<typeof textResponsePdu>
  | PduOf<typeof loginResponsePdu>
  | PduOf<typeof logoutResponsePdu>
  | PduOf<typeof rejectPdu>
  | PduOf<typeof nopInPdu>;

/** Decodes the header at `position`, where all its 48 bytes are. Throws PROTOCOL_ERROR. */
export function decodeTargetPdu(view: DataView, position: number): TargetPdu {
  const opcode = opcodeAt(view, position);
  switch (opcode) {
    case TargetOpcode.scsiResponse:
      return scsiResponsePdu.decode(view, position);
    case TargetOpcode.taskManagementResponse:
      return taskManagementResponsePdu.decode(view, position);
    case TargetOpcode.dataIn:
      return dataInPdu.decode(view, position);
    case TargetOpcode.readyToTransfer:
      return readyToTransferPdu.decode(view, position);
    case TargetOpcode.asyncMessage:
      return asyncMessagePdu.decode(view, position);
    case TargetOpcode.textResponse:
      return textResponsePdu.decode(view, position);
    case TargetOpcode.loginResponse:
      return loginResponsePdu.decode(view, position);
    case TargetOpcode.logoutResponse:
      return logoutResponsePdu.decode(view, position);
    case TargetOpcode.reject:
      return rejectPdu.decode(view, position);
    case TargetOpcode.nopIn:
      return nopInPdu.decode(view, position);
    default:
      throw new RopewalkError("PROTOCOL_ERROR", `0x${opcode.toString(16)} is no opcode of a target`);
  }
}
