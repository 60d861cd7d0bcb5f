// `npm run torture -- SCENARIO`: real processes, real clients, SIGKILL. The last line is `N passed, M failed`,
// the exit code is 1 if M > 0; a failed run says the seed that repeats its choices (not the timing).
import { parseArgs } from "node:util";
import { Checks } from "./checks.ts";
import { filesyncBurst, filesyncChurn, filesyncLink, filesyncTrees } from "./filesync-churn.ts";
import { filesyncTorture } from "./filesync-torture.ts";
import { forgeries } from "./forgeries.ts";
import { imageWalk } from "./image-walk.ts";
import { iscsiSuite, iscsiTorture } from "./iscsi-torture.ts";
import { nbdTorture } from "./nbd-torture.ts";

const USAGE = `usage: npm run torture -- nbd [--kills N] [--seed N]
       npm run torture -- iscsi [--kills N] [--seed N]
       npm run torture -- image [--megabytes N]
       npm run torture -- forgeries [--count N] [--seed N]
       npm run torture -- filesync [--kills N] [--seed N]
       npm run torture -- filesync-churn [--seeds A..B]
       npm run torture -- filesync-burst [--seed N]
       npm run torture -- filesync-trees [--seed N]
       npm run torture -- filesync-link [--megabytes N] [--seed N]`;

/** A larger first copy than some minutes of 10 Mbit/s proves no more. */
const LINK_MEGABYTES = 60;

interface Choice {
  readonly kills: number;
  readonly seed: number;
  readonly megabytes: number;
  readonly count: number;
  readonly seeds: { readonly first: number; readonly last: number };
}

const scenarios: Record<string, (choice: Choice, checks: Checks) => Promise<void>> = {
  nbd: ({ kills, seed }, checks) => nbdTorture({ kills, seed, lifeMsMin: 1000, lifeMsMax: 5000 }, checks),
  iscsi: async ({ kills, seed }, checks) => {
    await iscsiSuite(checks);
    await iscsiTorture({ kills, seed, lifeMsMin: 1000, lifeMsMax: 5000 }, checks);
  },
  image: ({ megabytes }, checks) => imageWalk({ sizeBytes: megabytes * 2 ** 20 }, checks),
  forgeries: ({ count, seed }, checks) =>
    forgeries({ count, seed, timedRounds: 2000, timeSpreadMax: 0.05 }, checks),
  filesync: ({ kills, seed }, checks) =>
    filesyncTorture({ kills, seed, lifeMsMin: 200, lifeMsMax: 3000 }, checks),
  "filesync-churn": ({ seeds }, checks) => filesyncChurn({ seeds }, checks),
  "filesync-burst": ({ seed }, checks) => filesyncBurst({ seed }, checks),
  "filesync-trees": ({ seed }, checks) => filesyncTrees({ seed }, checks),
  "filesync-link": ({ megabytes, seed }, checks) =>
    filesyncLink({ megabytes: Math.min(megabytes, LINK_MEGABYTES), seed }, checks),
};

function usageError(sentence: string): never {
  console.error(`torture: ${sentence}\n${USAGE}`);
  process.exit(2);
}

function chosen(): { scenario: string; choice: Choice } {
  try {
    const { values, positionals } = parseArgs({
      args: process.argv.slice(2),
      allowPositionals: true,
      options: {
        kills: { type: "string", default: "20" },
        seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
        megabytes: { type: "string", default: "3072" },
        count: { type: "string", default: "10000000" },
        seeds: { type: "string", default: "1..500" },
      },
    });
    if (positionals.length !== 1) throw new Error("name one scenario");
    const number = (name: "kills" | "seed" | "megabytes" | "count") => {
      const value = Number(values[name]);
      if (!Number.isSafeInteger(value) || value < 1)
        throw new Error(`--${name} takes a positive whole number`);
      return value;
    };
    const range = /^(\d+)\.\.(\d+)$/.exec(values.seeds);
    if (range === null || Number(range[1]) > Number(range[2])) throw new Error("--seeds takes A..B");
    return {
      scenario: positionals[0]!,
      choice: {
        kills: number("kills"),
        seed: number("seed"),
        megabytes: number("megabytes"),
        count: number("count"),
        seeds: { first: Number(range[1]), last: Number(range[2]) },
      },
    };
  } catch (error) {
    return usageError((error as Error).message);
  }
}

const { scenario, choice } = chosen();
const run = scenarios[scenario] ?? usageError(`there is no scenario ${scenario}`);
const checks = new Checks();
checks.say(`seed ${choice.seed}`);
try {
  await run(choice, checks);
} catch (error) {
  checks.check("the scenario runs to its end", [(error as Error).stack ?? String(error)]);
}
if (checks.failed > 0) console.log(`failed with --seed ${choice.seed}`);
console.log(checks.summary);
process.exit(checks.failed > 0 ? 1 : 0);
