/**
 * Who may do what on the unit: persistent reservations, kept across restarts where asked for, and the older
 * RESERVE and RELEASE, which belong to a session.
 *
 * Always holds: changes happen one after the other, and what must outlive a power cut is durable before anybody
 * sees it. Errors: those of the store, then nothing changed.
 */

import type { ScsiNexus } from "../scsi-target.ts";
import {
  holdsReservation,
  isForRegistrants,
  isWriteExclusive,
  NO_RESERVATIONS,
  type ReservationState,
  type ReserveOutcome,
  type ReserveOutRequest,
  registrantOf,
  reserveOut,
} from "./reservation-state.ts";
import type { UnitRecord } from "./unit-record.ts";

/**
 * What a command means to a reservation of somebody else (SPC-4, 5.12.1; SBC-3, 4.18):
 * `free` is never in its way, `status` only in that of RESERVE, `read` in that of exclusive access too, `change`
 * always; `own` commands are about reservations and see for themselves.
 */
export type Access = "free" | "status" | "read" | "change" | "own";

export class Reservations {
  readonly #record: Pick<UnitRecord, "saveReservations">;
  #state: ReservationState = NO_RESERVATIONS;
  #sessionHolder: number | undefined;
  /** The last change that is under way. */
  #changes: Promise<unknown> | undefined;

  constructor(record: Pick<UnitRecord, "saveReservations">) {
    this.#record = record;
  }

  get state(): ReservationState {
    return this.#state;
  }

  /** Goes on from what was stored; before anything else. */
  restore(state: ReservationState): void {
    this.#state = state;
  }

  /** Whether a reservation of somebody else keeps the nexus from it. */
  forbids(nexus: ScsiNexus, access: Access): boolean {
    if (access === "free") return false;
    if (this.#sessionHolder !== undefined && this.#sessionHolder !== nexus.number) return true;
    const { reservation } = this.#state;
    if (reservation === undefined || access === "status" || access === "own") return false;
    if (access === "read" && isWriteExclusive(reservation.type)) return false;
    if (holdsReservation(this.#state, nexus)) return false;
    return !(isForRegistrants(reservation.type) && registrantOf(this.#state, nexus) !== undefined);
  }

  /** RESERVE (6) and (10); false: a reservation conflict. */
  reserveSession(nexus: ScsiNexus): boolean {
    if (this.#sessionHolder !== undefined && this.#sessionHolder !== nexus.number) return false;
    if (this.#state.registrants.length > 0) return this.#isCompatible(nexus);
    this.#sessionHolder = nexus.number;
    return true;
  }

  /** RELEASE (6) and (10); false: a reservation conflict. */
  releaseSession(nexus: ScsiNexus): boolean {
    if (this.#state.registrants.length > 0) return this.#isCompatible(nexus);
    this.endSession(nexus.number);
    return true;
  }

  endSession(nexusNumber: number): void {
    if (this.#sessionHolder === nexusNumber) this.#sessionHolder = undefined;
  }

  reset(): void {
    this.#sessionHolder = undefined;
  }

  /** PERSISTENT RESERVE OUT. */
  change(request: ReserveOutRequest): Promise<ReserveOutcome | "conflict"> {
    const earlier = this.#changes ?? Promise.resolve();
    const change = earlier.then(() => this.#change(request));
    // The next change waits for this one, whatever becomes of it.
    this.#changes = change.catch(() => undefined);
    return change;
  }

  async #change(request: ReserveOutRequest): Promise<ReserveOutcome | "conflict"> {
    const outcome = reserveOut(this.#state, request);
    if (outcome === "conflict") return outcome;
    if (this.#state.isPersistent || outcome.state.isPersistent) {
      await this.#record.saveReservations(outcome.state);
    }
    this.#state = outcome.state;
    return outcome;
  }

  /** Compatible reservation handling (CRH): RESERVE and RELEASE change nothing for those whom the reservation lets in. */
  #isCompatible(nexus: ScsiNexus): boolean {
    const { reservation } = this.#state;
    if (reservation === undefined || registrantOf(this.#state, nexus) === undefined) return false;
    return holdsReservation(this.#state, nexus) || isForRegistrants(reservation.type);
  }
}
