/**
 * What is done for SYNC_COPY entries: small files many at a time, large ones in parts (F9, F10).
 *
 * Always holds: a large file that was put back is kept open with its connection, and begun anew when a command touched its
 * path meanwhile. Files of which the first try shows that the target is otherwise become repairs.
 */
import type { FileFailure } from "../../ports/mod.ts";
import type { Entry, NewEntry } from "../queue/entry.ts";
import type { TargetConnection } from "../threads/connection.ts";
import type { CopyResult, RunBudget } from "../threads/entry-work.ts";
import { isContentSame } from "./content-comparison.ts";
import { needsRepair } from "./failure-kinds.ts";
import { LargeCopy, type LargeCopyOutcome } from "./large-copies.ts";
import { INLINE_BYTES_MAX, type SentItem, sendPaths } from "./send-paths.ts";
import { namesFollow, placesOf, repairAround, sourcePath, type WorkParts } from "./work-parts.ts";

/** Small files whose contents are compared at the same time. */
const COMPARED_AT_ONCE = 32;

interface Gathered {
  readonly done: Entry[];
  readonly putBack: Entry[];
  readonly append: NewEntry[];
  readonly failures: FileFailure[];
  bytes: number;
  /** Milliseconds since 1970. */
  readonly beganMs: number;
}

export class CopyWork {
  readonly #parts: WorkParts;
  readonly #open = new Map<Entry, LargeCopy>();

  constructor(parts: WorkParts) {
    this.#parts = parts;
  }

  async run(entries: readonly Entry[], connection: TargetConnection, budget: RunBudget): Promise<CopyResult> {
    const { clock, reads } = this.#parts;
    const beganMs = clock.wallMs();
    const gathered: Gathered = { done: [], putBack: [], append: [], failures: [], bytes: 0, beganMs };
    const since = reads.begin();
    const [first] = entries;
    if (
      entries.length === 1 &&
      first !== undefined &&
      (this.#open.has(first) || first.sizeBytes > INLINE_BYTES_MAX)
    )
      await this.#large(first, connection, budget, gathered);
    else await this.#small(entries, connection, budget, gathered);
    reads.ended(since, placesOf(entries));
    const { done, putBack, append, failures, bytes } = gathered;
    return { done, putBack, append, failures, bytes, untouched: [] };
  }

  connectionEnded(connection: TargetConnection): void {
    for (const [entry, copy] of this.#open)
      if (copy.connection === connection) {
        this.#open.delete(entry);
        void copy.drop();
      }
  }

  async #small(
    entries: readonly Entry[],
    connection: TargetConnection,
    budget: RunBudget,
    gathered: Gathered,
  ): Promise<void> {
    const { source, dirty, counters } = this.#parts;
    const items: { entry: Entry; path: string }[] = [];
    const isEqual = await this.#areEqual(entries, connection);
    for (const [index, entry] of entries.entries()) {
      const path = sourcePath(entry);
      // It went away: a command that says where follows, or said so.
      if (path === undefined || isEqual[index] === true) gathered.done.push(entry);
      else items.push({ entry, path });
    }
    const result = await sendPaths({
      source,
      connection,
      items,
      pathOf: ({ entry, path }) => ({ source: path, target: entry.path }),
      what: "content",
      order: "any",
    });
    gathered.bytes += result.bytes;
    counters.torn += result.torn;
    for (const { item, attributes } of result.sent) {
      this.#sent(item.entry, attributes, gathered);
      dirty.touchedIn(item.entry.path);
    }
    for (const { entry } of result.absent) gathered.done.push(entry);
    for (const { item, failure, side } of result.failed) this.#failed(item.entry, failure, side, gathered);
    // It grew since it was listed.
    for (const { item } of result.large) await this.#large(item.entry, connection, budget, gathered);
  }

  /** Some at a time: each has a file open at the source. */
  async #areEqual(entries: readonly Entry[], connection: TargetConnection): Promise<boolean[]> {
    const isEqual: boolean[] = [];
    if (entries.every(({ mode }) => mode !== "incremental")) return isEqual;
    let next = 0;
    const workers = Array.from({ length: Math.min(COMPARED_AT_ONCE, entries.length) }, async () => {
      for (let index = next++; index < entries.length; index = next++)
        isEqual[index] = await this.#isEqual(entries[index]!, connection);
    });
    const outcomes = await Promise.allSettled(workers);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    return isEqual;
  }

  /** Of an incremental copy: only what differs is sent. */
  #isEqual(entry: Entry, connection: TargetConnection): Promise<boolean> | false {
    const path = sourcePath(entry);
    if (entry.mode !== "incremental" || entry.isDirectory || path === undefined) return false;
    return isContentSame({ parts: this.#parts, connection, entry, path });
  }

  async #large(
    entry: Entry,
    connection: TargetConnection,
    budget: RunBudget,
    gathered: Gathered,
  ): Promise<void> {
    const path = sourcePath(entry);
    let copy = this.#open.get(entry);
    this.#open.delete(entry);
    if (copy !== undefined && (entry.isTouched || path === undefined)) {
      await copy.drop();
      copy = undefined;
    }
    if (path === undefined) {
      gathered.done.push(entry);
      return;
    }
    let outcome: LargeCopyOutcome | undefined;
    try {
      const mode = entry.mode === "full" ? "full" : "incremental";
      if (copy === undefined) {
        const { source } = this.#parts;
        const begun = await LargeCopy.begin({ source, connection, sourcePath: path, path: entry.path, mode });
        if (begun instanceof LargeCopy) copy = begun;
        else outcome = begun;
      }
      if (copy !== undefined) {
        const before = copy.bytes;
        outcome = await copy.goOn(entry.path, budget);
        gathered.bytes += copy.bytes - before;
      }
    } catch (error) {
      if (copy !== undefined) void copy.drop();
      throw error;
    }
    // Its removal follows, or was told.
    if (outcome === undefined || outcome.what === "absent") gathered.done.push(entry);
    else if (outcome.what === "putBack") {
      this.#open.set(entry, copy!);
      gathered.putBack.push(entry);
    } else if (outcome.what === "failed") this.#failed(entry, outcome.failure, outcome.side, gathered);
    else {
      if (outcome.isTorn) this.#parts.counters.torn += 1;
      this.#parts.dirty.touchedIn(entry.path);
      this.#sent(entry, outcome.attributes, gathered);
    }
  }

  #sent(entry: Entry, attributes: SentItem<Entry>["attributes"], { done, beganMs }: Gathered): void {
    const { sent, counters, dirty } = this.#parts;
    done.push(entry);
    sent.sent(entry.path, attributes, beganMs);
    if (attributes.kind === "directory") dirty.add(entry.path);
    else counters.copiedFiles += 1;
    namesFollow(this.#parts, entry.place, attributes);
  }

  #failed(
    entry: Entry,
    failure: FileFailure,
    side: "source" | "target",
    { done, append, failures }: Gathered,
  ): void {
    done.push(entry);
    if (side === "target" && needsRepair(failure)) {
      const repair = repairAround(this.#parts, entry.place);
      if (repair !== undefined) {
        append.push(...repair);
        return;
      }
    }
    failures.push(failure);
  }
}
