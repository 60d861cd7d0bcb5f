/**
 * A binary heap of small whole numbers (slots of the token store), first the one that `before` puts first.
 * Always holds: every slot is in it at most once; pushing, removing and moving one cost the logarithm of their number.
 */
export interface SlotOrder {
  before(one: number, other: number): boolean;
  /** Where the heap keeps the place of a slot; -1: not in it. */
  placeOf(slot: number): number;
  setPlace(slot: number, place: number): void;
}

export class SlotHeap {
  readonly #order: SlotOrder;
  #slots = new Uint32Array(64);
  #count = 0;

  constructor(order: SlotOrder) {
    this.#order = order;
  }

  get first(): number | undefined {
    return this.#count === 0 ? undefined : this.#slots[0];
  }

  push(slot: number): void {
    if (this.#count === this.#slots.length) {
      const larger = new Uint32Array(this.#slots.length * 2);
      larger.set(this.#slots);
      this.#slots = larger;
    }
    this.#put(this.#count, slot);
    this.#count += 1;
    this.#rise(this.#count - 1);
  }

  remove(slot: number): void {
    const place = this.#order.placeOf(slot);
    if (place < 0) return;
    this.#order.setPlace(slot, -1);
    this.#count -= 1;
    if (place === this.#count) return;
    this.#put(place, this.#slots[this.#count]!);
    this.#settle(place);
  }

  /** What `before` says of the slot has changed. */
  moved(slot: number): void {
    const place = this.#order.placeOf(slot);
    if (place >= 0) this.#settle(place);
  }

  #settle(place: number): void {
    if (this.#rise(place) === place) this.#sink(place);
  }

  #rise(place: number): number {
    const slot = this.#slots[place]!;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.#order.before(slot, this.#slots[parent]!)) break;
      this.#put(place, this.#slots[parent]!);
      place = parent;
    }
    this.#put(place, slot);
    return place;
  }

  #sink(place: number): void {
    const slot = this.#slots[place]!;
    for (;;) {
      let child = place * 2 + 1;
      if (child >= this.#count) break;
      if (child + 1 < this.#count && this.#order.before(this.#slots[child + 1]!, this.#slots[child]!))
        child += 1;
      if (!this.#order.before(this.#slots[child]!, slot)) break;
      this.#put(place, this.#slots[child]!);
      place = child;
    }
    this.#put(place, slot);
  }

  #put(place: number, slot: number): void {
    this.#slots[place] = slot;
    this.#order.setPlace(slot, place);
  }
}
