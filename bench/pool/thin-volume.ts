// A thin volume with random 4 KiB writes spread over all of it, at several amounts of data: what opening it
// after SIGKILL takes, what memory serving it takes, what a snapshot costs the others, and how little of it
// the difference of two snapshots reads.
import { limitRow, plainRow, type Row } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { PoolProcess } from "./pool-process.ts";
import { poolSizes, sizeText } from "./pool-sizes.ts";
import type { ProcessMemory } from "./process-memory.ts";

const MIB = 2 ** 20;
const REOPEN_MS_MAX = 2000;
const PRIVATE_MB_MAX = 300;
const STALL_MS_MAX = 1;
const DIFFERENCE_SHARE_MAX = 0.01;
/** Written between the two snapshots that are compared. */
const CHANGED_BYTES = 16 * MIB;
const VOLUME = "thin";
/** Room for overwriting while it is served, so that no collector is measured here. */
const SPARE_BYTES = 16 * 1024 * MIB;
/** Loads of this seed go to the places where the data is. */
const DATA_SEED = 1;

/** What is reported at each amount of data; the limits hold for the largest. */
const FIGURES = {
  reopen: { name: "opening after SIGKILL", unit: "ms", limit: REOPEN_MS_MAX },
  privateMb: { name: "RssAnon + RssShmem while serving", unit: "MB", limit: PRIVATE_MB_MAX },
  fileMb: { name: "RssFile while serving", unit: "MB", limit: undefined },
  stall: { name: "stall of other I/O by a snapshot", unit: "ms", limit: STALL_MS_MAX },
  usual: { name: "longest request in as long a time without a snapshot", unit: "ms", limit: undefined },
  reply: { name: "snapshot until its reply", unit: "ms", limit: undefined },
  differenceShare: {
    name: "difference of two snapshots, read share of the data",
    unit: "",
    limit: DIFFERENCE_SHARE_MAX,
  },
  differenceMs: { name: "difference of two snapshots", unit: "ms", limit: undefined },
} as const;

type Figures = Record<keyof typeof FIGURES, number[]>;

const rowName = (name: string, dataBytes: number) => `${name}, ${sizeText(dataBytes)} written`;

export function thinVolume(context: SuiteContext): Group {
  const { dataBytes } = poolSizes(context);
  return {
    rows: Object.values(FIGURES).flatMap(({ name }) => dataBytes.map((bytes) => rowName(name, bytes))),
    measure,
  };
}

async function measure(context: SuiteContext): Promise<Row[]> {
  const { dataBytes } = poolSizes(context);
  const measured: Figures[] = [];
  for (const bytes of dataBytes) measured.push(await measureAt(context, bytes));
  return (Object.keys(FIGURES) as (keyof typeof FIGURES)[]).flatMap((key) =>
    dataBytes.map((bytes, index) => {
      const { name, unit, limit } = FIGURES[key];
      const row = { name: rowName(name, bytes), unit, ours: measured[index]![key] };
      const isLargest = index === dataBytes.length - 1;
      return limit === undefined || !isLargest ? plainRow(row) : limitRow({ ...row, limit });
    }),
  );
}

async function measureAt(context: SuiteContext, dataBytes: number): Promise<Figures> {
  const { rounds, say } = context;
  const { thinBytes, snapshots, serveMs } = poolSizes(context);
  const folder = context.folderFor(`thin-${dataBytes}`);
  const figures = Object.fromEntries(Object.keys(FIGURES).map((key) => [key, []])) as unknown as Figures;
  const write = { volume: VOLUME, load: "randwrite", blockBytes: 4096 } as const;

  let child = new PoolProcess(context, "thin");
  try {
    await child.call("open", { folder, format: { sizeBytes: 3 * dataBytes + SPARE_BYTES } });
    await child.call("createVolume", { name: VOLUME, sizeBytes: thinBytes });
    const { elapsedMs } = await child.call("load", { ...write, bytesMax: dataBytes, seed: DATA_SEED });
    say(`  ${sizeText(dataBytes)} written at ${((dataBytes / 4096 / elapsedMs) * 1000).toFixed(0)} ops/s`);
    for (let round = 0; round < rounds; round++) {
      // Written and at once killed, so that opening has a tail of the log to replay.
      await child.call("load", { ...write, bytesMax: 64 * MIB, seed: 100 + round });
      await child.kill();
      child = new PoolProcess(context, "thin");
      figures.reopen.push((await child.call("open", { folder })).elapsedMs);
    }
    say(`  opening ${figures.reopen.map((ms) => ms.toFixed(0)).join(", ")} ms`);

    for (const load of ["randwrite", "randread"] as const) {
      await child.call("load", { ...write, load, durationMs: serveMs, seed: DATA_SEED });
      pushMemory(figures, await child.call("memory"));
    }
    for (let number = 0; number < snapshots; number++) {
      const { replyMs, stallMs, usualMs } = await child.call("snapshotUnderLoad", {
        volume: VOLUME,
        name: `stall${number}`,
        seed: 200 + number,
      });
      figures.reply.push(replyMs);
      figures.stall.push(stallMs);
      figures.usual.push(usualMs);
    }
    say(`  stalls ${figures.stall.map((ms) => ms.toFixed(2)).join(", ")} ms`);

    for (let round = 0; round < rounds; round++) {
      const [from, to] = [`from${round}`, `to${round}`];
      await child.call("createSnapshot", { volume: VOLUME, name: from });
      await child.call("load", { ...write, bytesMax: CHANGED_BYTES, seed: 300 + round });
      await child.call("createSnapshot", { volume: VOLUME, name: to });
      await child.call("close");
      await child.end();
      // A new process has nothing cached.
      child = new PoolProcess(context, "thin");
      await child.call("open", { folder });
      const { elapsedMs, bytesRead, bytesFound } = await child.call("difference", {
        volume: VOLUME,
        from,
        to,
      });
      if (bytesFound < CHANGED_BYTES / 2) throw new Error(`the difference found only ${bytesFound} bytes`);
      figures.differenceMs.push(elapsedMs);
      figures.differenceShare.push(bytesRead / dataBytes);
    }
    await child.call("close");
  } finally {
    await child.end();
  }
  return figures;
}

function pushMemory(figures: Figures, memory: ProcessMemory): void {
  // The most that was seen is what counts, so earlier figures give way.
  figures.privateMb[0] = Math.max(figures.privateMb[0] ?? 0, memory.privateBytes / 1e6);
  figures.fileMb[0] = Math.max(figures.fileMb[0] ?? 0, memory.fileBytes / 1e6);
}
