/**
 * `npm run sim`: runs the seeds of a scenario, and says for each failed one what was violated and how to
 * replay it. The last line is `N passed, M failed`; the exit code is 1 if any failed, 2 for wrong usage.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { plants } from "./plants.ts";
import type { Scenario } from "./scenario.ts";
import { scenarios } from "./scenarios/mod.ts";
import { runSeeds } from "./seed-runner.ts";
import type { WorkerReport } from "./worker.ts";

const usage = `usage: npm run sim -- [--scenario NAME] [--seeds A..B] [--plant BUG]... [--jobs N] [--twice] [--verbose]
       npm run sim -- --plants`;
const seedMsMax = 10 * 60 * 1000;
const progressMs = 30_000;

let options: ReturnType<typeof readOptions>;
try {
  options = readOptions();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n${usage}`);
  process.exit(2);
}
if (options.listPlants) {
  for (const { name, what } of plants) console.log(`${name.padEnd(24)} ${what}`);
} else if (!(await runScenarios(options))) process.exitCode = 1;

function readOptions() {
  const { values } = parseArgs({
    options: {
      scenario: { type: "string" },
      seeds: { type: "string" },
      plant: { type: "string", multiple: true },
      plants: { type: "boolean" },
      jobs: { type: "string" },
      twice: { type: "boolean" },
      verbose: { type: "boolean" },
    },
  });
  const chosen =
    values.scenario === undefined ? scenarios : scenarios.filter(({ name }) => name === values.scenario);
  if (chosen.length === 0)
    throw new Error(
      `no scenario ${values.scenario}; there are ${scenarios.map(({ name }) => name).join(", ")}`,
    );
  const planted = values.plant ?? [];
  for (const name of planted)
    if (!plants.some((plant) => plant.name === name)) throw new Error(`no bug ${name}; --plants lists them`);
  const jobs = values.jobs === undefined ? availableParallelism() : Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error("--jobs wants a number from 1");
  return {
    chosen,
    seeds: values.seeds === undefined ? undefined : readSeeds(values.seeds),
    planted,
    listPlants: values.plants ?? false,
    jobs,
    twice: values.twice ?? false,
    verbose: values.verbose ?? false,
  };
}

function readSeeds(text: string): readonly [number, number] {
  const match = /^(\d+)(?:\.\.(\d+))?$/.exec(text);
  if (match === null) throw new Error("--seeds wants A..B, both inclusive");
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (last < first) throw new Error("--seeds wants A..B with A not above B");
  return [first, last];
}

async function runScenarios({
  chosen,
  seeds,
  planted,
  jobs,
  twice,
  verbose,
}: typeof options): Promise<boolean> {
  let passed = 0;
  let failed = 0;
  for (const scenario of chosen) {
    const [firstSeed, lastSeed] = seeds ?? scenario.defaultSeeds;
    const totals: Record<string, number> = {};
    const startedMs = performance.now();
    let printedMs = startedMs;
    await runSeeds({
      task: { scenario: scenario.name, plants: planted, verbose, twice },
      firstSeed,
      lastSeed,
      jobs: verbose ? 1 : jobs,
      seedMsMax,
      // One proof is enough that a planted bug is found.
      failuresMax: planted.length > 0 ? 1 : 100,
      onReport(report) {
        if (report.outcome === "passed") {
          passed++;
          for (const [name, count] of Object.entries(report.result.counts))
            totals[name] = (totals[name] ?? 0) + count;
        } else {
          failed++;
          printFailure(scenario, planted, report);
        }
        if (performance.now() - printedMs < progressMs) return;
        printedMs = performance.now();
        console.log(`${scenario.name}: ${passed} passed, ${failed} failed so far`);
      },
    });
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    const sums = Object.entries(totals).map(([name, count]) => `${count} ${name}`);
    console.log(`${scenario.name}: seeds ${firstSeed}..${lastSeed} in ${seconds} s; ${sums.join(", ")}`);
    if (planted.length > 0 && failed > 0) break;
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0;
}

function printFailure(
  scenario: Scenario,
  planted: readonly string[],
  report: WorkerReport & { outcome: "failed" },
): void {
  const bugs = planted.map((name) => ` --plant ${name}`).join("");
  console.log(`seed ${report.seed} of ${scenario.name} failed the check ${report.check}\n  ${report.detail}`);
  console.log(
    `  replay: npm run sim -- --scenario ${scenario.name} --seeds ${report.seed}..${report.seed}${bugs}`,
  );
}
