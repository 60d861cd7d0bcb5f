/**
 * The order of a session's requests: ExpCmdSN and MaxCmdSN (RFC 7143, 4.2.2.1).
 *
 * Always holds: requests are delivered in the order of their numbers, each once; what is outside the window is
 * ignored; MaxCmdSN never goes back.
 */
import { serialDistance, serialPlus } from "../../wire/iscsi/mod.ts";

export class CommandWindow {
  expected: number;
  #max: number;
  /** Requests that came before their turn, by number. */
  readonly #early = new Map<number, () => void>();
  #delivering = false;

  constructor(firstNumber: number) {
    this.expected = firstNumber;
    this.#max = serialPlus(firstNumber, -1);
  }

  get max(): number {
    return this.#max;
  }

  /** A request is missing that others came after. */
  get hasGap(): boolean {
    return this.#early.size > 0;
  }

  /** Lets the initiator send up to `free` more requests. */
  open(free: number): void {
    const max = serialPlus(this.expected, free - 1);
    if (serialDistance(this.#max, max) > 0) this.#max = max;
  }

  /** Whether a request of this number would be delivered, now or later. */
  admits(number: number): boolean {
    return (
      serialDistance(this.expected, number) >= 0 &&
      serialDistance(number, this.#max) >= 0 &&
      !this.#early.has(number)
    );
  }

  /** Delivers an admitted request, now or when those before it have come. */
  deliver(number: number, action: () => void): void {
    if (number === this.expected && this.#early.size === 0) {
      this.expected = serialPlus(number, 1);
      action();
      return;
    }
    this.#early.set(number, action);
    if (this.#delivering) return;
    this.#delivering = true;
    for (
      let next = this.#early.get(this.expected);
      next !== undefined;
      next = this.#early.get(this.expected)
    ) {
      this.#early.delete(this.expected);
      this.expected = serialPlus(this.expected, 1);
      next();
    }
    this.#delivering = false;
  }

  clear(): void {
    this.#early.clear();
  }
}
