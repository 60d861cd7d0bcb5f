// Random writes just after a snapshot of a dense volume, when every leaf of the map is touched for the first
// time, beside the same writes on the same volume with the snapshot gone; and the loop's longest turn meanwhile.
import { setTimeout as delay } from "node:timers/promises";
import { limitRow, type Row, rateRow } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { fill, runFio, settle } from "./fio.ts";
import { RopewalkServer } from "./ropewalk-server.ts";
import { withServers } from "./server.ts";
import { sizes } from "./sizes.ts";

const WRITES = "4 KiB random write just after a snapshot of a dense volume";
const TURN = "longest turn of the loop, snapshots under random writes";
const TURN_MS_MAX = 5;
/** The metric looks back 60 to 70 seconds; what came before the measurement must be out of its sight. */
const METRIC_WINDOW_MS = 72_000;
/** Short, because the cost is in the first touch of each leaf. */
const WINDOW_MS = 1000;
/** Room for the overwrites, so that no collector is measured here. */
const SPARE_BYTES = 4 * 2 ** 30;
const DELETE_TIMEOUT_MS = 60_000;

export const afterSnapshot: Group = { rows: [WRITES, TURN], measure };

async function measure(context: SuiteContext): Promise<Row[]> {
  const { folder, rounds, quick, say } = context;
  const { snapshotVolumeBytes: sizeBytes } = sizes(context);
  const server = new RopewalkServer(context, {
    name: "after-snapshot",
    sizeBytes,
    poolBytes: 3 * sizeBytes + SPARE_BYTES,
  });
  const job = {
    rw: "randwrite",
    blockBytes: 4096,
    depth: 32,
    sizeBytes,
    runtimeMs: quick ? 500 : WINDOW_MS,
  } as const;
  const [after, without, turns]: [number[], number[], number[]] = [[], [], []];

  await withServers([server], async () => {
    const { mebibytes } = await fill(server.uri(), sizeBytes, folder);
    say(`  filled at ${mebibytes.toFixed(0)} MiB/s`);
    await settle(folder);
    await runFio(server.uri(), job, folder);
    if (!quick) await delay(METRIC_WINDOW_MS);
    for (let round = 0; round < rounds; round++) {
      await settle(folder);
      without.push((await runFio(server.uri(), job, folder)).operations);
      await settle(folder);
      await server.daemon.cli("snapshot", "create", `vol0@round${round}`);
      after.push((await runFio(server.uri(), job, folder)).operations);
      turns.push(1000 * (await server.metric('ropewalk_loop_longest_turn_seconds{window="minute"}')));
      say(
        `  without ${without.at(-1)!.toFixed(0)}, after ${after.at(-1)!.toFixed(0)} ops/s, turn ${turns.at(-1)!.toFixed(2)} ms`,
      );
      await server.daemon.cli("snapshot", "delete", `vol0@round${round}`);
      await untilStill(server);
    }
  });

  return [
    rateRow({
      name: WRITES,
      unit: "ops/s",
      ours: after,
      peer: without,
      peerName: "without a snapshot",
      goal: 0.8,
    }),
    limitRow({ name: TURN, unit: "ms", ours: [Math.max(...turns)], limit: TURN_MS_MAX }),
  ];
}

/** Returns when the background work behind a deleted snapshot no longer frees anything. */
async function untilStill(server: RopewalkServer): Promise<void> {
  const deadlineMs = performance.now() + DELETE_TIMEOUT_MS;
  let before = -1;
  for (;;) {
    const live = await server.metric("ropewalk_pool_live_bytes");
    if (live === before || performance.now() > deadlineMs) return;
    before = live;
    await delay(500);
  }
}
