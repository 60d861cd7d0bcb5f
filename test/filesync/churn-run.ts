// One seed of churn: it begins before the bulk, goes on during and after it; then the target equals the source.
import { mkdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Prng } from "../../src/base/prng.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";
import { Churn } from "./churn.ts";
import { ChurnWorker } from "./churn-worker.ts";
import { LocalReplica } from "./local-replica.ts";
import { TornWatcher } from "./torn-watcher.ts";
import { treeDifferences } from "./tree-differences.ts";

const THREADS = [1, 4, 16] as const;
const BARRIERS = ["tree", "path"] as const;

/** Beside the work of a synchronization; a faster churn says no more. */
const STEPS_MAX = 6000;

export interface ChurnRunOptions {
  readonly seed: number;
  /** Before anybody watches. */
  readonly stepsBefore?: number;
  readonly lifeMs?: number;
  readonly threads?: number;
  readonly barrier?: "tree" | "path";
  readonly queueEntriesMax?: number;
  readonly without?: readonly string[];
  /** Told what could help to find the reason. */
  readonly explain?: (lines: readonly string[]) => void;
}

/** Whether what differs goes away by itself, later: then `settled` was too early. */
async function afterwards(root: string, target: string, replica: LocalReplica): Promise<string> {
  await delay(3000);
  await replica.settled();
  const { length } = await treeDifferences(root, target);
  return length === 0 ? "later there is no difference any more" : `${length} differences remain 3 s later`;
}

/** Problems, with the settings that the seed chose. */
export async function churnRun(options: ChurnRunOptions): Promise<string[]> {
  const { seed, stepsBefore = 1500, lifeMs = 1200, without = [] } = options;
  const prng = new Prng(seed);
  const threads = options.threads ?? THREADS[Math.floor(prng.fraction() * 3)]!;
  const barrier = options.barrier ?? BARRIERS[Math.floor(prng.fraction() * 2)]!;
  const pauseMs = [2, 5, 10][Math.floor(prng.fraction() * 3)]!;
  const copyRunEntriesMax = [4, 16, 128][Math.floor(prng.fraction() * 3)]!;
  using folder = new TemporaryFolder();
  const [root, target, outside] = ["source", "target", "outside"].map((name) => folder.file(name)) as [
    string,
    string,
    string,
  ];
  for (const path of [root, target, outside]) mkdirSync(path);
  const before = new Churn({ root, outside, seed, without });
  for (let step = 0; step < stepsBefore; step += 1) before.step();
  before.close();
  const { queueEntriesMax } = options;
  const settings = {
    threads,
    barrier,
    copyRunEntriesMax,
    ...(queueEntriesMax === undefined ? {} : { queueEntriesMax }),
  };
  const problems: string[] = [];
  await using worker = new ChurnWorker({
    root,
    outside,
    seed: seed + 0.5 * 2 ** 32,
    without,
    pauseMs,
    stepsMax: STEPS_MAX,
  });
  using watcher = new TornWatcher(target);
  await using replica = new LocalReplica({ source: root, target, ...settings });
  const where = `seed ${seed}, ${threads} threads, barrier ${barrier}`;
  try {
    // A settle in the middle of it all is to end, too.
    await Promise.all([delay(lifeMs), delay(lifeMs / 3).then(() => replica.settled())]);
    await worker.stop();
    await replica.settled();
    const differences = await treeDifferences(root, target);
    problems.push(...differences.map((line) => `${where}: ${line}`));
    if (differences.length > 0) problems.push(await afterwards(root, target, replica));
  } catch (error) {
    problems.push(`${where}: ${(error as Error).message}`);
  }
  problems.push(...watcher.torn.map((line) => `${where}: torn at the target: ${line}`));
  if (problems.length > 0)
    options.explain?.([...worker.told, `${worker.steps} steps`, replica.described, folder.path]);
  return problems;
}
