// Trees of many small files, and files of many bytes, made fast: by several threads with calls that wait.
// Always holds: no two files have the same content, none has holes, and names are the same in every run.
import { randomFillSync } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

export interface ManyFiles {
  readonly directories: number;
  readonly filesEach: number;
  /** Of each file. */
  readonly bytes: number;
}

export interface FilesToMake extends ManyFiles {
  readonly folder: string;
  /** This thread makes the directories `from`, `from + step`, … */
  readonly from: number;
  readonly step: number;
}

const CHUNK_BYTES = 16 * 2 ** 20;

export const directoryName = (directory: number) => `d${String(directory).padStart(5, "0")}`;
export const fileName = (file: number) => `f${String(file).padStart(5, "0")}`;

/** The folder is made when absent. */
export async function makeManyFiles(folder: string, files: ManyFiles): Promise<void> {
  await mkdir(folder, { recursive: true });
  const step = availableParallelism();
  await Promise.all(
    Array.from({ length: step }, (_, from) =>
      inThread({ ...files, folder, from, step } satisfies FilesToMake),
    ),
  );
}

function inThread(workerData: FilesToMake): Promise<void> {
  return new Promise((resolve, reject) => {
    new Worker(new URL("./many-files-thread.ts", import.meta.url), { workerData })
      .on("error", reject)
      .on("exit", (code) =>
        code === 0 ? resolve() : reject(new Error(`a thread that makes files ended with ${code}`)),
      );
  });
}

/** Of random bytes, which no program can make shorter. */
export function makeLargeFile(path: string, bytes: number): void {
  const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, bytes));
  const file = openSync(path, "wx");
  try {
    for (let at = 0; at < bytes; at += chunk.length)
      writeSync(file, randomFillSync(chunk), 0, Math.min(chunk.length, bytes - at), at);
  } finally {
    closeSync(file);
  }
}
