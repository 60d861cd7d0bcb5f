// The rows against tgt: the same clients on both, one after the other in an order that rotates round by round, on
// units of one size that were filled once and then age alike.
import { settle } from "../nbd/fio.ts";
import { RopewalkServer } from "../nbd/ropewalk-server.ts";
import { rotated, type Server, withServers } from "../nbd/server.ts";
import { type Row, rateRow } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { type BenchJob, iscsiPerf, qemuBench } from "./iscsi-clients.ts";
import { type IscsiSizes, iscsiSizes } from "./iscsi-sizes.ts";
import { TgtServer } from "./tgt-server.ts";

const SMALL = 4096;
const LARGE = 128 * 1024;
const MIB = 2 ** 20;
const DEPTH = 32;
/** Over any unit of a power of two it comes by every block before it comes by one again. */
const STRIDE_BYTES = 257 * SMALL;

interface Comparison {
  readonly name: string;
  readonly unit: "ops/s" | "MiB/s";
  readonly goal: number;
  /** Operations a second. */
  readonly run: (uri: string) => Promise<number>;
}

function comparisons(sizes: IscsiSizes): Comparison[] {
  const bench = (job: Omit<BenchJob, "depth">) => (uri: string) => qemuBench(uri, { ...job, depth: DEPTH });
  const large = { blockBytes: LARGE, requests: sizes.largeRequests } as const;
  return [
    {
      name: "4 KiB random read, depth 32, iscsi-perf",
      unit: "ops/s",
      goal: 2,
      run: (uri) => iscsiPerf(uri, { blockBytes: SMALL, depth: DEPTH, seconds: sizes.readSeconds }),
    },
    {
      name: "4 KiB scattered write, depth 32, qemu-img bench",
      unit: "ops/s",
      goal: 1.5,
      run: bench({
        kind: "write",
        blockBytes: SMALL,
        requests: sizes.smallRequests,
        strideBytes: STRIDE_BYTES,
      }),
    },
    {
      name: "128 KiB sequential write, depth 32, qemu-img bench",
      unit: "MiB/s",
      goal: 1.5,
      run: bench({ kind: "write", ...large }),
    },
    {
      name: "128 KiB sequential read, depth 32, qemu-img bench",
      unit: "MiB/s",
      goal: 1.5,
      run: bench({ kind: "read", ...large }),
    },
  ];
}

/** Ourselves, reached over iSCSI. */
class RopewalkTarget extends RopewalkServer {
  override uri(): string {
    return `iscsi://${this.daemon.endpoints.iscsi[0]}/iqn.2026-11.io.ropewalk:vol0/0`;
  }
}

export function againstTgt(context: SuiteContext): Group {
  return { rows: comparisons(iscsiSizes(context)).map(({ name }) => name), measure };
}

async function measure(context: SuiteContext): Promise<Row[]> {
  const { folder, rounds, only, say } = context;
  const sizes = iscsiSizes(context);
  const { volumeBytes: sizeBytes } = sizes;
  const ours = new RopewalkTarget(context, { name: "ropewalk", sizeBytes, poolBytes: 8 * sizeBytes });
  const peer = new TgtServer({ folder, sizeBytes });
  const contestants: Server[] = [ours];
  if (TgtServer.isInstalled) contestants.push(peer);
  else {
    say("  no tgtd and tgtadm here, so nothing is compared");
    process.exitCode = 1;
  }
  const list = comparisons(sizes).filter(({ name }) => name.includes(only));
  const results = new Map<string, number[]>();
  const resultsOf = (name: string, server: Server) => results.get(`${name} ${server.name}`) ?? [];

  await withServers(contestants, async () => {
    for (const server of contestants) {
      const operations = await qemuBench(server.uri(), {
        kind: "write",
        blockBytes: MIB,
        depth: 8,
        requests: sizeBytes / MIB,
      });
      say(`  filled ${server.name} at ${operations.toFixed(0)} MiB/s`);
    }
    for (let round = 0; round < rounds; round++) {
      for (const { name, unit, run } of list) {
        for (const server of rotated(contestants, round)) {
          await settle(folder);
          const operations = await run(server.uri());
          const value = unit === "ops/s" ? operations : (operations * LARGE) / MIB;
          results.set(`${name} ${server.name}`, [...resultsOf(name, server), value]);
          say(`  ${name}: ${server.name} ${value.toFixed(0)} ${unit}`);
        }
      }
    }
  });

  return list.map(({ name, unit, goal }) =>
    rateRow({
      name,
      unit,
      ours: resultsOf(name, ours),
      peer: resultsOf(name, peer),
      peerName: peer.name,
      goal,
    }),
  );
}
