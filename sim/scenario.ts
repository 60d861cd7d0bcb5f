/** What a scenario is, for the runner: a run from a seed that throws when something is wrong. */
import type { Engine } from "./machine.ts";

export interface RunOptions {
  readonly engine: Engine;
  readonly seed: number;
  /** Bugs to plant, by the names of plants.ts. */
  readonly plants: ReadonlySet<string>;
  /** Prints every disk call. */
  readonly verbose: boolean;
}

export interface RunResult {
  /** Two runs of one seed must have the same. */
  readonly traceHash: string;
  /** What happened, for totals: crashes, requests, cases. */
  readonly counts: Readonly<Record<string, number>>;
}

export interface Scenario {
  readonly name: string;
  readonly summary: string;
  /** Seeds that are run when none are named. */
  readonly defaultSeeds: readonly [number, number];
  run(options: RunOptions): Promise<RunResult>;
}
