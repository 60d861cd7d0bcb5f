/**
 * Where blocks were seen, by their hashes: a destination that does not find a hash token's block at its source looks
 * here (T23).
 *
 * Always holds: a place is a hint, and whoever goes there compares; no more than `PLACES_MAX`, the oldest are forgotten.
 */

export interface KnownPlace {
  /** What it is in, as in a hash token. */
  readonly locator: Uint8Array;
  readonly offsetBytes: number;
}

/** About 250 bytes each. */
const PLACES_MAX = 16_384;

export class KnownPlaces {
  /** In the order in which they were seen. */
  readonly #places = new Map<string, KnownPlace>();

  /** The newest place of a block is the one that is known. */
  seen(hash: Uint8Array, place: KnownPlace): void {
    const key = keyOf(hash);
    this.#places.delete(key);
    if (this.#places.size === PLACES_MAX) {
      const [oldest] = this.#places.keys();
      this.#places.delete(oldest!);
    }
    this.#places.set(key, { locator: place.locator.slice(), offsetBytes: place.offsetBytes });
  }

  find(hash: Uint8Array): KnownPlace | undefined {
    return this.#places.get(keyOf(hash));
  }
}

function keyOf(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.length).toString("base64");
}
