/**
 * How long to wait before the next try: twice as long after each failure, less up to half of it by chance, so that the
 * connections of many targets do not come back all at once.
 */
import type { Random } from "../../ports/mod.ts";

export class Backoff {
  readonly #random: Random;
  readonly #firstMs: number;
  readonly #lastMs: number;
  #nextMs: number;

  constructor(random: Random, { firstMs, lastMs }: { firstMs: number; lastMs: number }) {
    this.#random = random;
    this.#firstMs = firstMs;
    this.#lastMs = lastMs;
    this.#nextMs = firstMs;
  }

  /** Of the wait that begins now. */
  nextMs(): number {
    const fullMs = this.#nextMs;
    this.#nextMs = Math.min(fullMs * 2, this.#lastMs);
    const [high, low] = this.#random.bytes(2);
    return fullMs * (1 - (high! * 256 + low!) / 0x2_0000);
  }

  succeeded(): void {
    this.#nextMs = this.#firstMs;
  }
}
