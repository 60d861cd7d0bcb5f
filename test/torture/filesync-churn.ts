// Random churn of a real tree while it is replicated in this process, many seeds, some at a time: after each the target
// equals the source by rsync and by our own comparison, and no file was ever seen half.
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { burstRun } from "../filesync/burst-run.ts";
import { churnRun } from "../filesync/churn-run.ts";
import { gitWork } from "../filesync/git-work.ts";
import { LocalReplica } from "../filesync/local-replica.ts";
import { slowLinkRun } from "../filesync/slow-link-run.ts";
import { treeDifferences } from "../filesync/tree-differences.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";
import type { Checks } from "./checks.ts";

const AT_A_TIME_MAX = 3;
const USR = "/usr";
const USR_MS_MAX = 1_800_000;
const BURST = { steps: 1_000_000, queueEntriesMax: 16_384, timeoutMs: 1_800_000 };

export interface FilesyncChurnOptions {
  /** From the first to the last, both included. */
  readonly seeds: { readonly first: number; readonly last: number };
}

export async function filesyncChurn({ seeds }: FilesyncChurnOptions, checks: Checks): Promise<void> {
  let next = seeds.first;
  const lane = async () => {
    while (next <= seeds.last) {
      const seed = next++;
      const startedMs = performance.now();
      const problems = await churnRun({ seed });
      checks.check(`churn of seed ${seed} ends equal, with no file torn`, problems);
      if (seed % 25 === 0) checks.say(`seed ${seed}: ${(performance.now() - startedMs).toFixed(0)} ms`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_A_TIME_MAX, availableParallelism()) }, lane));
}

export async function filesyncBurst({ seed }: { readonly seed: number }, checks: Checks): Promise<void> {
  const { problems, events, overflows, rescans } = await burstRun({ ...BURST, seed });
  checks.say(`burst: ${events} events, ${overflows} overflows, ${rescans} directories compared again`);
  checks.check("a burst of 1,000,000 changes leaves no difference", problems);
  checks.check("the burst was larger than the queue", rescans > 0 ? [] : ["nothing was compared again"]);
}

/** Trees as they are: Debian's own, and a git repository at work. */
export async function filesyncTrees({ seed }: { readonly seed: number }, checks: Checks): Promise<void> {
  checks.check("a git repository at work is in order at every rest", await gitWork({ rounds: 20, seed }));
  using folder = new TemporaryFolder();
  const target = folder.file("target");
  mkdirSync(target);
  await using replica = new LocalReplica({ source: USR, target });
  const startedMs = performance.now();
  await replica.settled(USR_MS_MAX);
  checks.say(`${USR}: ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  checks.check(`${USR} arrives as it is`, await treeDifferences(USR, target));
}

/** Two daemons and a link of 10 Mbit/s that is away for so long that the connections over it are given up. */
export async function filesyncLink(
  { megabytes, seed }: { readonly megabytes: number; readonly seed: number },
  checks: Checks,
): Promise<void> {
  const say = (line: string) => checks.say(line);
  const problems = await slowLinkRun({ megabytes, troubles: "long", seed, say });
  checks.check(
    "after a link that was away twice the target equals the source, and the link saw TLS only",
    problems,
  );
}
