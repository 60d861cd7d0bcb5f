// fio with its nbd engine: one job, one connection, one thread. What it printed is parsed here and nowhere else.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "../../test/support/run-program.ts";

export interface FioJob {
  readonly rw: "read" | "write" | "randread" | "randwrite" | "randrw";
  readonly blockBytes: number;
  readonly depth: number;
  readonly sizeBytes: number;
  /** Runs that long; without it, once over the volume. */
  readonly runtimeMs?: number;
  /** Not measured before that. */
  readonly rampMs?: number;
  /** Bytes to transfer in all, when neither the time nor the volume's size shall end it. */
  readonly bytesMax?: number;
  /** More of fio's own options. */
  readonly more?: readonly string[];
}

export interface FioResult {
  /** Reads and writes a second. */
  readonly operations: number;
  /** MiB a second. */
  readonly mebibytes: number;
  readonly p99Us: number;
}

interface FioDirection {
  iops: number;
  bw_bytes: number;
  clat_ns: { percentile?: Record<string, number> };
}

/** Runs one job; rejects if any request failed. `folder` takes fio's own files. */
export async function runFio(uri: string, job: FioJob, folder: string): Promise<FioResult> {
  const output = join(folder, "fio.json");
  const timed = job.runtimeMs === undefined ? [] : ["--time_based", `--runtime=${job.runtimeMs}ms`];
  await runProgram(
    "fio",
    [
      "--name=job",
      "--ioengine=nbd",
      `--uri=${uri}`,
      "--thread",
      `--rw=${job.rw}`,
      `--bs=${job.blockBytes}`,
      `--iodepth=${job.depth}`,
      `--size=${job.sizeBytes}`,
      ...timed,
      ...(job.rampMs === undefined ? [] : [`--ramp_time=${job.rampMs}ms`]),
      ...(job.bytesMax === undefined ? [] : [`--io_size=${job.bytesMax}`]),
      "--randrepeat=0",
      "--norandommap",
      ...(job.more ?? []),
      "--output-format=json",
      `--output=${output}`,
    ],
    { folder, timeoutMs: 900_000 },
  );
  return parseFio(readFileSync(output, "utf8"));
}

export function parseFio(text: string): FioResult {
  // fio 3.33 writes what its engine says in front of the JSON.
  const { jobs } = JSON.parse(text.slice(text.indexOf("{"))) as {
    jobs: { error: number; read: FioDirection; write: FioDirection }[];
  };
  const job = jobs[0];
  if (job === undefined || job.error !== 0) throw new Error(`fio failed with error ${job?.error}`);
  const p99Ns = (direction: FioDirection) => direction.clat_ns.percentile?.["99.000000"] ?? 0;
  return {
    operations: job.read.iops + job.write.iops,
    mebibytes: (job.read.bw_bytes + job.write.bw_bytes) / 2 ** 20,
    p99Us: Math.max(p99Ns(job.read), p99Ns(job.write)) / 1000,
  };
}

/** Writes the whole volume once, so that every block is data. */
export function fill(uri: string, sizeBytes: number, folder: string): Promise<FioResult> {
  return runFio(uri, { rw: "write", blockBytes: 2 ** 20, depth: 8, sizeBytes }, folder);
}

/** Lets the kernel write back what earlier jobs left, so that the next one does not pay for it. */
export async function settle(folder: string): Promise<void> {
  await runProgram("sync", ["--file-system", folder], { timeoutMs: 900_000 });
}
