/**
 * The copies in work at the front of a queue, so that whoever looks for something to do need not pass them one by one:
 * they may be thousands.
 *
 * Always holds: every entry up to the last one passed is a `sync-copy` that is claimed.
 */
import type { QueuedEntry } from "./entry.ts";
import type { EntryList } from "./entry-list.ts";

export class ClaimedFront {
  readonly #list: EntryList;
  #last: QueuedEntry | undefined;

  constructor(list: EntryList) {
    this.#list = list;
  }

  /** The first entry behind them; undefined: there is none. */
  next(): QueuedEntry | undefined {
    let entry = this.#last === undefined ? this.#list.first : this.#last.next;
    for (; entry?.kind === "sync-copy" && entry.state === "claimed"; entry = entry.next) this.#last = entry;
    return entry;
  }

  /** Before it is taken out of the list. */
  leaves(entry: QueuedEntry): void {
    if (entry === this.#last) this.#last = entry.previous;
  }

  /** It is claimed no more, and stays in the list. */
  waitsAgain(entry: QueuedEntry): void {
    if (this.#last !== undefined && entry.number <= this.#last.number) this.#last = entry.previous;
  }
}
