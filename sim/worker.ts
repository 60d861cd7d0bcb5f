/**
 * Runs seeds of a scenario in a thread of its own, one after the other, and reports each to the main thread.
 * A defect that nobody caught ends the thread: what it left behind may still be running.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Pool } from "../src/pool/mod.ts";
import { CheckFailed } from "./check-failed.ts";
import type { RunResult } from "./scenario.ts";
import { scenarioNamed } from "./scenarios/mod.ts";

export interface WorkerTask {
  readonly scenario: string;
  readonly plants: readonly string[];
  readonly verbose: boolean;
  /** Runs each seed twice and compares the traces. */
  readonly twice: boolean;
}

export type WorkerReport =
  | { readonly seed: number; readonly outcome: "passed"; readonly ms: number; readonly result: RunResult }
  | {
      readonly seed: number;
      readonly outcome: "failed";
      readonly ms: number;
      readonly check: string;
      readonly detail: string;
    };

const port = parentPort!;
const task = workerData as WorkerTask;
const scenario = scenarioNamed(task.scenario);
let running: { seed: number; startedMs: number } | undefined;

process.on("unhandledRejection", (error) => end("unhandled-rejection", error));
process.on("uncaughtException", (error) => end("uncaught-exception", error));
port.on("message", (seed: number) => void runSeed(seed));

async function runSeed(seed: number): Promise<void> {
  running = { seed, startedMs: performance.now() };
  try {
    const result = await runOnce(seed);
    if (task.twice) {
      const again = await runOnce(seed);
      if (again.traceHash !== result.traceHash)
        throw new CheckFailed("determinism", `trace ${result.traceHash}, then ${again.traceHash}`);
    }
    report({ seed, outcome: "passed", ms: performance.now() - running.startedMs, result });
  } catch (error) {
    report(failure(seed, error));
  }
}

function runOnce(seed: number): Promise<RunResult> {
  return scenario.run({ engine: Pool, seed, plants: new Set(task.plants), verbose: task.verbose });
}

function failure(seed: number, error: unknown, name?: string): WorkerReport {
  const check =
    name ?? (error instanceof CheckFailed ? error.check : error instanceof Error ? error.name : "error");
  const detail =
    error instanceof CheckFailed ? error.message : error instanceof Error ? describe(error) : String(error);
  return { seed, outcome: "failed", ms: performance.now() - (running?.startedMs ?? 0), check, detail };
}

function describe(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${describe(error.cause)}` : "";
  return `${error.stack}${cause}`;
}

function report(message: WorkerReport): void {
  running = undefined;
  port.postMessage(message);
}

function end(name: string, error: unknown): void {
  if (running !== undefined) report(failure(running.seed, error, name));
  setImmediate(() => process.exit(1));
}
