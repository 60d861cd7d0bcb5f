import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { tornReason, VERSIONS_FOLDER } from "./versioned-content.ts";

const { target, words: shared } = workerData as { target: string; words: SharedArrayBuffer };
const words = new Int32Array(shared);
const folder = join(target, VERSIONS_FOLDER);
while (Atomics.load(words, 0) === 0) {
  for (const name of namesIn(folder)) {
    if (!/^v\d+$/.test(name)) continue;
    const reason = reasonOf(join(folder, name));
    Atomics.add(words, 1, 1);
    if (reason !== undefined) parentPort!.postMessage(`${name}: ${reason}`);
  }
  Atomics.wait(words, 0, 0, 1);
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    // Not there yet.
    return [];
  }
}

function reasonOf(path: string): string | undefined {
  try {
    return tornReason(readFileSync(path));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? undefined : (error as Error).message;
  }
}
