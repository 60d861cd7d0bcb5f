// A tree of very many files in which nothing has changed: how long it takes to find that out, beside rsync, and how much of
// the source's memory the tree takes.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { settle } from "../nbd/fio.ts";
import { rotated } from "../nbd/server.ts";
import { processMemory } from "../pool/process-memory.ts";
import { costRow, limitRow, plainRow, type Row } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { DaemonPair, type Daemons } from "./daemon-pair.ts";
import { countText, fileCount, filesyncSizes } from "./filesync-sizes.ts";
import type { LargeTree } from "./large-tree.ts";
import { RsyncDaemon } from "./rsync-daemon.ts";

const GOAL = 2;
const MEMORY_BYTES_MAX = 300;
const NAME = "unchanged";
const EMPTY = "empty";
const LOOK_MS = 10;

const names = (count: string) => ({
  check: `no-change check of ${count} files`,
  walk: `first walk that sets watches, ${count} files`,
  compared: `first walk and comparison, ${count} files`,
  memory: `resident growth of the source's process, for each of ${count} files`,
  fixed: "resident growth of the source's process by an empty directory",
});

export function noChange(context: SuiteContext, tree: LargeTree): Group {
  const count = countText(fileCount(filesyncSizes(context).tree));
  return { rows: Object.values(names(count)), measure: (given) => measure(given, tree) };
}

async function measure(context: SuiteContext, tree: LargeTree): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const { source, target, files } = await tree.pair();
  const count = fileCount(files);
  await using daemons = new DaemonPair(context, "unchanged");
  const { ourSource, ourTarget } = await daemons.both();
  await using rsync = await RsyncDaemon.start(folder);
  const destination = await ourTarget.target(NAME, target);
  const { filesyncs } = ourSource.ropewalk;

  await settle(folder);
  // Everything that replication takes counts, its threads and its code too.
  const before = processMemory(ourSource.pid).privateBytes;
  const growth = () => processMemory(ourSource.pid).privateBytes - before;
  const fixedBytes = await growthByEmpty(context, { ourSource, ourTarget }, growth);
  const grown: number[] = [];
  const first = { walkMs: 0, allMs: 0 };
  const ours = {
    name: "ours",
    elapsedMs: [] as number[],
    run: async () => {
      const checkedMs = performance.now();
      const { copied, removed } = await filesyncs.sync(NAME, { mode: "attributes" });
      const elapsedMs = performance.now() - checkedMs;
      if (copied + removed > 0) throw new Error(`${copied} files were copied and ${removed} removed`);
      return elapsedMs;
    },
  };
  const peer = {
    name: "rsync -an",
    elapsedMs: [] as number[],
    run: () => rsync.run(["-an"], { source, target }),
  };
  const startedMs = performance.now();
  await ourSource.replicating({ name: NAME, source, destination }, async () => {
    while ((await filesyncs.show(NAME)).state === "starting") await delay(LOOK_MS);
    first.walkMs = performance.now() - startedMs;
    await ourSource.settled(NAME);
    first.allMs = performance.now() - startedMs;
    say(`  watched after ${first.walkMs.toFixed(0)} ms, compared after ${first.allMs.toFixed(0)} ms`);
    for (let round = 0; round < rounds; round++)
      for (const contestant of rotated([ours, peer], round)) {
        const elapsedMs = await contestant.run();
        contestant.elapsedMs.push(elapsedMs);
        grown.push(growth());
        say(`  ${contestant.name}: ${elapsedMs.toFixed(0)} ms`);
      }
  });

  const { check, walk, compared, memory, fixed } = names(countText(count));
  return [
    costRow({
      name: check,
      unit: "ms",
      ours: ours.elapsedMs,
      peer: peer.elapsedMs,
      peerName: peer.name,
      goal: GOAL,
    }),
    plainRow({ name: walk, unit: "ms", ours: [first.walkMs] }),
    plainRow({ name: compared, unit: "ms", ours: [first.allMs] }),
    limitRow({
      name: memory,
      unit: "B",
      ours: [Math.max(...grown) / count],
      limit: MEMORY_BYTES_MAX,
    }),
    plainRow({ name: fixed, unit: "MB", ours: [fixedBytes / 1e6] }),
  ];
}

/** What replication takes whatever there is to replicate. */
async function growthByEmpty(
  context: SuiteContext,
  { ourSource, ourTarget }: Daemons,
  growth: () => number,
): Promise<number> {
  const place = context.folderFor("empty");
  const [source, target] = [join(place, "source"), join(place, "target")];
  mkdirSync(source);
  const destination = await ourTarget.target(EMPTY, target);
  return await ourSource.replicating({ name: EMPTY, source, destination }, async () => {
    await ourSource.settled(EMPTY);
    return growth();
  });
}
