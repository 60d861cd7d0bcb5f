/**
 * A connection that gets no more memory because its peer stalls, until the peer goes on.
 *
 * Always holds: it goes on when what the peer owes has come, at least `progressBytes` of it, or it owes nothing, and when it
 * takes replies again, or none wait for it.
 */
import type { ByteAccount } from "./byte-budget.ts";
import type { ReceiveWindow } from "./receive-window.ts";
import type { ReplyQueue } from "./reply-queue.ts";

export interface SuspendedConnection {
  readonly account: ByteAccount;
  readonly window: ReceiveWindow;
  readonly replies: ReplyQueue;
}

export class Suspension {
  readonly #connection: SuspendedConnection;
  readonly #progressBytes: number;
  #atBytes = 0;
  #atBatches = 0;

  constructor(connection: SuspendedConnection, { progressBytes }: { readonly progressBytes: number }) {
    this.#connection = connection;
    this.#progressBytes = progressBytes;
  }

  begin(): void {
    const { account, window, replies } = this.#connection;
    if (account.isSuspended) return;
    this.#atBytes = window.receivedBytes;
    this.#atBatches = replies.batchesTaken;
    account.suspend();
  }

  /** Something came or left while it is suspended. `isOwed`: the peer still owes data. */
  proceeded({ isOwed }: { readonly isOwed: boolean }): void {
    const { account, window, replies } = this.#connection;
    const isOwing = window.receivedBytes - this.#atBytes < this.#progressBytes && isOwed;
    const isDeaf = replies.isBusy && replies.batchesTaken === this.#atBatches;
    if (!isOwing && !isDeaf) account.resume();
  }
}
