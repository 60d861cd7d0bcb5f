// The clients: iscsi-perf and qemu-img bench, one session each. What they printed is parsed here and nowhere else.
import { runProgram } from "../../test/support/run-program.ts";

const TIMEOUT_MS = 900_000;
const SCSI_BLOCK_BYTES = 512;

export interface PerfJob {
  readonly blockBytes: number;
  readonly depth: number;
  readonly seconds: number;
}

/** Random reads; operations a second. */
export async function iscsiPerf(uri: string, { blockBytes, depth, seconds }: PerfJob): Promise<number> {
  const blocks = String(blockBytes / SCSI_BLOCK_BYTES);
  return parsePerf(
    await runProgram("iscsi-perf", ["-m", String(depth), "-b", blocks, "-t", String(seconds), "-r", uri], {
      timeoutMs: TIMEOUT_MS,
    }),
  );
}

/** The average over the whole run, which it prints at the end and, going over the same line, before. */
export function parsePerf(output: string): number {
  const averages = [...output.matchAll(/iops average (\d+)/g)];
  const [, average] = averages.at(-1) ?? [];
  if (average === undefined || !output.includes("finished")) throw new Error(`iscsi-perf said: ${output}`);
  return Number(average);
}

export interface BenchJob {
  readonly kind: "read" | "write";
  readonly blockBytes: number;
  readonly depth: number;
  readonly requests: number;
  /** From one request's beginning to the next one's, around the end of the unit; the block's size when left out. */
  readonly strideBytes?: number;
}

/** Operations a second. */
export async function qemuBench(uri: string, job: BenchJob): Promise<number> {
  const { kind, blockBytes, depth, requests, strideBytes = blockBytes } = job;
  const output = await runProgram(
    "qemu-img",
    [
      ...["bench", "-f", "raw", "-c", String(requests), "-d", String(depth)],
      ...["-s", String(blockBytes), "-S", String(strideBytes), ...(kind === "write" ? ["-w"] : []), uri],
    ],
    { timeoutMs: TIMEOUT_MS },
  );
  return requests / parseBench(output);
}

/** Seconds. */
export function parseBench(output: string): number {
  const [, seconds] = /^Run completed in ([\d.]+) seconds\.$/m.exec(output) ?? [];
  if (seconds === undefined || Number(seconds) === 0) throw new Error(`qemu-img bench said: ${output}`);
  return Number(seconds);
}
