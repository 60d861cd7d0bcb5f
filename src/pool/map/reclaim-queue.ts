/**
 * What is to be given back in the background: nodes that nothing refers to any more (to drop, with what only
 * they held) and leaves that only one other leaf refers to (to shrink to what that one uses).
 * Always holds: the queue is part of every checkpoint, so what a crash interrupts goes on.
 */

import { RopewalkError } from "../../base/errors.ts";
import { highWord, joinWords } from "../../base/words.ts";

export class ReclaimQueue {
  #drops: number[] = [];
  #shrinks = new Set<number>();
  onWork: (() => void) | undefined;

  get length(): number {
    return this.#drops.length + this.#shrinks.size;
  }

  drop(id: number): void {
    this.#shrinks.delete(id);
    this.#drops.push(id);
    this.onWork?.();
  }

  shrink(id: number): void {
    this.#shrinks.add(id);
    this.onWork?.();
  }

  forget(id: number): void {
    this.#shrinks.delete(id);
  }

  /** A node to drop (depth first, so that the queue stays short), to be confirmed by `dropped`. */
  nextDrop(): number | undefined {
    return this.#drops[this.#drops.length - 1];
  }

  dropped(id: number): void {
    const at = this.#drops.lastIndexOf(id);
    if (at >= 0) this.#drops.splice(at, 1);
  }

  nextShrink(): number | undefined {
    for (const id of this.#shrinks) return id;
    return undefined;
  }

  /** The queue as words: number of drops, then all ids. */
  encode(): Uint32Array {
    const ids = [...this.#drops, ...this.#shrinks];
    const words = new Uint32Array(2 + ids.length * 2);
    words[0] = this.#drops.length;
    words[1] = ids.length;
    ids.forEach((id, index) => {
      words[2 + index * 2] = id >>> 0;
      words[3 + index * 2] = highWord(id);
    });
    return words;
  }

  restore(words: Uint32Array): void {
    const drops = words[0] ?? 0;
    const total = words[1] ?? 0;
    if (words.length !== 2 + total * 2 || drops > total)
      throw new RopewalkError("POOL_DAMAGED", "the drop-list is malformed");
    for (let index = 0; index < total; index += 1) {
      const id = joinWords(words[2 + index * 2]!, words[3 + index * 2]!);
      if (index < drops) this.#drops.push(id);
      else this.#shrinks.add(id);
    }
  }
}
