/** For the tests: runs seeds of a scenario on two threads and returns the failures as sentences. */
import { runSeeds } from "./seed-runner.ts";

const jobs = 2;
const seedMsMax = 120_000;

export interface TestRun {
  readonly scenario: string;
  readonly seeds: readonly [number, number];
  readonly plants?: readonly string[];
  readonly twice?: boolean;
  /** Stops after this many failures. */
  readonly failuresMax?: number;
}

export async function failuresOf({
  scenario,
  seeds,
  plants,
  twice,
  failuresMax,
}: TestRun): Promise<string[]> {
  const failures: string[] = [];
  await runSeeds({
    task: { scenario, plants: plants ?? [], verbose: false, twice: twice ?? false },
    firstSeed: seeds[0],
    lastSeed: seeds[1],
    jobs,
    seedMsMax,
    failuresMax: failuresMax ?? 3,
    onReport(report) {
      if (report.outcome === "failed")
        failures.push(`seed ${report.seed}: ${report.check}: ${report.detail}`);
    },
  });
  return failures;
}
