import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.ts";
import { churnRun } from "./churn-run.ts";

/** `npm run torture -- filesync-churn` has more seeds. */
const RUNS = [
  { seed: 1, threads: 1, barrier: "tree" },
  { seed: 2, threads: 4, barrier: "tree" },
  { seed: 3, threads: 16, barrier: "tree" },
  { seed: 4, threads: 1, barrier: "path" },
  { seed: 5, threads: 4, barrier: "path" },
] as const;

for (const run of RUNS)
  test(
    `after random churn before, during and behind the bulk the target equals the source (seed ${run.seed}, ${run.threads} threads, barrier ${run.barrier})`,
    needs("rsync", "getfattr"),
    async () => {
      const explained: string[] = [];
      const problems = await churnRun({ ...run, lifeMs: 800, explain: (lines) => explained.push(...lines) });
      assert.deepEqual(problems, [], explained.slice(-60).join("\n"));
    },
  );
