/**
 * Memory for commands in work, shared by all connections: each has an account with a share of its own.
 *
 * Always holds: the budget's sum is the sum of its accounts; requests of one account are granted in their order,
 * and who waits for the budget is not overtaken by later requests for as much; who has used up its own share holds up
 * nobody else. A request never exceeds an account's limit (the limits are checked so), so that everybody gets on once
 * others have ended.
 */
import { assert } from "../../base/assert.ts";

/** Somebody who waits for memory. */
export interface ByteRequest {
  readonly bytes: number;
  /** Called in a turn of its own; the bytes are taken then. */
  readonly granted: () => void;
}

export class ByteBudget {
  readonly limitBytes: number;
  usedBytes = 0;
  readonly #waiting = new Set<ByteAccount>();
  #pumping = false;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Whether somebody waits whose own share would have room. */
  get isWanted(): boolean {
    // Asked for each command.
    if (this.#waiting.size === 0) return false;
    for (const account of this.#waiting) if (account.wantsBudget) return true;
    return false;
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
      for (const account of this.#waiting) {
        if (account.grant() === "budget") return;
      }
    });
  }
}

export class ByteAccount {
  readonly #budget: ByteBudget;
  readonly #limitBytes: number;
  readonly #requests = new Set<ByteRequest>();
  usedBytes = 0;

  constructor(budget: ByteBudget, limitBytes: number) {
    this.#budget = budget;
    this.#limitBytes = Math.min(limitBytes, budget.limitBytes);
  }

  /** Takes `bytes` now, or nothing when there is no room or somebody waits. */
  take(bytes: number): boolean {
    if (this.#requests.size > 0 || this.#lacks(bytes) !== "nothing") return false;
    if (this.#budget.isWanted) return false;
    this.#use(bytes);
    return true;
  }

  /** Its next request would have room in its share. */
  get wantsBudget(): boolean {
    for (const request of this.#requests) return this.#lacks(request.bytes) !== "share";
    return false;
  }

  /** Takes `bytes` as soon as there is room, and calls `granted` then. */
  request(request: ByteRequest): void {
    assert(request.bytes <= this.#limitBytes, "no request for memory is above the limit");
    this.#requests.add(request);
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

  /** Grants requests in their order; says what the next one lacks. */
  grant(): "nothing" | "share" | "budget" {
    for (const request of this.#requests) {
      const lack = this.#lacks(request.bytes);
      if (lack !== "nothing") return lack;
      this.#requests.delete(request);
      if (this.#requests.size === 0) this.#budget.forget(this);
      this.#use(request.bytes);
      request.granted();
    }
    return "nothing";
  }

  #lacks(bytes: number): "nothing" | "share" | "budget" {
    if (this.usedBytes + bytes > this.#limitBytes && this.usedBytes > 0) return "share";
    const budget = this.#budget;
    return budget.usedBytes + bytes > budget.limitBytes && budget.usedBytes > 0 ? "budget" : "nothing";
  }

  #use(bytes: number): void {
    this.usedBytes += bytes;
    this.#budget.usedBytes += bytes;
  }
}
