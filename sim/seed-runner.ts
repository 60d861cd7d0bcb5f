/**
 * Spreads seeds over worker threads and gathers what they report.
 * Always holds: every seed is reported once, also when its thread dies or does not come to an end.
 */
import { Worker } from "node:worker_threads";
import type { WorkerReport, WorkerTask } from "./worker.ts";

export interface SeedRun {
  readonly task: WorkerTask;
  readonly firstSeed: number;
  readonly lastSeed: number;
  readonly jobs: number;
  /** A seed that runs longer has hung. */
  readonly seedMsMax: number;
  /** Stops handing out seeds after this many failures. */
  readonly failuresMax: number;
  readonly onReport: (report: WorkerReport) => void;
}

export async function runSeeds(run: SeedRun): Promise<void> {
  let next = run.firstSeed;
  let failures = 0;
  const take = () => (next <= run.lastSeed && failures < run.failuresMax ? next++ : undefined);
  const jobs = Math.min(run.jobs, run.lastSeed - run.firstSeed + 1);
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      let thread: SeedThread | undefined;
      for (let seed = take(); seed !== undefined; seed = take()) {
        thread ??= new SeedThread(run.task);
        const report = await thread.run(seed, run.seedMsMax);
        if (report.outcome === "failed") failures++;
        run.onReport(report);
        if (!thread.usable) {
          await thread.end();
          thread = undefined;
        }
      }
      await thread?.end();
    }),
  );
}

class SeedThread {
  readonly #worker: Worker;
  usable = true;

  constructor(task: WorkerTask) {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData: task });
  }

  run(seed: number, msMax: number): Promise<WorkerReport> {
    return new Promise((resolve) => {
      const startedMs = performance.now();
      const finish = (report: WorkerReport) => {
        clearTimeout(timer);
        // One by one: removing all listeners takes along those by which Node starts the message port.
        this.#worker.off("message", finish);
        this.#worker.off("error", broken);
        this.#worker.off("exit", ended);
        this.usable &&= report.outcome === "passed";
        resolve(report);
      };
      const fail = (check: string, detail: string) =>
        finish({ seed, outcome: "failed", ms: performance.now() - startedMs, check, detail });
      const timer = setTimeout(() => {
        this.usable = false;
        fail("hang", `no end after ${msMax} ms of real time`);
      }, msMax);
      const broken = (error: unknown) => {
        this.usable = false;
        fail("thread-error", String(error instanceof Error ? error.stack : error));
      };
      const ended = () => {
        this.usable = false;
        fail("thread-exit", "the thread ended in the middle of the seed");
      };
      this.#worker.on("message", finish);
      this.#worker.on("error", broken);
      this.#worker.on("exit", ended);
      this.#worker.postMessage(seed);
    });
  }

  async end(): Promise<void> {
    this.#worker.on("error", () => {});
    await this.#worker.terminate();
  }
}
