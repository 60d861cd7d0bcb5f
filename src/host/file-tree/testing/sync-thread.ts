/** A thread for tests: waits for so many syncs of a group, slow ones, and tells how many began before they were asked for. */
import { parentPort, workerData } from "node:worker_threads";
import { GroupSync } from "../group-sync.ts";
import { treeCalls } from "../tree-calls.ts";

export interface SyncStart {
  readonly memory: SharedArrayBuffer;
  /** A word that counts the threads that are there. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
  readonly times: number;
}

const SYNC_MS = 2;
const { memory, gate, threads, times } = workerData as SyncStart;
const never = new Int32Array(new SharedArrayBuffer(4));
treeCalls.syncfs = () => {
  Atomics.wait(never, 0, 0, SYNC_MS);
  return 0;
};
const [began, ended] = [0, 1];
const words = new Int32Array(memory);
const there = new Int32Array(gate);
const sync = new GroupSync(memory);
Atomics.add(there, 0, 1);
while (Atomics.load(there, 0) < threads) Atomics.wait(never, 0, 0, 1);
let early = 0;
for (let time = 0; time < times; time += 1) {
  const before = Atomics.load(words, began);
  if (sync.wait(-1) !== 0 || Atomics.load(words, ended) <= before) early += 1;
}
parentPort!.postMessage(early);
