// How long a change takes to the target: in a tree of very many files that is equal but for it, beside the peers; and while
// the same synchronization copies much for the first time.
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { settle } from "../nbd/fio.ts";
import { costRow, limitRow, plainRow, type Row } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import type { DaemonPair } from "./daemon-pair.ts";
import { countText, fileCount, filesText, filesyncSizes, sizeText } from "./filesync-sizes.ts";
import type { LargeTree } from "./large-tree.ts";
import { percentile } from "./latencies.ts";
import { LiveChanges, type TreePair } from "./live-changes.ts";
import { type LivePeerKind, livePeers } from "./live-peers.ts";
import { makeLargeFile, makeManyFiles } from "./many-files.ts";
import { RsyncDaemon } from "./rsync-daemon.ts";

const P50_MS_MAX = 20;
const P99_MS_MAX = 200;
const P99_BULK_MS_MAX = 1000;
const TREE = "large-tree";
const LIVE = "live";
const BULK = "bulk";
const LOOK_MS = 100;
/** A peer first looks at all of the tree. */
const peerReadyMs = ({ quick }: SuiteContext) => (quick ? 15_000 : 900_000);

const liveNames = (context: SuiteContext) => {
  const { tree, live } = filesyncSizes(context);
  const what = `live change to target, ${live.perSecond} a second in ${countText(fileCount(tree))} files`;
  return { p50: `${what}, p50`, p99: `${what}, p99`, most: `${what}, the longest` };
};

const bulkNames = (context: SuiteContext) => {
  const { bulk } = filesyncSizes(context);
  const what = `live change to target while ${sizeText(bulk.largeBytes)} and ${filesText(bulk.smallFiles)} files are copied`;
  return {
    p50: `${what}, p50`,
    p99: `${what}, p99`,
    most: `${what}, the longest`,
    bulk: `${what}: the copy`,
  };
};

export interface LivePlace {
  readonly tree: LargeTree;
  readonly daemons: DaemonPair;
}

export function liveLatency(context: SuiteContext, { tree, daemons }: LivePlace): Group {
  return {
    rows: Object.values(liveNames(context)),
    measure: (given) => measureLive(given, { tree, daemons }),
  };
}

export function bulkLatency(context: SuiteContext, { tree, daemons }: LivePlace): Group {
  return {
    rows: Object.values(bulkNames(context)),
    measure: (given) => measureBulk(given, { tree, daemons }),
  };
}

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
}

function percentiles(latenciesMs: readonly number[]): Percentiles {
  const [p50, p99, most] = [0.5, 0.99, 1].map((share) => percentile(latenciesMs, share));
  if (p50 === undefined || p99 === undefined || most === undefined) throw new Error("nothing was changed");
  return { p50, p99, most };
}

async function measureLive(context: SuiteContext, { tree, daemons }: LivePlace): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const pair = await tree.pair();
  const ours: Percentiles[] = [];
  const { ourSource, ourTarget } = await daemons.both();
  const destination = await ourTarget.target(TREE, pair.target);
  await ourSource.replicating({ name: LIVE, source: pair.source, destination }, async () => {
    await ourSource.settled(LIVE);
    for (let round = 0; round < rounds; round++) {
      await settle(folder);
      ours.push(await liveRound(context, pair));
      say(`  ours: ${text(ours.at(-1)!)}`);
      await ourSource.settled(LIVE);
    }
  });
  const peers = new Map<string, Percentiles>();
  for (const kind of livePeers()) {
    const found = await measurePeer(context, pair, kind);
    if (found === undefined) continue;
    peers.set(kind.name, found);
    say(`  ${kind.name}: ${text(found)}`);
  }

  const { p50, p99, most } = liveNames(context);
  const all = (pick: (one: Percentiles) => number) => ours.map(pick);
  const beside = (name: string, pick: (one: Percentiles) => number) =>
    [...peers].map(([peerName, figures]) =>
      costRow({ name, unit: "ms", ours: all(pick), peer: [pick(figures)], peerName, goal: null }),
    );
  return [
    limitRow({ name: p50, unit: "ms", ours: all((one) => one.p50), limit: P50_MS_MAX }),
    ...beside(p50, (one) => one.p50),
    limitRow({ name: p99, unit: "ms", ours: all((one) => one.p99), limit: P99_MS_MAX }),
    ...beside(p99, (one) => one.p99),
    plainRow({ name: most, unit: "ms", ours: all((one) => one.most) }),
  ];
}

async function liveRound(context: SuiteContext, pair: TreePair): Promise<Percentiles> {
  const { perSecond, seconds } = filesyncSizes(context).live;
  using changes = new LiveChanges(pair);
  return percentiles(await changes.run({ perSecond, isOver: (elapsedMs) => elapsedMs >= seconds * 1000 }));
}

/** Undefined, and said, where it does not replicate here. */
async function measurePeer(
  context: SuiteContext,
  pair: TreePair,
  kind: LivePeerKind,
): Promise<Percentiles | undefined> {
  await using rsync = await RsyncDaemon.start(context.folder);
  await using peer = kind.start({ ...pair, folder: context.folderFor("peers"), rsync });
  try {
    {
      using changes = new LiveChanges(pair);
      // The first may come with the peer's first look at the tree, the second comes by itself.
      const patience = { patienceMs: peerReadyMs(context), isHopeless: () => !peer.isRunning };
      await changes.probe(patience);
      await changes.probe(patience);
    }
    await settle(context.folder);
    return await liveRound(context, pair);
  } catch (error) {
    context.say(`  ${kind.name} failed: ${(error as Error).message}\n${peer.printed}`);
    process.exitCode = 1;
    return undefined;
  }
}

/** The bulk is the first of its synchronization: what the target lacks is put into the source before. */
async function measureBulk(context: SuiteContext, { tree, daemons }: LivePlace): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const { bulk, live } = filesyncSizes(context);
  const pair = await tree.pair();
  const [small, large] = ["bulk-small", "bulk-large"];
  // Not removed, see `set-aside.ts`.
  const aside = context.folderFor("bulk-aside");
  const found: Percentiles[] = [];
  const bulkSeconds: number[] = [];
  await makeManyFiles(join(pair.source, small), bulk.smallFiles);
  makeLargeFile(join(pair.source, large), bulk.largeBytes);
  const { ourSource, ourTarget } = await daemons.both();
  const { filesyncs } = ourSource.ropewalk;
  const destination = await ourTarget.target(TREE, pair.target);
  for (let round = 0; round < rounds; round++) {
    await settle(folder);
    await ourSource.replicating({ name: BULK, source: pair.source, destination }, async () => {
      let state: string;
      while ((state = (await filesyncs.show(BULK)).state) === "starting") await delay(LOOK_MS);
      if (state !== "bulk") throw new Error(`the bulk was over before a change was made: ${state}`);
      const startedMs = performance.now();
      const latenciesMs = await whileBulk(
        pair,
        live.perSecond,
        async () => (await filesyncs.show(BULK)).state,
      );
      bulkSeconds.push((performance.now() - startedMs) / 1000);
      found.push(percentiles(latenciesMs));
      say(
        `  ${text(found.at(-1)!)}; ${latenciesMs.length} changes within ${bulkSeconds.at(-1)!.toFixed(1)} s`,
      );
      await ourSource.settled(BULK);
    });
    rmSync(join(pair.target, large));
    renameSync(join(pair.target, small), join(aside, `target-${round}`));
  }
  rmSync(join(pair.source, large));
  renameSync(join(pair.source, small), join(aside, "source"));

  const { p50, p99, most, bulk: bulkName } = bulkNames(context);
  return [
    plainRow({ name: p50, unit: "ms", ours: found.map((one) => one.p50) }),
    limitRow({ name: p99, unit: "ms", ours: found.map((one) => one.p99), limit: P99_BULK_MS_MAX }),
    plainRow({ name: most, unit: "ms", ours: found.map((one) => one.most) }),
    plainRow({ name: bulkName, unit: "s", ours: bulkSeconds }),
  ];
}

async function whileBulk(
  pair: TreePair,
  perSecond: number,
  stateNow: () => Promise<string>,
): Promise<number[]> {
  let isOver = false;
  const watching = (async () => {
    while ((await stateNow()) === "bulk") await delay(LOOK_MS);
  })().finally(() => (isOver = true));
  using changes = new LiveChanges(pair);
  const latenciesMs = await changes.run({ perSecond, isOver: () => isOver });
  await watching;
  return latenciesMs;
}

function text({ p50, p99, most }: Percentiles): string {
  return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${most.toFixed(1)} ms`;
}
