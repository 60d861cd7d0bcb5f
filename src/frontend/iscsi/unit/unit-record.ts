/**
 * What of a unit outlives the daemon, in one text: persistent reservations (APTPL), and a SANITIZE that began and has
 * not succeeded.
 *
 * Always holds: what is written is read back; changes of the two are saved one after the other, and neither undoes the
 * other. Errors: IO_ERROR for a text that is none of ours, and those of the store; then the record is as it was.
 */

import { RopewalkError } from "../../../base/errors.ts";
import { field, parseReservations, reservationFields } from "./reservation-record.ts";
import { NO_RESERVATIONS, type ReservationState } from "./reservation-state.ts";
import type { UnitStore } from "./unit-options.ts";

export interface UnfinishedSanitize {
  /** EXIT FAILURE MODE may end it (AUSE). */
  readonly exitAllowed: boolean;
}

export interface StoredUnit {
  readonly reservations: ReservationState;
  readonly sanitize: UnfinishedSanitize | undefined;
}

const NOTHING: StoredUnit = { reservations: NO_RESERVATIONS, sanitize: undefined };

export function formatUnit({ reservations, sanitize }: StoredUnit): string {
  return JSON.stringify({ ...reservationFields(reservations), sanitize: sanitize ?? null });
}

export function parseUnit(text: string): StoredUnit {
  try {
    const record = JSON.parse(text) as unknown;
    return { reservations: parseReservations(record), sanitize: parseSanitize(record) };
  } catch (cause) {
    throw new RopewalkError(
      "IO_ERROR",
      "The stored persistent reservations cannot be read; delete them to begin anew.",
      { cause },
    );
  }
}

/** Records of before there was the field have none. */
function parseSanitize(record: unknown): UnfinishedSanitize | undefined {
  const sanitize = (record as { sanitize?: unknown }).sanitize ?? null;
  if (sanitize === null) return undefined;
  const exitAllowed = field(sanitize, "exitAllowed");
  if (typeof exitAllowed !== "boolean") throw new Error("no answer whether failure mode may be exited");
  return { exitAllowed };
}

export class UnitRecord {
  readonly #store: UnitStore;
  #stored = NOTHING;
  /** The last change that is under way. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(store: UnitStore) {
    this.#store = store;
  }

  async load(): Promise<StoredUnit> {
    const text = await this.#store.load();
    if (text !== undefined && text !== "") this.#stored = parseUnit(text);
    return this.#stored;
  }

  /** Durable at resolution, as far as they are to outlive the daemon. */
  saveReservations(reservations: ReservationState): Promise<void> {
    return this.#save({ reservations });
  }

  /** Durable at resolution. Undefined: it succeeded, or failure mode was exited. */
  saveSanitize(sanitize: UnfinishedSanitize | undefined): Promise<void> {
    return this.#save({ sanitize });
  }

  #save(part: Partial<StoredUnit>): Promise<void> {
    const saved = this.#last.then(async () => {
      const next = { ...this.#stored, ...part };
      await this.#store.save(formatUnit(next));
      this.#stored = next;
    });
    // The next change waits for this one, whatever becomes of it.
    this.#last = saved.catch(() => undefined);
    return saved;
  }
}
