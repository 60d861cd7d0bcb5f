/**
 * Persistent reservations (SPC-4, 5.12) as a state and what a service action makes of it.
 *
 * Always holds: a state is never changed, a new one is made; a reservation's holder is registered; with a type of
 * all registrants there is a reservation only while somebody is registered. Registrants are known by their ports,
 * so they outlive sessions. Errors: check conditions; `conflict` is a status, no error.
 */

import { assert } from "../../../base/assert.ts";
import {
  illegal,
  invalidCdbField,
  invalidParameter,
  isReservationType,
  ReservationType,
  ReserveOut,
  type ReserveOutList,
  type SenseData,
} from "../../../wire/iscsi/scsi/mod.ts";
import { Attention } from "./attentions.ts";

/** An I_T nexus beyond its session. */
export interface NexusPorts {
  readonly initiatorPort: string;
  readonly relativePort: number;
}

export interface Registrant extends NexusPorts {
  readonly key: bigint;
}

export interface ReservationState {
  readonly generation: number;
  readonly registrants: readonly Registrant[];
  readonly reservation: { readonly type: number; readonly holder: NexusPorts | "all" } | undefined;
  /** APTPL: it outlives the daemon. */
  readonly isPersistent: boolean;
}

export const REGISTRANTS_MAX = 1024;

export const NO_RESERVATIONS: ReservationState = {
  generation: 0,
  registrants: [],
  reservation: undefined,
  isPersistent: false,
};

export interface ReserveOutRequest {
  readonly serviceAction: number;
  readonly scope: number;
  readonly type: number;
  readonly list: ReserveOutList;
  readonly from: NexusPorts;
  /** Relative identifiers of all target ports. */
  readonly targetPorts: readonly number[];
}

export interface ReserveOutcome {
  readonly state: ReservationState;
  readonly attentions: readonly { readonly to: NexusPorts; readonly condition: SenseData }[];
  /** PREEMPT AND ABORT: whose tasks end. */
  readonly aborted: readonly NexusPorts[];
}

export function isSameNexus(a: NexusPorts, b: NexusPorts): boolean {
  return a.initiatorPort === b.initiatorPort && a.relativePort === b.relativePort;
}

export function registrantOf(state: ReservationState, nexus: NexusPorts): Registrant | undefined {
  return state.registrants.find((registrant) => isSameNexus(registrant, nexus));
}

export function holdsReservation(state: ReservationState, nexus: NexusPorts): boolean {
  const holder = state.reservation?.holder;
  if (holder === undefined) return false;
  return holder === "all" ? registrantOf(state, nexus) !== undefined : isSameNexus(holder, nexus);
}

/** Types 5 to 8 let all who are registered in. */
export function isForRegistrants(type: number): boolean {
  return type >= ReservationType.writeExclusiveRegistrants;
}

export function isWriteExclusive(type: number): boolean {
  return type === 1 || type === 5 || type === 7;
}

/** What PERSISTENT RESERVE OUT does. */
export function reserveOut(state: ReservationState, request: ReserveOutRequest): ReserveOutcome | "conflict" {
  const { serviceAction, list, from } = request;
  const registrant = registrantOf(state, from);
  if (serviceAction === ReserveOut.register) {
    return list.key === (registrant?.key ?? 0n) ? register(state, request) : "conflict";
  }
  if (serviceAction === ReserveOut.registerAndIgnore) return register(state, request);
  if (registrant === undefined || registrant.key !== list.key) return "conflict";
  switch (serviceAction) {
    case ReserveOut.reserve:
      return reserve(state, request);
    case ReserveOut.release:
      return release(state, request);
    case ReserveOut.clear:
      return clear(state, from);
    case ReserveOut.preempt:
    case ReserveOut.preemptAndAbort:
      return preempt(state, request);
    case ReserveOut.registerAndMove:
      return registerAndMove(state, request);
    default:
      throw invalidCdbField(1, 4);
  }
}

function register(state: ReservationState, { list, from, targetPorts }: ReserveOutRequest): ReserveOutcome {
  const ports = list.isForAllPorts ? targetPorts : [from.relativePort];
  const nexuses = ports.map((relativePort) => ({ initiatorPort: from.initiatorPort, relativePort }));
  let outcome = unchanged({ ...state, generation: next(state.generation) });
  if (list.serviceActionKey === 0n) {
    for (const nexus of nexuses) outcome = also(outcome, unregister(outcome.state, nexus));
    return outcome;
  }
  const others = state.registrants.filter((each) => !nexuses.some((nexus) => isSameNexus(each, nexus)));
  const added = nexuses.map((nexus) => ({ ...nexus, key: list.serviceActionKey }));
  const registrants = [...others, ...added];
  // INSUFFICIENT REGISTRATION RESOURCES.
  if (registrants.length > REGISTRANTS_MAX) throw illegal(0x55, 0x04);
  return unchanged({ ...outcome.state, registrants, isPersistent: list.isPersistent });
}

/** Takes one registration away, and the reservation if nobody holds it any more. */
function unregister(state: ReservationState, nexus: NexusPorts): ReserveOutcome {
  if (registrantOf(state, nexus) === undefined) return unchanged(state);
  const registrants = state.registrants.filter((each) => !isSameNexus(each, nexus));
  const { reservation } = state;
  const ends =
    reservation !== undefined &&
    (reservation.holder === "all" ? registrants.length === 0 : isSameNexus(reservation.holder, nexus));
  const after = { ...state, registrants, reservation: ends ? undefined : reservation };
  if (!ends || !isForRegistrants(reservation.type)) return unchanged(after);
  return { ...unchanged(after), attentions: tell(registrants, Attention.reservationsReleased) };
}

function checkScopeAndType({ scope, type }: ReserveOutRequest): void {
  if (scope !== 0) throw invalidCdbField(2, 7);
  if (!isReservationType(type)) throw invalidCdbField(2, 3);
}

function reserve(state: ReservationState, request: ReserveOutRequest): ReserveOutcome | "conflict" {
  checkScopeAndType(request);
  if (state.reservation !== undefined) {
    const isSame = holdsReservation(state, request.from) && state.reservation.type === request.type;
    return isSame ? unchanged(state) : "conflict";
  }
  return unchanged({ ...state, reservation: reservationOf(request) });
}

function release(state: ReservationState, { scope, type, from }: ReserveOutRequest): ReserveOutcome {
  const { reservation } = state;
  if (reservation === undefined || !holdsReservation(state, from)) return unchanged(state);
  // INVALID RELEASE OF PERSISTENT RESERVATION.
  if (scope !== 0 || type !== reservation.type) throw illegal(0x26, 0x04);
  const after = { ...state, reservation: undefined };
  if (!isForRegistrants(type)) return unchanged(after);
  return { ...unchanged(after), attentions: tell(others(state, from), Attention.reservationsReleased) };
}

function clear(state: ReservationState, from: NexusPorts): ReserveOutcome {
  return {
    state: { ...state, generation: next(state.generation), registrants: [], reservation: undefined },
    attentions: tell(others(state, from), Attention.reservationsPreempted),
    aborted: [],
  };
}

function preempt(state: ReservationState, request: ReserveOutRequest): ReserveOutcome | "conflict" {
  const { list, from } = request;
  const { reservation } = state;
  const isForAll = reservation?.holder === "all";
  const victimKey = list.serviceActionKey;
  if (victimKey === 0n && !isForAll) throw invalidParameter(8);
  const takesOver = isForAll ? victimKey === 0n : reservation !== undefined && holderKey(state) === victimKey;
  if (takesOver) checkScopeAndType(request);
  const isVictim = (each: Registrant) =>
    (victimKey === 0n || each.key === victimKey) && !(takesOver && isSameNexus(each, from));
  const victims = state.registrants.filter(isVictim);
  if (victims.length === 0 && !takesOver) return "conflict";
  const registrants = state.registrants.filter((each) => !isVictim(each));
  const survivors = registrants.filter((each) => !isSameNexus(each, from));
  const typeChanges = takesOver && reservation!.type !== request.type && isForRegistrants(reservation!.type);
  const kept = isForAll && registrants.length === 0 ? undefined : reservation;
  return {
    state: {
      ...state,
      generation: next(state.generation),
      registrants,
      reservation: takesOver ? reservationOf(request) : kept,
    },
    attentions: [
      ...tell(
        victims.filter((each) => !isSameNexus(each, from)),
        Attention.registrationsPreempted,
      ),
      ...(typeChanges ? tell(survivors, Attention.reservationsReleased) : []),
    ],
    aborted: request.serviceAction === ReserveOut.preemptAndAbort ? victims : [],
  };
}

function registerAndMove(state: ReservationState, request: ReserveOutRequest): ReserveOutcome | "conflict" {
  const { list, from, targetPorts } = request;
  const { reservation } = state;
  assert(list.move !== undefined, "the list of REGISTER AND MOVE says where to");
  if (reservation === undefined || reservation.holder === "all" || !holdsReservation(state, from))
    return "conflict";
  if (list.serviceActionKey === 0n) throw invalidParameter(8);
  if (!targetPorts.includes(list.move.relativePort)) throw invalidParameter(18);
  const to = { initiatorPort: list.move.initiatorPort, relativePort: list.move.relativePort };
  if (isSameNexus(to, from)) throw invalidParameter(24);
  const kept = state.registrants.filter(
    (each) => !isSameNexus(each, to) && !(list.move!.unregisters && isSameNexus(each, from)),
  );
  const registrants = [...kept, { ...to, key: list.serviceActionKey }];
  if (registrants.length > REGISTRANTS_MAX) throw illegal(0x55, 0x04);
  return unchanged({
    generation: next(state.generation),
    registrants,
    reservation: { type: reservation.type, holder: to },
    isPersistent: list.isPersistent,
  });
}

function reservationOf({ type, from }: ReserveOutRequest): ReservationState["reservation"] {
  const isForAll = type === ReservationType.writeExclusiveAll || type === ReservationType.exclusiveAccessAll;
  return {
    type,
    holder: isForAll ? "all" : { initiatorPort: from.initiatorPort, relativePort: from.relativePort },
  };
}

function holderKey(state: ReservationState): bigint | undefined {
  const holder = state.reservation?.holder;
  return holder === undefined || holder === "all" ? undefined : registrantOf(state, holder)?.key;
}

function others(state: ReservationState, nexus: NexusPorts): Registrant[] {
  return state.registrants.filter((each) => !isSameNexus(each, nexus));
}

function tell(nexuses: readonly NexusPorts[], condition: SenseData): ReserveOutcome["attentions"] {
  return nexuses.map((to) => ({ to, condition }));
}

function unchanged(state: ReservationState): ReserveOutcome {
  return { state, attentions: [], aborted: [] };
}

function also(before: ReserveOutcome, after: ReserveOutcome): ReserveOutcome {
  return { state: after.state, attentions: [...before.attentions, ...after.attentions], aborted: [] };
}

function next(generation: number): number {
  return (generation + 1) % 0x1_0000_0000;
}
