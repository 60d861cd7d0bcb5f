/**
 * Memory for requests in work, shared by all connections: each has an account with a limit of its own.
 *
 * Always holds: the budget's sum is the sum of its accounts; a request larger than a limit is admitted when
 * nothing else is in work, so everybody gets on; who waits is woken in the order of arrival, and nobody
 * overtakes.
 *
 * iSCSI has a budget of its own: here requests are admitted in the order of their stream, so what waits is the
 * connection, which is read no further; there it is a command, and others go on past it.
 */

export class ByteBudget {
  readonly limitBytes: number;
  usedBytes = 0;
  readonly #waiting = new Set<ByteAccount>();

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Connections that wait for others to give bytes back. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Whether `bytes` more fit, with nobody waiting longer than `account`. */
  admits(account: ByteAccount, bytes: number): boolean {
    if (this.usedBytes + bytes > this.limitBytes && this.usedBytes > 0) return false;
    if (this.#waiting.size === 0) return true;
    return this.#waiting.values().next().value === account;
  }

  wait(account: ByteAccount): void {
    this.#waiting.add(account);
  }

  forget(account: ByteAccount): void {
    this.#waiting.delete(account);
    this.wakeNext();
  }

  /** Lets the one that waits longest try again. */
  wakeNext(): void {
    if (this.#waiting.size > 0) this.#waiting.values().next().value?.wake();
  }
}

export class ByteAccount {
  readonly #budget: ByteBudget;
  readonly #limitBytes: number;
  /** Called, never from inside a call of the account's owner, when waiting may be over. */
  readonly wake: () => void;
  usedBytes = 0;
  #waits = false;

  constructor(budget: ByteBudget, options: { limitBytes: number; wake: () => void }) {
    this.#budget = budget;
    this.#limitBytes = options.limitBytes;
    this.wake = options.wake;
  }

  /** Takes `bytes`; false: there is no room, and `wake` will be called when there may be. */
  take(bytes: number): boolean {
    if (this.usedBytes + bytes > this.#limitBytes && this.usedBytes > 0) return false;
    if (!this.#budget.admits(this, bytes)) {
      this.#waits = true;
      this.#budget.wait(this);
      return false;
    }
    this.usedBytes += bytes;
    this.#budget.usedBytes += bytes;
    if (this.#waits) {
      this.#waits = false;
      this.#budget.forget(this);
    }
    return true;
  }

  give(bytes: number): void {
    this.usedBytes -= bytes;
    this.#budget.usedBytes -= bytes;
    this.#budget.wakeNext();
  }

  /** The connection is gone and waits no longer; what it still uses is given when its requests end. */
  leave(): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.#budget.forget(this);
  }
}
