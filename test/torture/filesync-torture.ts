// Two real daemons that replicate a tree under churn over a relay, while one or the other is killed with SIGKILL at random
// and the link is cut, slow or a black hole. After each trouble they come to equality by themselves, and who reads the
// target all the time never finds half a file.
import { mkdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Prng } from "../../src/base/prng.ts";
import { ChurnWorker } from "../filesync/churn-worker.ts";
import { Relay } from "../filesync/relay.ts";
import { TornWatcher } from "../filesync/torn-watcher.ts";
import { treeDifferences } from "../filesync/tree-differences.ts";
import { Daemon } from "../support/daemon.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";
import type { Checks } from "./checks.ts";

const NAME = "tortured";
const TROUBLES = ["killSource", "killTarget", "killBoth", "cut", "slow", "blackHole"] as const;
const BLACK_HOLE_MS_MAX = 4000;
const SETTLED_MS_MAX = 180_000;
const STEPS_MAX = 3000;

export interface FilesyncTortureOptions {
  readonly kills: number;
  readonly seed: number;
  readonly lifeMsMin: number;
  readonly lifeMsMax: number;
}

export async function filesyncTorture(options: FilesyncTortureOptions, checks: Checks): Promise<void> {
  const { kills, seed } = options;
  using folder = new TemporaryFolder();
  const [source, target, outside] = [folder.file("source"), folder.file("target"), folder.file("outside")];
  for (const path of [source, target, outside]) mkdirSync(path);
  await using relay = await Relay.start();
  await using far = await Daemon.start();
  await using near = await Daemon.start();
  relay.target = () => (far.running ? peerPort(far) : undefined);
  const key = folder.file("key");
  await far.cli("filesync", "target", "add", NAME, "--root", target, "--key", key);
  await near.cli(
    "filesync",
    "add",
    NAME,
    "--source",
    source,
    "--key",
    key,
    "--to",
    `ropewalk://127.0.0.1:${relay.port}/${NAME}`,
  );
  using watcher = new TornWatcher(target);
  const prng = new Prng(seed);
  for (let kill = 1; kill <= kills; kill++) {
    await using churn = new ChurnWorker({
      root: source,
      outside,
      seed: seed + kill,
      pauseMs: 5,
      stepsMax: STEPS_MAX,
    });
    await delay(options.lifeMsMin + prng.fraction() * (options.lifeMsMax - options.lifeMsMin));
    const trouble = TROUBLES[Math.floor(prng.fraction() * TROUBLES.length)]!;
    await make(trouble, { near, far, relay, holeMs: prng.fraction() * BLACK_HOLE_MS_MAX });
    await churn.stop();
    const startedMs = performance.now();
    const problems = await settledProblems(near);
    problems.push(...(await treeDifferences(source, target)));
    checks.check(`after ${trouble} the target equals the source by itself`, problems);
    checks.check("nobody saw half a file", watcher.torn.splice(0));
    checks.say(`${kill}: ${trouble}, equal after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
    relay.mode = "open";
  }
}

async function make(
  trouble: (typeof TROUBLES)[number],
  { near, far, relay, holeMs }: { near: Daemon; far: Daemon; relay: Relay; holeMs: number },
): Promise<void> {
  switch (trouble) {
    case "killSource":
      await near.kill();
      return near.start();
    case "killTarget":
      await far.kill();
      return far.start();
    case "killBoth":
      await Promise.all([near.kill(), far.kill()]);
      await Promise.all([near.start(), far.start()]);
      return;
    case "cut":
      return relay.cut();
    case "slow":
      relay.mode = "slow";
      return delay(holeMs);
    case "blackHole":
      relay.mode = "blackHole";
      await delay(holeMs);
      relay.mode = "open";
      // What was swallowed never comes; who waits for it notices by himself, or is told now.
      return relay.cut();
  }
}

async function settledProblems(near: Daemon): Promise<string[]> {
  const late = new AbortController();
  const timeout = delay(SETTLED_MS_MAX, "late" as const, { signal: late.signal }).catch(
    () => "ended" as const,
  );
  const shown = near.tryCli("filesync", "show", NAME, "--wait");
  const first = await Promise.race([shown, timeout]);
  late.abort();
  if (typeof first === "string") {
    const { stdout } = await near.tryCli("filesync", "show", NAME, "--json");
    return [`not settled within ${SETTLED_MS_MAX} ms: ${stdout}`];
  }
  return first.code === 0 ? [] : [`filesync show --wait: ${first.stderr}`];
}

function peerPort(daemon: Daemon): number | undefined {
  try {
    return Number(daemon.endpoints.peer[0]?.split(":").at(-1));
  } catch {
    // It is starting.
    return undefined;
  }
}
