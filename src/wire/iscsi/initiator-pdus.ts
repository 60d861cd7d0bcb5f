/**
 * What an initiator sends: the header of each PDU as a typed value (RFC 7143, section 11).
 *
 * Always holds: a decoded PDU refers to no memory of the network. A target's opcode, or one that is nobody's,
 * throws PROTOCOL_ERROR; whoever would rather answer it asks `isInitiatorOpcode` first.
 */
import { RopewalkError } from "../../base/errors.ts";
import { InitiatorOpcode } from "./constants.ts";
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

/** In every header that an initiator sends. */
const envelope = {
  /** To be taken at once, without a number of its own (4.2.2.1). */
  immediate: flag(0, 0x40),
  additionalHeaderBytes,
  dataBytes: dataSegmentBytes,
  initiatorTaskTag: number32(16),
};
/** In every request that has a place in the order of commands. */
const numbered = { ...envelope, commandNumber: number32(24), expectedStatusNumber: number32(28) };
const unit = { lunHigh: number32(8), lunLow: number32(12) };

/** 11.3 */
export const scsiCommandPdu = new PduLayout(InitiatorOpcode.scsiCommand, {
  ...numbered,
  ...unit,
  final: flag(1, 0x80),
  read: flag(1, 0x40),
  write: flag(1, 0x20),
  attribute: bits(1, { mask: 0x07, shift: 0 }),
  expectedBytes: number32(20),
  cdb: octets(32, 16),
});

/** 11.5 */
export const taskManagementRequestPdu = new PduLayout(InitiatorOpcode.taskManagementRequest, {
  ...numbered,
  ...unit,
  function: bits(1, { mask: 0x7f, shift: 0 }),
  referencedTaskTag: number32(20),
  referencedCommandNumber: number32(32),
  expectedDataNumber: number32(36),
});

/** 11.7 */
export const dataOutPdu = new PduLayout(InitiatorOpcode.dataOut, {
  ...envelope,
  ...unit,
  final: flag(1, 0x80),
  targetTransferTag: number32(20),
  expectedStatusNumber: number32(28),
  dataNumber: number32(36),
  bufferOffset: number32(40),
});

/** 11.10 */
export const textRequestPdu = new PduLayout(InitiatorOpcode.textRequest, {
  ...numbered,
  ...unit,
  final: flag(1, 0x80),
  continues: flag(1, 0x40),
  targetTransferTag: number32(20),
});

/** 11.12 */
export const loginRequestPdu = new PduLayout(InitiatorOpcode.loginRequest, {
  ...numbered,
  transit: flag(1, 0x80),
  continues: flag(1, 0x40),
  currentStage: bits(1, { mask: 0x0c, shift: 2 }),
  nextStage: bits(1, { mask: 0x03, shift: 0 }),
  versionMax: number8(2),
  versionMin: number8(3),
  isid: octets(8, 6),
  sessionHandle: number16(14),
  connectionId: number16(20),
});

/** 11.14 */
export const logoutRequestPdu = new PduLayout(InitiatorOpcode.logoutRequest, {
  ...numbered,
  reason: bits(1, { mask: 0x7f, shift: 0 }),
  connectionId: number16(20),
});

/** 11.16 */
export const snackRequestPdu = new PduLayout(InitiatorOpcode.snackRequest, {
  ...envelope,
  ...unit,
  type: bits(1, { mask: 0x0f, shift: 0 }),
  targetTransferTag: number32(20),
  expectedStatusNumber: number32(28),
  firstNumber: number32(40),
  runLength: number32(44),
});

/** 11.18 */
export const nopOutPdu = new PduLayout(InitiatorOpcode.nopOut, {
  ...numbered,
  ...unit,
  targetTransferTag: number32(20),
});

export type ScsiCommandPdu = PduOf<typeof scsiCommandPdu>;
export type TaskManagementRequestPdu = PduOf<typeof taskManagementRequestPdu>;
export type DataOutPdu = PduOf<typeof dataOutPdu>;
export type TextRequestPdu = PduOf<typeof textRequestPdu>;
export type LoginRequestPdu = PduOf<typeof loginRequestPdu>;
export type LogoutRequestPdu = PduOf<typeof logoutRequestPdu>;
export type SnackRequestPdu = PduOf<typeof snackRequestPdu>;
export type NopOutPdu = PduOf<typeof nopOutPdu>;

export type InitiatorPdu =
  | ScsiCommandPdu
  | TaskManagementRequestPdu
  | DataOutPdu
  | TextRequestPdu
  | LoginRequestPdu
  | LogoutRequestPdu
  | SnackRequestPdu
  | NopOutPdu;

/** The opcode of the header at `position`, whoever's it is. */
export function opcodeAt(view: DataView, position: number): number {
  return view.getUint8(position) & 0x3f;
}

const OPCODES: ReadonlySet<number> = new Set(Object.values(InitiatorOpcode));

export function isInitiatorOpcode(opcode: number): boolean {
  return OPCODES.has(opcode);
}

/** Decodes the header at `position`, where all its 48 bytes are. Throws PROTOCOL_ERROR. */
export function decodeInitiatorPdu(view: DataView, position: number): InitiatorPdu {
  const opcode = opcodeAt(view, position);
  switch (opcode) {
    case InitiatorOpcode.scsiCommand:
      return scsiCommandPdu.decode(view, position);
    case InitiatorOpcode.dataOut:
      return dataOutPdu.decode(view, position);
    case InitiatorOpcode.nopOut:
      return nopOutPdu.decode(view, position);
    case InitiatorOpcode.taskManagementRequest:
      return taskManagementRequestPdu.decode(view, position);
    case InitiatorOpcode.textRequest:
      return textRequestPdu.decode(view, position);
    case InitiatorOpcode.loginRequest:
      return loginRequestPdu.decode(view, position);
    case InitiatorOpcode.logoutRequest:
      return logoutRequestPdu.decode(view, position);
    case InitiatorOpcode.snackRequest:
      return snackRequestPdu.decode(view, position);
    default:
      throw new RopewalkError("PROTOCOL_ERROR", `0x${opcode.toString(16)} is no opcode of an initiator`);
  }
}
