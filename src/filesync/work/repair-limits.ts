/**
 * How often a directory is compared again because the work on it fails: a target that cannot take something must not be
 * compared for ever.
 *
 * Always holds: a directory is given up (`never`) only when it was tried again later, several times, and nothing changed at
 * the source meanwhile: what its entries need may still stand in the queue. Many names of one directory fail together, and
 * count once.
 */
import type { Clock, TreePath } from "../../ports/mod.ts";

/** At once, in so long. */
const REPAIRS_MAX = 5;
const REPAIRS_MS = 60_000;
/** Failures within so long are of one try. */
const TOGETHER_MS = 20;
/** Later, while nothing changes. */
const LATE_REPAIRS_MAX = 3;
/** Directories that are remembered. */
const DIRECTORIES_MAX = 1024;

interface Repair {
  count: number;
  readonly sinceMs: number;
  lastMs: number;
  changes: number;
  lates: number;
}

export class RepairLimits {
  readonly #clock: Clock;
  readonly #repairs = new Map<TreePath, Repair>();
  /** Changes of the source, so far. */
  #changes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  sourceChanged(): void {
    this.#changes += 1;
  }

  mayRepair(path: TreePath): "now" | "later" | "never" {
    const nowMs = this.#clock.nowMs();
    if (this.#repairs.size > DIRECTORIES_MAX) this.#repairs.clear();
    const repair = this.#repairs.get(path);
    if (repair === undefined || nowMs - repair.sinceMs > REPAIRS_MS) {
      this.#repairs.set(path, { count: 1, sinceMs: nowMs, lastMs: nowMs, changes: this.#changes, lates: 0 });
      return "now";
    }
    if (nowMs - repair.lastMs > TOGETHER_MS) repair.count += 1;
    repair.lastMs = nowMs;
    if (repair.count <= REPAIRS_MAX) return "now";
    if (repair.changes !== this.#changes) repair.lates = 0;
    return repair.lates >= LATE_REPAIRS_MAX ? "never" : "later";
  }

  /** What was to be repaired later is tried now: its count begins anew. */
  repairedLate(path: TreePath): void {
    const repair = this.#repairs.get(path);
    if (repair === undefined) return;
    repair.count = 1;
    repair.lates += 1;
    repair.changes = this.#changes;
  }
}
