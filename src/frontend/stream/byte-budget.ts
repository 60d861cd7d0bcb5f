/**
 * Memory for what is in work, shared by all connections: each has an account with a share of its own.
 *
 * Always holds: the budget's sum is the sum of its accounts; requests of one account are granted in their order;
 * accounts that wait for the budget take turns, and are overtaken only by those that stay within the fair share, for
 * which a part is kept; who has used up its own share, or is suspended, holds up nobody else. What is larger than a share
 * is granted when nothing else of the account is in work, what is larger than the budget when nothing at all is: so
 * everybody gets on once others have ended.
 */

/** Somebody who waits for memory. */
export interface ByteRequest {
  readonly bytes: number;
  /** Called in a turn of its own; the bytes are taken then. */
  readonly granted: () => void;
}

export interface ByteBudgetOptions {
  readonly limitBytes: number;
  /** What an account may have at any time: no more than all of them could have at once. */
  readonly fairBytes?: number;
  /** The part of the limit that is kept for accounts within the fair share. */
  readonly reservedBytes?: number;
  /** Somebody waits for others to give memory back; called again and again while that is so. */
  readonly short?: () => void;
}

type Lack = "nothing" | "share" | "budget";

export class ByteBudget {
  readonly limitBytes: number;
  readonly #fairBytes: number;
  readonly #reservedBytes: number;
  readonly #short: () => void;
  usedBytes = 0;
  readonly #waiting = new Set<ByteAccount>();
  #pumping = false;

  constructor({ limitBytes, fairBytes = 0, reservedBytes = 0, short = () => {} }: ByteBudgetOptions) {
    this.limitBytes = limitBytes;
    this.#fairBytes = fairBytes;
    this.#reservedBytes = reservedBytes;
    this.#short = short;
  }

  /** Whether somebody waits whose own share would have room. */
  get isWanted(): boolean {
    // Asked for each command.
    if (this.#waiting.size === 0) return false;
    for (const account of this.#waiting) if (account.wantsBudget) return true;
    return false;
  }

  isFair(accountBytes: number): boolean {
    return accountBytes <= this.#fairBytes;
  }

  hasRoom(bytes: number, isFair: boolean): boolean {
    const limitBytes = isFair ? this.limitBytes : this.limitBytes - this.#reservedBytes;
    return this.usedBytes + bytes <= limitBytes || this.usedBytes === 0;
  }

  enlist(account: ByteAccount): void {
    this.#waiting.add(account);
  }

  forget(account: ByteAccount): void {
    this.#waiting.delete(account);
  }

  /** Grants what can be granted now, after the callbacks of this turn that are still to come. */
  wake(): void {
    if (this.#waiting.size === 0 || this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    let isShort = false;
    for (const account of this.#waiting) {
      const lack = account.grant(isShort);
      if (lack === "budget") isShort = true;
      if (lack !== "nothing" || !this.#waiting.delete(account)) continue;
      // It waits for more, which this loop comes to after all others.
      this.#waiting.add(account);
    }
    if (isShort) this.#short();
  }
}

export class ByteAccount {
  readonly #budget: ByteBudget;
  readonly #limitBytes: number;
  readonly #requests = new Set<ByteRequest>();
  #isSuspended = false;
  usedBytes = 0;

  constructor(budget: ByteBudget, limitBytes: number) {
    this.#budget = budget;
    this.#limitBytes = Math.min(limitBytes, budget.limitBytes);
  }

  /** Takes `bytes` now, or nothing when there is no room or somebody waits. */
  take(bytes: number): boolean {
    if (this.#isSuspended || this.#requests.size > 0 || this.#lack(bytes) !== "nothing") return false;
    if (this.#budget.isWanted && !this.#budget.isFair(this.usedBytes + bytes)) return false;
    this.#use(bytes);
    return true;
  }

  /** Its next request would have room in its share. */
  get wantsBudget(): boolean {
    for (const request of this.#requests) return this.#lack(request.bytes) !== "share";
    return false;
  }

  /** Takes `bytes` as soon as there is room, and calls `granted` then. */
  request(request: ByteRequest): void {
    this.#requests.add(request);
    if (this.#isSuspended) return;
    this.#budget.enlist(this);
    this.#budget.wake();
  }

  cancel(request: ByteRequest): void {
    if (!this.#requests.delete(request)) return;
    if (this.#requests.size === 0) this.#budget.forget(this);
    this.#budget.wake();
  }

  give(bytes: number): void {
    if (bytes === 0) return;
    this.#use(-bytes);
    this.#budget.wake();
  }

  /** What turned out to be more than was asked for: `bytes` are there already. */
  overdraw(bytes: number): void {
    this.#use(bytes);
  }

  /** It has no more than everybody could have at once. */
  get isFair(): boolean {
    return this.#budget.isFair(this.usedBytes);
  }

  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  /** Grants it nothing more until `resume`. */
  suspend(): void {
    this.#isSuspended = true;
    this.#budget.forget(this);
    this.#budget.wake();
  }

  resume(): void {
    if (!this.#isSuspended) return;
    this.#isSuspended = false;
    if (this.#requests.size === 0) return;
    this.#budget.enlist(this);
    this.#budget.wake();
  }

  /** Grants its next request, or says what that lacks; while the budget `isShort`, within the fair share only. */
  grant(isShort: boolean): Lack {
    for (const request of this.#requests) {
      const isFair = this.#budget.isFair(this.usedBytes + request.bytes);
      const lack = isShort && !isFair ? "budget" : this.#lack(request.bytes);
      if (lack !== "nothing") return lack;
      this.#requests.delete(request);
      if (this.#requests.size === 0) this.#budget.forget(this);
      this.#use(request.bytes);
      request.granted();
      return "nothing";
    }
    return "nothing";
  }

  #lack(bytes: number): Lack {
    const sumBytes = this.usedBytes + bytes;
    if (sumBytes > this.#limitBytes && this.usedBytes > 0) return "share";
    return this.#budget.hasRoom(bytes, this.#budget.isFair(sumBytes)) ? "nothing" : "budget";
  }

  #use(bytes: number): void {
    this.usedBytes += bytes;
    this.#budget.usedBytes += bytes;
  }
}
