/**
 * What becomes of the memory that a client holds while it stalls and others wait for memory.
 *
 * Always holds: only what waits for the client counts, the payload that it sends and the replies that it is to take, and
 * what everybody could have at once is left to it. While it stalls it gets no more; what it holds can only be had back by
 * ending the connection, since a payload that was begun must come before anything else.
 */
import {
  type ByteAccount,
  type ByteBudget,
  ProgressMark,
  type ReceiveWindow,
  type ReplyQueue,
} from "../stream/mod.ts";
import { type NbdLimits, PAYLOAD_PROGRESS_BYTES } from "./limits.ts";
import type { Transmission } from "./transmission.ts";

export interface StallingConnection {
  readonly limits: NbdLimits;
  readonly budget: ByteBudget;
  readonly account: ByteAccount;
  readonly window: ReceiveWindow;
  readonly replies: ReplyQueue;
}

export class StallRelief {
  readonly #connection: StallingConnection;
  /** There is none during the handshake. */
  transmission: Transmission | undefined;
  readonly #payload = new ProgressMark();
  readonly #replies = new ProgressMark();
  #suspendedAtBytes = 0;
  #suspendedAtBatches = 0;

  constructor(connection: StallingConnection) {
    this.#connection = connection;
  }

  /** Somebody waits for memory: as RelievedConnection.relieve. */
  relieve(lookMs: number): number {
    const { limits, budget, account, window, replies } = this.#connection;
    const transmission = this.transmission;
    if (transmission === undefined) return 0;
    const steps = Math.floor(window.receivedBytes / PAYLOAD_PROGRESS_BYTES);
    const payloadMs = this.#payload.stalledMs(lookMs, steps, transmission.isOwedPayload);
    const repliesMs = this.#replies.stalledMs(lookMs, replies.batchesTaken, replies.isBusy);
    const stalledMs = Math.max(payloadMs, repliesMs);
    if (stalledMs < limits.wantedStallTimeoutMs) return 0;
    const heldBytes = transmission.payloadCharge + replies.chargedBytes;
    if (budget.isFair(heldBytes)) return 0;
    if (!account.isSuspended) {
      this.#suspendedAtBytes = window.receivedBytes;
      this.#suspendedAtBatches = replies.batchesTaken;
      account.suspend();
    }
    return stalledMs < limits.wantedCloseTimeoutMs ? 0 : heldBytes;
  }

  /** Something came or left: a client that goes on may have memory again. */
  proceeded(): void {
    const { account, window, replies } = this.#connection;
    if (!account.isSuspended || this.transmission === undefined) return;
    const cameBytes = window.receivedBytes - this.#suspendedAtBytes;
    const isOwing = cameBytes < PAYLOAD_PROGRESS_BYTES && this.transmission.isOwedPayload;
    const isDeaf = replies.isBusy && replies.batchesTaken === this.#suspendedAtBatches;
    if (!isOwing && !isDeaf) account.resume();
  }
}
