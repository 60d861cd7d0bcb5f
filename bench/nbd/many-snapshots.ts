// The mix (70 % reads) on a volume with many snapshots, each of them with changes of its own, beside a volume
// of the same size, equally overwritten, that has none.
import { type Row, rateRow } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { fill, runFio, settle } from "./fio.ts";
import { RopewalkServer } from "./ropewalk-server.ts";
import { rotated, withServers } from "./server.ts";
import { sizes } from "./sizes.ts";

const MIX = "mix of 70 % reads and 30 % writes, 4 KiB, depth 32, with many snapshots";
/** Written between two snapshots. */
const CHANGE_BYTES = 4 * 2 ** 20;

export const manySnapshots: Group = { rows: [MIX], measure };

async function measure(context: SuiteContext): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const { volumeBytes: sizeBytes, runtimeMs, rampMs, snapshots } = sizes(context);
  const [many, none] = ["many", "none"];
  const server = new RopewalkServer(context, {
    name: "many-snapshots",
    sizeBytes,
    poolBytes: 10 * sizeBytes,
    volume: many,
  });
  const results: Record<string, number[]> = { [many]: [], [none]: [] };

  await withServers([server], async () => {
    await server.createVolume(none, sizeBytes);
    const change = { rw: "randwrite", blockBytes: 4096, depth: 32, sizeBytes } as const;
    for (const volume of [many, none]) await fill(server.uri(volume), sizeBytes, folder);
    await runFio(server.uri(none), { ...change, bytesMax: snapshots * CHANGE_BYTES }, folder);
    for (let number = 0; number < snapshots; number++) {
      await server.daemon.cli("snapshot", "create", `${many}@s${number}`);
      await runFio(server.uri(many), { ...change, bytesMax: CHANGE_BYTES }, folder);
    }
    say(`  ${snapshots} snapshots made`);
    for (let round = 0; round < rounds; round++) {
      for (const volume of rotated([many, none], round)) {
        await settle(folder);
        const job = { ...change, rw: "randrw", runtimeMs, rampMs, more: ["--rwmixread=70"] } as const;
        const { operations } = await runFio(server.uri(volume), job, folder);
        results[volume]!.push(operations);
        say(`  ${volume}: ${operations.toFixed(0)} ops/s`);
      }
    }
  });
  const [ours, peer] = [results[many]!, results[none]!];
  return [
    rateRow({ name: MIX, unit: "ops/s", ours, peer, peerName: `without (against ${snapshots})`, goal: 0.9 }),
  ];
}
