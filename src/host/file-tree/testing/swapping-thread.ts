/** A thread for tests: does one thing to a directory again and again until it is told to stop. */

import { constants } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { AT_FDCWD, OPEN_DIRECTORY, treeCalls } from "../tree-calls.ts";

export interface SwappingStart {
  readonly path: string;
  readonly stop: SharedArrayBuffer;
  /** `exchange`: swaps the names `one` and `other`; `append`: a byte to the file `one`. */
  readonly what: "exchange" | "append";
}

const { path, stop, what } = workerData as SwappingStart;
const stopped = new Int32Array(stop);
const directory = treeCalls.openat(AT_FDCWD, path, OPEN_DIRECTORY);
const file =
  what === "append" ? treeCalls.openat(directory, "one", constants.O_WRONLY | constants.O_APPEND) : -1;
const byte = Buffer.alloc(1, 1);
for (let turn = 0; Atomics.load(stopped, 0) === 0; turn += 1) {
  const result =
    what === "exchange"
      ? treeCalls.renameat2(directory, "one", directory, "other", "exchange")
      : treeCalls.write(file, byte);
  if (result < 0) throw new Error(`${what} failed with errno ${-result}`);
  if (turn === 0) parentPort!.postMessage("begun");
}
