/**
 * The entries of a queue that are not done, in their order, as a doubly linked list: a large file that is copied for
 * minutes does not keep the thousands behind it that are done.
 *
 * Always holds: numbers grow from first to last; appending and taking out cost a constant amount.
 */
import type { QueuedEntry } from "./entry.ts";

export class EntryList implements Iterable<QueuedEntry> {
  #first: QueuedEntry | undefined;
  #last: QueuedEntry | undefined;
  #length = 0;

  get first(): QueuedEntry | undefined {
    return this.#first;
  }

  get length(): number {
    return this.#length;
  }

  append(entry: QueuedEntry): void {
    entry.previous = this.#last;
    if (this.#last === undefined) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
    this.#length++;
  }

  remove(entry: QueuedEntry): void {
    if (entry.previous === undefined) this.#first = entry.next;
    else entry.previous.next = entry.next;
    if (entry.next === undefined) this.#last = entry.previous;
    else entry.next.previous = entry.previous;
    entry.next = undefined;
    entry.previous = undefined;
    this.#length--;
  }

  *[Symbol.iterator](): IterableIterator<QueuedEntry> {
    for (let entry = this.#first; entry !== undefined; entry = entry.next) yield entry;
  }
}
