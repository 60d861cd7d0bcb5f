// A worker thread that churns: steps at a pace, until it is told to stop or has done enough.
import { parentPort, workerData } from "node:worker_threads";
import { Churn, type ChurnOptions } from "./churn.ts";

export interface ChurnThreadStart extends ChurnOptions {
  /** Word 0: stop; word 1: steps done. */
  readonly words: SharedArrayBuffer;
  readonly stepsMax: number;
  /** Steps in a row, then a pause. */
  readonly burst: number;
  readonly pauseMs: number;
}

const start = workerData as ChurnThreadStart;
const words = new Int32Array(start.words);
const churn = new Churn(start);
for (let step = 1; step <= start.stepsMax && Atomics.load(words, 0) === 0; step += 1) {
  churn.step();
  Atomics.store(words, 1, step);
  if (step % start.burst === 0 && start.pauseMs > 0) Atomics.wait(words, 0, 0, start.pauseMs);
}
churn.close();
parentPort!.postMessage(churn.told);
