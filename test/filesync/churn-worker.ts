// Churn beside this process's own work, on a thread of its own.
import { Worker } from "node:worker_threads";
import type { ChurnOptions } from "./churn.ts";
import type { ChurnThreadStart } from "./churn-thread.ts";

export interface ChurnWorkerOptions extends ChurnOptions {
  readonly stepsMax?: number;
  readonly burst?: number;
  readonly pauseMs?: number;
}

export class ChurnWorker implements AsyncDisposable {
  readonly #words = new Int32Array(new SharedArrayBuffer(8));
  readonly #ended: Promise<void>;
  /** The last steps, once it has ended. */
  told: readonly string[] = [];

  constructor(options: ChurnWorkerOptions) {
    const { stepsMax = Number.POSITIVE_INFINITY, burst = 20, pauseMs = 2, ...churn } = options;
    const workerData: ChurnThreadStart = { ...churn, stepsMax, burst, pauseMs, words: this.#words.buffer };
    const worker = new Worker(new URL("./churn-thread.ts", import.meta.url), { workerData });
    worker.on("message", (told: string[]) => {
      this.told = told;
    });
    this.#ended = new Promise((resolve, reject) => {
      worker.on("error", reject);
      worker.on("exit", () => resolve());
    });
  }

  get steps(): number {
    return Atomics.load(this.#words, 1);
  }

  /** When it has done all its steps. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  async stop(): Promise<void> {
    Atomics.store(this.#words, 0, 1);
    Atomics.notify(this.#words, 0);
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
