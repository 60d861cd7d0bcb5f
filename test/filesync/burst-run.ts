// More changes at once than a queue has room for: what does not fit is compared again, and nothing is missed.
import { mkdirSync } from "node:fs";
import { TemporaryFolder } from "../support/temporary-folder.ts";
import { ChurnWorker } from "./churn-worker.ts";
import { LocalReplica } from "./local-replica.ts";
import { treeDifferences } from "./tree-differences.ts";

export interface BurstOptions {
  readonly steps: number;
  readonly queueEntriesMax: number;
  readonly seed: number;
  readonly timeoutMs: number;
}

export interface BurstResult {
  readonly problems: string[];
  readonly events: number;
  readonly overflows: number;
  /** Directories compared again. */
  readonly rescans: number;
}

export async function burstRun({
  steps,
  queueEntriesMax,
  seed,
  timeoutMs,
}: BurstOptions): Promise<BurstResult> {
  using folder = new TemporaryFolder();
  const [root, target, outside] = [folder.file("source"), folder.file("target"), folder.file("outside")];
  for (const path of [root, target, outside]) mkdirSync(path);
  await using replica = new LocalReplica({ source: root, target, threads: 4, queueEntriesMax });
  await replica.settled();
  // While nothing is sent, everything stays in the queue.
  replica.synchronization.pause();
  await using churn = new ChurnWorker({ root, outside, seed, stepsMax: steps, burst: steps, pauseMs: 0 });
  await churn.ended;
  replica.synchronization.resume();
  await replica.settled(timeoutMs);
  const { events, overflows, rescans } = replica.synchronization.figures();
  return { problems: await treeDifferences(root, target), events, overflows, rescans };
}
