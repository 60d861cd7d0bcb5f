// The rows against nbdkit and qemu-nbd: the same fio job on each, one after the other in an order that rotates,
// round by round, on volumes of one size that were filled once and then age alike.
import { type Row, rateRow } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { type FioJob, fill, runFio, settle } from "./fio.ts";
import { nbdkitFile, nbdkitNull, qemuRaw } from "./peer-server.ts";
import { RopewalkServer } from "./ropewalk-server.ts";
import { rotated, type Server, withServers } from "./server.ts";
import { type Sizes, sizes } from "./sizes.ts";

type PeerKey = "nbdkit" | "threads" | "uring" | "null";

interface Comparison {
  readonly name: string;
  readonly unit: "ops/s" | "MiB/s";
  readonly job: Omit<FioJob, "sizeBytes">;
  /** Peers with the ratio to reach; null reports only. */
  readonly peers: Partial<Record<PeerKey, number | null>>;
}

/**
 * Rounds of the jobs that write, before anything is measured: each server has the files, and the machine the memory,
 * that it goes on with. One pass over a new file measures how fast the machine hands out memory.
 */
const PRECONDITIONING_ROUNDS = 2;
const SMALL = 4096;
const LARGE = 128 * 1024;

function comparisons({ runtimeMs, rampMs }: Sizes): Comparison[] {
  const timed = { runtimeMs, rampMs };
  const random = { blockBytes: SMALL, depth: 32, ...timed };
  return [
    {
      // Once over the volume: a log that takes new blocks for each pass must not be judged by how fast the
      // disk takes many passes that the peer's page cache folds into one.
      name: "128 KiB sequential write, depth 16",
      unit: "MiB/s",
      job: { rw: "write", blockBytes: LARGE, depth: 16 },
      peers: { nbdkit: 1 },
    },
    {
      name: "128 KiB sequential read, depth 16",
      unit: "MiB/s",
      job: { rw: "read", blockBytes: LARGE, depth: 16, ...timed },
      peers: { nbdkit: 1 },
    },
    {
      name: "4 KiB random read, depth 32",
      unit: "ops/s",
      job: { rw: "randread", ...random },
      peers: { nbdkit: 1.5, threads: 3, uring: null, null: null },
    },
    {
      name: "4 KiB random write, depth 32",
      unit: "ops/s",
      job: { rw: "randwrite", ...random },
      peers: { nbdkit: 1.5, threads: 3, uring: null, null: null },
    },
    {
      name: "4 KiB read, depth 1",
      unit: "ops/s",
      job: { rw: "randread", blockBytes: SMALL, depth: 1, ...timed },
      peers: { nbdkit: 1 },
    },
    {
      name: "4 KiB write, depth 1",
      unit: "ops/s",
      job: { rw: "randwrite", blockBytes: SMALL, depth: 1, ...timed },
      peers: { nbdkit: 1 },
    },
    {
      name: "4 KiB random write, depth 32, fsync every 32",
      unit: "ops/s",
      job: { rw: "randwrite", ...random, more: ["--fsync=32"] },
      peers: { nbdkit: 2 },
    },
    {
      name: "128 KiB sequential read, depth 16, behind random writes",
      unit: "MiB/s",
      job: { rw: "read", blockBytes: LARGE, depth: 16, ...timed },
      peers: { nbdkit: null },
    },
  ];
}

export function againstPeers(context: SuiteContext): Group {
  return { rows: comparisons(sizes(context)).map(({ name }) => name), measure };
}

async function measure(context: SuiteContext): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const size = sizes(context);
  const place = { folder, sizeBytes: size.volumeBytes };
  const ours = new RopewalkServer(context, {
    name: "ropewalk",
    sizeBytes: size.volumeBytes,
    poolBytes: 8 * size.volumeBytes,
  });
  const peers: Record<PeerKey, Server> = {
    nbdkit: nbdkitFile(place),
    threads: qemuRaw({ ...place, aio: "threads" }),
    uring: qemuRaw({ ...place, aio: "io_uring" }),
    null: nbdkitNull(place),
  };
  const list = comparisons(size).filter(({ name }) => name.includes(context.only));
  const needed = new Set(list.flatMap(peersOf).map(([key]) => peers[key]));
  const all = [ours, ...needed];
  const results = new Map<string, number[]>();
  const resultsOf = (comparison: Comparison, server: Server) => {
    const key = `${comparison.name} ${server.name}`;
    const found = results.get(key) ?? [];
    results.set(key, found);
    return found;
  };

  await withServers(all, async () => {
    for (const server of all) {
      if (server === peers.null) continue;
      const { mebibytes } = await fill(server.uri(), size.volumeBytes, folder);
      say(`  filled ${server.name} at ${mebibytes.toFixed(0)} MiB/s`);
    }
    const preconditioning = context.quick ? 0 : PRECONDITIONING_ROUNDS;
    for (let round = -preconditioning; round < rounds; round++) {
      const isMeasured = round >= 0;
      for (const comparison of list) {
        if (!isMeasured && !comparison.job.rw.endsWith("write")) continue;
        const contestants = [ours, ...peersOf(comparison).map(([key]) => peers[key])];
        for (const server of rotated(contestants, Math.max(0, round))) {
          await settle(folder);
          const result = await runFio(
            server.uri(),
            { ...comparison.job, sizeBytes: size.volumeBytes },
            folder,
          );
          const value = comparison.unit === "ops/s" ? result.operations : result.mebibytes;
          if (isMeasured) resultsOf(comparison, server).push(value);
          say(
            `  ${isMeasured ? "" : "(preconditioning) "}${comparison.name}: ${server.name} ${value.toFixed(0)} ${comparison.unit}, p99 ${result.p99Us.toFixed(0)} µs`,
          );
        }
      }
    }
  });

  return list.flatMap((comparison) =>
    peersOf(comparison).map(([key, goal]) =>
      rateRow({
        name: comparison.name,
        unit: comparison.unit,
        ours: resultsOf(comparison, ours),
        peer: resultsOf(comparison, peers[key]),
        peerName: peers[key].name,
        goal,
      }),
    ),
  );
}

function peersOf(comparison: Comparison): [PeerKey, number | null][] {
  return Object.entries(comparison.peers) as [PeerKey, number | null][];
}
