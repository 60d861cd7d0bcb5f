/**
 * What was read at the source for entries, until it is known that it was of what they mean. An entry's place has the path that
 * the last event told of; by then a directory above it may have been moved, and what is read there is nothing, or another
 * thing's.
 *
 * Always holds: every read is looked at when all events are told that happened before it ended; one above which a
 * directory moved since it began is `stale`, and counts until then for `checked`. What has no place is marked at its
 * directory, which is compared when it has one again.
 */
import type { SourcePlace } from "../capture/change.ts";
import { DirectoryNode } from "../capture/directory-node.ts";

interface EndedReads {
  readonly since: number;
  readonly places: readonly SourcePlace[];
}

export interface SourceReadsOptions {
  /** Resolves when every event that happened before the call was told. */
  readonly drained: () => Promise<void>;
  readonly stale: (place: SourcePlace) => void;
}

export class SourceReads {
  readonly #options: SourceReadsOptions;
  #ended: EndedReads[] = [];
  /** How often something was ended, and up to which of them all is looked at. */
  #endings = 0;
  #looked = 0;
  #checking: Promise<void> | undefined;

  constructor(options: SourceReadsOptions) {
    this.#options = options;
  }

  /** Before the paths of places are asked for: what `ended` is to be told. */
  begin(): number {
    return DirectoryNode.moves;
  }

  /** Resolves when every event that happened before the call was told. */
  told(): Promise<void> {
    return this.#options.drained();
  }

  /** What is at these places was read, all of it between `begin` and now. */
  ended(since: number, places: readonly SourcePlace[]): void {
    if (places.length === 0) return;
    this.#ended.push({ since, places });
    this.#endings += 1;
    // Whoever waits sees why it failed; the source is lost then.
    this.checked().catch(() => undefined);
  }

  /** Resolves when everything that was read before the call is looked at. Errors: those of `drained`. */
  async checked(): Promise<void> {
    const endings = this.#endings;
    while (this.#looked < endings) {
      this.#checking ??= this.#check().finally(() => (this.#checking = undefined));
      await this.#checking;
    }
  }

  async #check(): Promise<void> {
    const ended = this.#ended;
    this.#ended = [];
    const endings = this.#endings;
    await this.#options.drained();
    this.#looked = endings;
    for (const { since, places } of ended) {
      if (DirectoryNode.moves === since) continue;
      for (const place of places) if (place.directory.movedSince(since)) this.#options.stale(place);
    }
  }
}
