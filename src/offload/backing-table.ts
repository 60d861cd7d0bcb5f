/**
 * The backings of live tokens by small numbers, as rows keep them; many tokens may have one.
 * Always holds: number 0 stands for none; a backing is released once for each token that had it.
 */
import type { TokenBacking } from "./token-backing.ts";

export class BackingTable {
  readonly #backings: (TokenBacking | undefined)[] = [undefined];
  readonly #free: number[] = [];
  readonly #known = new Map<TokenBacking, { readonly number: number; tokens: number }>();

  /** Takes over one count of the backing, for one token. */
  add(backing: TokenBacking): number {
    const known = this.#known.get(backing);
    if (known !== undefined) {
      known.tokens += 1;
      return known.number;
    }
    const number = this.#free.pop() ?? this.#backings.length;
    this.#backings[number] = backing;
    this.#known.set(backing, { number, tokens: 1 });
    return number;
  }

  get(number: number): TokenBacking | undefined {
    return this.#backings[number];
  }

  release(number: number): void {
    const backing = this.#backings[number]!;
    const known = this.#known.get(backing)!;
    known.tokens -= 1;
    if (known.tokens === 0) {
      this.#known.delete(backing);
      this.#backings[number] = undefined;
      this.#free.push(number);
    }
    backing.release();
  }

  /** Those whose origin is no more. */
  orphans(): Set<TokenBacking> {
    const gone = new Set<TokenBacking>();
    const asked = new Map<TokenBacking["origin"], boolean>();
    for (const backing of this.#known.keys()) {
      let exists = asked.get(backing.origin);
      if (exists === undefined) asked.set(backing.origin, (exists = backing.origin.exists()));
      if (!exists) gone.add(backing);
    }
    return gone;
  }
}
