/**
 * The bulks of one target: those that are asked for, and those by which its trees are compared again.
 *
 * Always holds: one bulk at a time, in the order in which they were asked for. Behind one that failed the whole tree is
 * compared again, at most so often. Why a bulk failed is told (`held`, `error`) until one of the whole tree succeeds.
 * MASS_DELETION, SOURCE_MISSING, CANCELLED, SHUTTING_DOWN.
 */
import { asRopewalkError, type RopewalkError } from "../base/errors.ts";
import type { Clock, Timer, TreePath } from "../ports/mod.ts";
import {
  Bulk,
  type BulkParts,
  type BulkProgress,
  type BulkResult,
  type PlannedChange,
} from "./compare/bulk.ts";
import type { SyncMode } from "./compare/tree-comparison.ts";

/** By itself the whole tree is compared at most so often. */
const COMPARE_AGAIN_MS = 60_000;

export interface LaneBulkOptions {
  readonly mode: SyncMode;
  readonly allowDeletes: boolean;
}

export interface LaneBulksParts {
  /** What every bulk of the target works with. */
  readonly bulk: BulkParts;
  readonly clock: Clock;
  /** Aborted when the target is stopped. */
  readonly signal: AbortSignal;
  /** Trees are being compared until the returned function is called. */
  readonly comparing: () => () => void;
  readonly report: (sentence: string) => void;
}

interface RunningBulk {
  readonly bulk: Bulk;
  readonly abort: AbortController;
}

export class LaneBulks {
  readonly #parts: LaneBulksParts;
  #turn: Promise<unknown> = Promise.resolve();
  #running: RunningBulk | undefined;
  #waiting = 0;
  #held: RopewalkError | undefined;
  #error: RopewalkError | undefined;
  #comparedMs = Number.NEGATIVE_INFINITY;
  #comparesSoon: Timer | undefined;

  constructor(parts: LaneBulksParts) {
    this.#parts = parts;
  }

  /** When those before have ended. MASS_DELETION, SOURCE_MISSING, CANCELLED, SHUTTING_DOWN */
  run(path: TreePath, options: LaneBulkOptions): Promise<BulkResult> {
    this.#waiting += 1;
    const done = this.#turn.then(() => this.#run(path, options));
    this.#turn = done.catch(() => undefined);
    return done.finally(() => (this.#waiting -= 1));
  }

  /** What a bulk of the whole tree would do; it waits for no other. */
  async plan(mode: SyncMode): Promise<{ changes: PlannedChange[]; result: BulkResult }> {
    const { bulk, signal } = this.#parts;
    return await new Bulk(bulk, { path: "", mode, allowDeletes: false, signal }).plan();
  }

  /** Ends the bulk that runs; what it has copied stays. */
  cancel(): void {
    this.#running?.abort.abort();
  }

  /** Resolves when all that were asked for before the call have ended. */
  ended(): Promise<unknown> {
    return this.#turn;
  }

  /** None runs or waits for its turn. */
  get isEmpty(): boolean {
    return this.#waiting === 0;
  }

  get progress(): BulkProgress | undefined {
    return this.#running?.bulk.progress;
  }

  /** Why nothing is removed: it would be suspiciously much. */
  get held(): RopewalkError | undefined {
    return this.#held;
  }

  get error(): RopewalkError | undefined {
    return this.#error;
  }

  /** What was due is not begun any more. */
  stop(): void {
    this.#comparesSoon?.cancel();
  }

  async #run(path: TreePath, options: LaneBulkOptions): Promise<BulkResult> {
    const { clock, report, comparing } = this.#parts;
    const abort = new AbortController();
    const signal = AbortSignal.any([abort.signal, this.#parts.signal]);
    const bulk = new Bulk(this.#parts.bulk, { path, ...options, signal });
    this.#running = { bulk, abort };
    if (path === "") this.#comparedMs = clock.nowMs();
    const ended = comparing();
    try {
      // A tree in which renames are still to be done looks equal where it is not.
      await this.#parts.bulk.queue.renamed();
      const result = await bulk.run();
      if (path === "") {
        this.#held = undefined;
        this.#error = undefined;
      }
      return result;
    } catch (error) {
      const known = asRopewalkError(error);
      if (known.code === "MASS_DELETION") {
        this.#held = known;
        report(known.message);
      } else {
        this.#error = known;
        if (known.code !== "CANCELLED") this.compareSoon();
      }
      throw known;
    } finally {
      this.#running = undefined;
      ended();
    }
  }

  // ---- the whole tree again ----

  /** A comparison of the whole tree is due. */
  get comparesSoon(): boolean {
    return this.#comparesSoon !== undefined;
  }

  compareSoon(): void {
    const { clock, signal } = this.#parts;
    if (this.#comparesSoon !== undefined || signal.aborted) return;
    const waitMs = Math.max(0, this.#comparedMs + COMPARE_AGAIN_MS - clock.nowMs());
    this.#comparesSoon = clock.after(waitMs, () => this.compareNow());
  }

  compareNow(): void {
    this.#comparesSoon?.cancel();
    this.#comparesSoon = undefined;
    if (this.#parts.signal.aborted) return;
    this.compare("");
  }

  /** By attributes, when its turn comes; nobody waits for it. */
  compare(path: TreePath): void {
    this.run(path, { mode: "attributes", allowDeletes: false }).catch(() => undefined);
  }
}
