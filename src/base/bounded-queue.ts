/**
 * A first-in first-out queue that never holds more than its limit.
 * Always holds: `push` and `shift` cost a constant amount; what was taken out is no longer referred to.
 */
import { assert } from "./assert.ts";

const CAPACITY_MIN = 16;

export class BoundedQueue<Item> {
  readonly lengthMax: number;
  /** A ring whose capacity is a power of two and doubles when needed. */
  #ring: (Item | undefined)[] = new Array(CAPACITY_MIN).fill(undefined);
  #head = 0;
  #length = 0;

  constructor(lengthMax: number) {
    assert(Number.isInteger(lengthMax) && lengthMax > 0, "a queue's limit is a positive whole number");
    this.lengthMax = lengthMax;
  }

  get length(): number {
    return this.#length;
  }

  /** False, with nothing changed, when the queue is full. */
  push(item: Item): boolean {
    if (this.#length === this.lengthMax) return false;
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = item;
    this.#length++;
    return true;
  }

  /** The oldest item, which stays; undefined when there is none. */
  peek(): Item | undefined {
    return this.#ring[this.#head];
  }

  /** Takes out the oldest item; undefined when there is none. */
  shift(): Item | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    return item;
  }

  #grow(): void {
    const ring: (Item | undefined)[] = new Array(this.#ring.length * 2).fill(undefined);
    for (let index = 0; index < this.#length; index++) {
      ring[index] = this.#ring[(this.#head + index) & (this.#ring.length - 1)];
    }
    this.#ring = ring;
    this.#head = 0;
  }
}
