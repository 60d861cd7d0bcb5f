// Random writes just after a snapshot, beside qemu-nbd on a qcow2 image just after an internal one.
import { type Row, rateRow } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { fill, runFio, settle } from "./fio.ts";
import { QemuQcow2 } from "./peer-server.ts";
import { RopewalkServer } from "./ropewalk-server.ts";
import { rotated, withServers } from "./server.ts";
import { sizes } from "./sizes.ts";

const WRITES = "4 KiB random write, depth 32, just after a snapshot, against qcow2";

export const againstQcow2: Group = { rows: [WRITES], measure };

async function measure(context: SuiteContext): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const { volumeBytes: sizeBytes, runtimeMs } = sizes(context);
  const ours = new RopewalkServer(context, { name: "against-qcow2", sizeBytes, poolBytes: 8 * sizeBytes });
  const peer = new QemuQcow2({ folder, sizeBytes });
  const contestants = [
    {
      server: ours,
      results: [] as number[],
      snapshot: (name: string) => ours.daemon.cli("snapshot", "create", `vol0@${name}`),
      drop: (name: string) => ours.daemon.cli("snapshot", "delete", `vol0@${name}`),
    },
    {
      server: peer,
      results: [] as number[],
      snapshot: (name: string) => peer.snapshot(name),
      drop: (name: string) => peer.dropSnapshot(name),
    },
  ];
  await withServers([ours, peer], async () => {
    for (const { server } of contestants) await fill(server.uri(), sizeBytes, folder);
    for (let round = 0; round < rounds; round++) {
      for (const { server, results, snapshot, drop } of rotated(contestants, round)) {
        await snapshot(`round${round}`);
        await settle(folder);
        const job = { rw: "randwrite", blockBytes: 4096, depth: 32, sizeBytes, runtimeMs } as const;
        const { operations } = await runFio(server.uri(), job, folder);
        results.push(operations);
        say(`  ${server.name}: ${operations.toFixed(0)} ops/s`);
        await drop(`round${round}`);
      }
    }
  });
  const [{ results: oursMeasured }, { results: peerMeasured }] = contestants as [
    (typeof contestants)[0],
    (typeof contestants)[0],
  ];
  return [
    rateRow({
      name: WRITES,
      unit: "ops/s",
      ours: oursMeasured,
      peer: peerMeasured,
      peerName: peer.name,
      goal: 5,
    }),
  ];
}
