/**
 * What is known of the providers of tokens, and choosing one of several by it (T17).
 *
 * Always holds: of equals the outer one is chosen, so that a policy without knowledge is `first`; a bounded number of
 * providers is remembered, those that were not heard of for longest are forgotten.
 */
import { assert } from "../base/assert.ts";
import type { Random } from "../ports/mod.ts";
import type { ProviderPolicy } from "./token-service.ts";

const PROVIDERS_MAX = 1024;
/** What the newest of many measurements counts for. */
const NEWEST_SHARE = 0.2;

interface ProviderLoad {
  /** Token reads and uses of its tokens that are under way. */
  running: number;
  /** Of a token read, a mean in which older ones count for less. */
  latencyMs: number;
  writtenBytes: number;
  movedBytes: number;
}

export class ProviderLoads {
  readonly #random: Random;
  /** In the order in which they were last heard of. */
  readonly #loads = new Map<string, ProviderLoad>();

  constructor(random: Random) {
    this.#random = random;
  }

  began(provider: string): void {
    this.#of(provider).running += 1;
  }

  ended(provider: string): void {
    const load = this.#of(provider);
    load.running = Math.max(0, load.running - 1);
  }

  /** A token read took so long. */
  answered(provider: string, latencyMs: number): void {
    const load = this.#of(provider);
    const share = load.latencyMs === 0 ? 1 : NEWEST_SHARE;
    load.latencyMs += (latencyMs - load.latencyMs) * share;
  }

  /** So much was written from its tokens, and so much read and written for that. */
  used(provider: string, { bytes, movedBytes }: { bytes: number; movedBytes: number }): void {
    const load = this.#of(provider);
    load.writtenBytes += bytes;
    load.movedBytes += movedBytes;
  }

  /** One of these, which are named from the outside in. */
  choose(providers: readonly string[], policy: ProviderPolicy): string {
    assert(providers.length > 0, "there is a provider to choose");
    switch (policy) {
      case "first":
        return providers[0]!;
      case "last":
        return providers.at(-1)!;
      case "random":
        return providers[Buffer.from(this.#random.bytes(4)).readUInt32LE() % providers.length]!;
      case "least-loaded":
        return this.#lowest(providers, ({ running }) => running);
      case "most-efficient":
        return this.#lowest(providers, ({ writtenBytes, movedBytes }) =>
          writtenBytes === 0 ? 0 : movedBytes / writtenBytes,
        );
      case "lowest-latency":
        return this.#lowest(providers, ({ latencyMs }) => latencyMs);
    }
  }

  #lowest(providers: readonly string[], costOf: (load: ProviderLoad) => number): string {
    const cost = (provider: string) => {
      const load = this.#loads.get(provider);
      return load === undefined ? 0 : costOf(load);
    };
    return providers.reduce((best, provider) => (cost(provider) < cost(best) ? provider : best));
  }

  #of(provider: string): ProviderLoad {
    const load = this.#loads.get(provider) ?? { running: 0, latencyMs: 0, writtenBytes: 0, movedBytes: 0 };
    this.#loads.delete(provider);
    if (this.#loads.size === PROVIDERS_MAX) {
      const [oldest] = this.#loads.keys();
      this.#loads.delete(oldest!);
    }
    this.#loads.set(provider, load);
    return load;
  }
}
