/**
 * Persistent reservations in the record that outlives the daemon (APTPL; see unit-record.ts).
 *
 * Always holds: what is written is read back; a state without APTPL is written as an empty one, since power loss
 * ends it. The generation begins anew (SPC-4, 5.12.6).
 */

import { isReservationType } from "../../../wire/iscsi/scsi/mod.ts";
import {
  type NexusPorts,
  NO_RESERVATIONS,
  REGISTRANTS_MAX,
  type Registrant,
  type ReservationState,
  registrantOf,
} from "./reservation-state.ts";

/** As the fields of a record. */
export function reservationFields(state: ReservationState): object {
  const { registrants, reservation } = state.isPersistent ? state : NO_RESERVATIONS;
  return {
    registrants: registrants.map((each) => ({ ...portsOf(each), key: each.key.toString(16) })),
    reservation:
      reservation === undefined
        ? null
        : {
            type: reservation.type,
            holder: reservation.holder === "all" ? "all" : portsOf(reservation.holder),
          },
  };
}

/** Throws an Error that says what is wrong. */
export function parseReservations(record: unknown): ReservationState {
  const registrants = list(field(record, "registrants")).map(registrant);
  const state = { ...NO_RESERVATIONS, registrants, isPersistent: registrants.length > 0 };
  const reservation = field(record, "reservation");
  if (reservation === null) return state;
  const type = field(reservation, "type");
  if (typeof type !== "number" || !isReservationType(type)) throw new Error("no type of reservation");
  const holderField = field(reservation, "holder");
  const holder = holderField === "all" ? "all" : ports(holderField);
  if ((holder === "all") !== (type === 7 || type === 8))
    throw new Error("a holder that its type does not have");
  if (holder === "all" ? registrants.length === 0 : registrantOf(state, holder) === undefined)
    throw new Error("a holder that is not registered");
  return { ...state, reservation: { type, holder } };
}

function portsOf({ initiatorPort, relativePort }: NexusPorts): NexusPorts {
  return { initiatorPort, relativePort };
}

export function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !(name in value)) throw new Error(`no ${name}`);
  return (value as Record<string, unknown>)[name];
}

function list(value: unknown): unknown[] {
  if (!Array.isArray(value) || value.length > REGISTRANTS_MAX) throw new Error("no list, or too long a one");
  return value;
}

function ports(value: unknown): NexusPorts {
  const initiatorPort = field(value, "initiatorPort");
  const relativePort = field(value, "relativePort");
  if (typeof initiatorPort !== "string" || typeof relativePort !== "number") throw new Error("no ports");
  return { initiatorPort, relativePort };
}

function registrant(value: unknown): Registrant {
  const key = field(value, "key");
  if (typeof key !== "string" || !/^[0-9a-f]{1,16}$/.test(key)) throw new Error("no key");
  return { ...ports(value), key: BigInt(`0x${key}`) };
}
