/**
 * Directories that were repaired too often lately: all of them are compared again together, a while later or when somebody
 * waits for it.
 *
 * Always holds: while a directory waits here, `isEmpty` says so: what waits for all that follows waits for it too. When the
 * target was stopped nothing is compared any more.
 */
import type { Clock } from "../../ports/mod.ts";
import type { DirectoryNode } from "../capture/directory-node.ts";
import type { RepairLimits } from "./repair-limits.ts";

/** So long after it was put off a directory is compared again. */
const REPAIR_LATER_MS = 1000;

export interface LateRepairsOptions {
  readonly clock: Clock;
  readonly limits: RepairLimits;
  /** Aborted when the target is stopped. */
  readonly signal: AbortSignal;
  /** The directory is to be compared now. */
  readonly repair: (directory: DirectoryNode) => void;
}

export class LateRepairs {
  readonly #options: LateRepairsOptions;
  readonly #directories = new Set<DirectoryNode>();
  #isTimed = false;

  constructor(options: LateRepairsOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#directories.size === 0;
  }

  add(directory: DirectoryNode): void {
    const { clock, signal } = this.#options;
    this.#directories.add(directory);
    if (this.#isTimed) return;
    this.#isTimed = true;
    clock.after(REPAIR_LATER_MS, () => {
      this.#isTimed = false;
      if (!signal.aborted) this.repairAll();
    });
  }

  /** Without waiting longer. */
  repairAll(): void {
    const { limits, repair } = this.#options;
    for (const directory of this.#directories) {
      limits.repairedLate(directory.path ?? "");
      repair(directory);
    }
    this.#directories.clear();
  }
}
