/**
 * What becomes of the memory that an initiator's commands hold while it stalls and others wait for memory.
 *
 * Always holds: it gets no more until it goes on; data-out that it owes is given up, its command ends with TASK SET FULL
 * once the initiator goes on; what cannot be given up, replies that it does not take, ends the connection if it is the
 * one that holds most. What everybody could have at once is left to it. Time is counted in looks, so that a turn of
 * ours that takes long is nobody's stall.
 */
import { ProgressMark, type SuspendedConnection, Suspension } from "../stream/mod.ts";
import type { FullFeature } from "./full-feature.ts";
import type { IscsiLimits } from "./limits.ts";

export interface StallingConnection extends SuspendedConnection {
  readonly limits: IscsiLimits;
}

/** Data-out that comes more slowly than this in a `wantedDataTimeoutMs` counts as none. */
const PROGRESS_BYTES_MIN = 4096;

export class StallRelief {
  readonly #connection: StallingConnection;
  /** There is none before the login is complete. */
  session: FullFeature | undefined;
  readonly #data = new ProgressMark();
  readonly #replies = new ProgressMark();
  readonly #suspension: Suspension;

  constructor(connection: StallingConnection) {
    this.#connection = connection;
    this.#suspension = new Suspension(connection, { progressBytes: PROGRESS_BYTES_MIN });
  }

  /**
   * Somebody waits for memory. Returns the bytes for which the connection should end. `lookMs`: the time, as far as looks
   * of this kind were taken.
   */
  relieve(lookMs: number): number {
    const { limits, account, window, replies } = this.#connection;
    const session = this.session;
    if (session === undefined) return 0;
    const steps = Math.floor(window.receivedBytes / PROGRESS_BYTES_MIN);
    const stalledMs = Math.max(
      this.#data.stalledMs(lookMs, steps, session.isOwedData),
      this.#replies.stalledMs(lookMs, replies.batchesTaken, replies.isBusy),
    );
    const { wantedDataTimeoutMs, wantedReplyTimeoutMs } = limits;
    if (stalledMs < wantedDataTimeoutMs || account.isFair) return 0;
    this.#suspension.begin();
    session.forfeit();
    return stalledMs < wantedReplyTimeoutMs ? 0 : account.usedBytes;
  }

  /** Something came or left: an initiator that goes on may have memory again. */
  proceeded(): void {
    if (this.session !== undefined && this.#connection.account.isSuspended)
      this.#suspension.proceeded({ isOwed: this.session.isOwedData });
  }
}
