/**
 * What becomes of the memory that a client holds while it stalls and others wait for memory.
 *
 * Always holds: only what waits for the client counts, the payload that it sends and the replies that it is to take, and
 * what everybody could have at once is left to it. While it stalls it gets no more; what it holds can only be had back by
 * ending the connection, since a payload that was begun must come before anything else.
 */
import { type ByteBudget, ProgressMark, type SuspendedConnection, Suspension } from "../stream/mod.ts";
import { type NbdLimits, PAYLOAD_PROGRESS_BYTES } from "./limits.ts";
import type { Transmission } from "./transmission.ts";

export interface StallingConnection extends SuspendedConnection {
  readonly limits: NbdLimits;
  readonly budget: ByteBudget;
}

export class StallRelief {
  readonly #connection: StallingConnection;
  /** There is none during the handshake. */
  transmission: Transmission | undefined;
  readonly #payload = new ProgressMark();
  readonly #replies = new ProgressMark();
  readonly #suspension: Suspension;

  constructor(connection: StallingConnection) {
    this.#connection = connection;
    this.#suspension = new Suspension(connection, { progressBytes: PAYLOAD_PROGRESS_BYTES });
  }

  /** Somebody waits for memory: as RelievedConnection.relieve. */
  relieve(lookMs: number): number {
    const { limits, budget, window, replies } = this.#connection;
    const transmission = this.transmission;
    if (transmission === undefined) return 0;
    const steps = Math.floor(window.receivedBytes / PAYLOAD_PROGRESS_BYTES);
    const payloadMs = this.#payload.stalledMs(lookMs, steps, transmission.isOwedPayload);
    const repliesMs = this.#replies.stalledMs(lookMs, replies.batchesTaken, replies.isBusy);
    const stalledMs = Math.max(payloadMs, repliesMs);
    if (stalledMs < limits.wantedStallTimeoutMs) return 0;
    const heldBytes = transmission.payloadCharge + replies.chargedBytes;
    if (budget.isFair(heldBytes)) return 0;
    this.#suspension.begin();
    return stalledMs < limits.wantedCloseTimeoutMs ? 0 : heldBytes;
  }

  /** Something came or left: a client that goes on may have memory again. */
  proceeded(): void {
    if (this.transmission !== undefined && this.#connection.account.isSuspended)
      this.#suspension.proceeded({ isOwed: this.transmission.isOwedPayload });
  }
}
