/**
 * PERSISTENT RESERVE IN and OUT (SPC-4, 6.15 and 6.16) as bytes: keys, reservation, full status, parameter lists.
 *
 * Always holds: keys are 64 bits, kept as bigint; a parsed parameter list is complete, else it is a check condition.
 */

import { uint16, uint32 } from "./block-cdb.ts";
import { invalidParameter, parameterListLength } from "./check-condition.ts";
import { ReserveOut } from "./operation.ts";

/** SPC-4, table of persistent reservation types. */
export const ReservationType = {
  writeExclusive: 1,
  exclusiveAccess: 3,
  writeExclusiveRegistrants: 5,
  exclusiveAccessRegistrants: 6,
  writeExclusiveAll: 7,
  exclusiveAccessAll: 8,
} as const;

export function isReservationType(type: number): boolean {
  return type === 1 || type === 3 || (type >= 5 && type <= 8);
}

/** READ KEYS. */
export function keysData(generation: number, keys: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(8 + 8 * keys.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, generation);
  view.setUint32(4, 8 * keys.length);
  keys.forEach((key, index) => {
    view.setBigUint64(8 + 8 * index, key);
  });
  return bytes;
}

/** READ RESERVATION; undefined: there is none. */
export function reservationData(
  generation: number,
  reservation: { readonly key: bigint; readonly type: number } | undefined,
): Uint8Array {
  const bytes = new Uint8Array(reservation === undefined ? 8 : 24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, generation);
  if (reservation !== undefined) {
    view.setUint32(4, 16);
    view.setBigUint64(8, reservation.key);
    bytes[21] = reservation.type;
  }
  return bytes;
}

/** REPORT CAPABILITIES: CRH, ATP_C, PTPL_C; whether power loss is survived now; all types. */
export function reserveCapabilities(state: { readonly isPersistent: boolean }): Uint8Array {
  return Uint8Array.of(0, 8, 0x15, 0x80 | (state.isPersistent ? 0x01 : 0), 0xea, 0x01, 0, 0);
}

export interface FullStatus {
  readonly key: bigint;
  readonly relativePort: number;
  readonly initiatorPort: string;
  /** The type of the reservation that it holds. */
  readonly holds: number | undefined;
}

/** READ FULL STATUS. */
export function fullStatusData(generation: number, registrants: readonly FullStatus[]): Uint8Array {
  const descriptors = registrants.map(encodeFullStatus);
  const lengthBytes = descriptors.reduce((sum, descriptor) => sum + descriptor.length, 0);
  const bytes = new Uint8Array(8 + lengthBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, generation);
  view.setUint32(4, lengthBytes);
  let at = 8;
  for (const descriptor of descriptors) {
    bytes.set(descriptor, at);
    at += descriptor.length;
  }
  return bytes;
}

function encodeFullStatus({ key, relativePort, initiatorPort, holds }: FullStatus): Uint8Array {
  const transportId = encodeTransportId(initiatorPort);
  const bytes = new Uint8Array(24 + transportId.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, key);
  bytes[12] = holds === undefined ? 0 : 0x01;
  bytes[13] = holds ?? 0;
  view.setUint16(18, relativePort);
  view.setUint32(20, transportId.length);
  bytes.set(transportId, 24);
  return bytes;
}

const TRANSPORT_ID_BYTES_MIN = 24;
const TRANSPORT_ID_BYTES_MAX = 512;

/** The iSCSI transport id of an initiator port, `NAME,i,0xISID` (SPC-4, 7.6.4.6; format 01b). */
export function encodeTransportId(initiatorPort: string): Uint8Array {
  const text = new TextEncoder().encode(initiatorPort).subarray(0, TRANSPORT_ID_BYTES_MAX - 5);
  const bytes = new Uint8Array(Math.max(TRANSPORT_ID_BYTES_MIN, 4 + ((text.length + 4) & ~3)));
  bytes[0] = 0x45;
  new DataView(bytes.buffer).setUint16(2, bytes.length - 4);
  bytes.set(text, 4);
  return bytes;
}

/** The initiator port of a transport id of iSCSI's format 01b. */
function parseTransportId(bytes: Uint8Array, at: number): string {
  if (bytes.length < TRANSPORT_ID_BYTES_MIN || bytes.length > TRANSPORT_ID_BYTES_MAX)
    throw parameterListLength();
  if (bytes[0] !== 0x45) throw invalidParameter(at);
  const lengthBytes = uint16(bytes, 2);
  if (4 + lengthBytes > bytes.length) throw invalidParameter(at + 2);
  const name = bytes.subarray(4, 4 + lengthBytes);
  const end = name.indexOf(0);
  if (end <= 0 || name.subarray(0, end).some((byte) => byte < 0x21 || byte > 0x7e))
    throw invalidParameter(at + 4);
  return Buffer.from(name.subarray(0, end)).toString("latin1");
}

export interface ReserveOutList {
  readonly key: bigint;
  readonly serviceActionKey: bigint;
  /** APTPL. */
  readonly isPersistent: boolean;
  /** For all target ports (ALL_TG_PT). */
  readonly isForAllPorts: boolean;
  /** REGISTER AND MOVE: where to, and whether the mover's registration ends. */
  readonly move:
    | { readonly initiatorPort: string; readonly relativePort: number; readonly unregisters: boolean }
    | undefined;
}

const BASIC_BYTES = 24;
export const RESERVE_OUT_BYTES_MAX = BASIC_BYTES + TRANSPORT_ID_BYTES_MAX;

/** SPEC_I_PT is refused, as the capabilities say (SIP_C is 0). */
export function parseReserveOut(serviceAction: number, list: Uint8Array): ReserveOutList {
  if (list.length < BASIC_BYTES) throw parameterListLength();
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  const key = view.getBigUint64(0);
  const serviceActionKey = view.getBigUint64(8);
  if (serviceAction === ReserveOut.registerAndMove) {
    const idBytes = uint32(list, 20);
    if (BASIC_BYTES + idBytes !== list.length) throw parameterListLength();
    return {
      key,
      serviceActionKey,
      isPersistent: (list[17]! & 0x01) !== 0,
      isForAllPorts: false,
      move: {
        initiatorPort: parseTransportId(list.subarray(BASIC_BYTES), BASIC_BYTES),
        relativePort: uint16(list, 18),
        unregisters: (list[17]! & 0x02) !== 0,
      },
    };
  }
  if (list.length !== BASIC_BYTES) throw parameterListLength();
  if ((list[20]! & 0x08) !== 0) throw invalidParameter(20, 3);
  return {
    key,
    serviceActionKey,
    isPersistent: (list[20]! & 0x01) !== 0,
    isForAllPorts: (list[20]! & 0x04) !== 0,
    move: undefined,
  };
}
