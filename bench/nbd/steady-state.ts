// Overwriting a full volume for ever, in pools of which the size forces the collector to keep up: used space at
// most 2 and 1.3 times the live data. Beside it an empty pool: a volume just filled, in one so large that nothing
// need be collected, made anew for each round.
// Steady state: the pool has taken as much as the volume holds in random overwrites before anything is measured.
import { limitRow, plainRow, type Row, rateRow } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { type FioJob, fill, runFio, settle } from "./fio.ts";
import { RopewalkServer } from "./ropewalk-server.ts";
import { rotated, withServers } from "./server.ts";
import { sizes } from "./sizes.ts";

/** What the pool may use, as a multiple of the live data. */
const PRESSURES = [
  { ratio: 2, goal: 0.8 },
  { ratio: 1.3, goal: 0.4 },
] as const;
const HOT = ["--random_distribution=zoned:90/10:10/90"];

const uniformName = (ratio: number) => `uniform random overwrite while collecting, used ≤ ${ratio} × live`;
const spaceName = (ratio: number) => `most space used, in multiples of live data, limit ${ratio}`;
const hotName = (ratio: number) => `hot and cold overwrite (90 % to 10 %), used ≤ ${ratio} × live`;
const amplificationName = (ratio: number, load: string) =>
  `write amplification, ${load}, used ≤ ${ratio} × live`;

export const steadyState: Group = {
  rows: PRESSURES.flatMap(({ ratio }) => [
    uniformName(ratio),
    spaceName(ratio),
    amplificationName(ratio, "uniform"),
    hotName(ratio),
    amplificationName(ratio, "hot and cold"),
  ]),
  measure,
};

interface Figures {
  readonly uniform: number[];
  readonly hot: number[];
  readonly uniformAmplification: number[];
  readonly hotAmplification: number[];
  readonly space: number[];
}

interface Contestant extends Figures {
  readonly server: RopewalkServer;
}

/** For a pressure that a quick run leaves out. */
const NOTHING: Figures = { uniform: [], hot: [], uniformAmplification: [], hotAmplification: [], space: [] };

async function measure(context: SuiteContext): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const { steadyVolumeBytes: sizeBytes, runtimeMs, ageing, pressures } = sizes(context);
  const contestant = (name: string, poolBytes: number): Contestant => ({
    server: new RopewalkServer(context, { name, sizeBytes, poolBytes }),
    uniform: [],
    hot: [],
    uniformAmplification: [],
    hotAmplification: [],
    space: [],
  });
  const empty = contestant("steady-empty", 64 * sizeBytes);
  const pressed = PRESSURES.filter(({ ratio }) => pressures.includes(ratio)).map(({ ratio }) =>
    contestant(`steady-${ratio}`, Math.floor(ratio * sizeBytes)),
  );
  const base: FioJob = { rw: "randwrite", blockBytes: 4096, depth: 32, sizeBytes };

  const all = [empty, ...pressed];
  await withServers(
    all.map(({ server }) => server),
    async () => {
      for (const { server } of all) {
        await fill(server.uri(), sizeBytes, folder);
        if (server === empty.server) continue;
        const aged = await runFio(server.uri(), { ...base, bytesMax: ageing * sizeBytes }, folder);
        say(`  ${server.name}: aged at ${aged.operations.toFixed(0)} ops/s`);
      }
      for (let round = 0; round < rounds; round++) {
        for (const one of rotated(all, round)) {
          if (one === empty && round > 0) {
            await empty.server.stop();
            await empty.server.start();
            await fill(empty.server.uri(), sizeBytes, folder);
          }
          await settle(folder);
          const uniform = await observed(one, { ...base, runtimeMs }, folder);
          one.uniform.push(uniform.operations);
          one.uniformAmplification.push(uniform.amplification);
          const hot = await observed(one, { ...base, runtimeMs, more: HOT }, folder);
          one.hot.push(hot.operations);
          one.hotAmplification.push(hot.amplification);
          say(
            `  ${one.server.name}: uniform ${uniform.operations.toFixed(0)} ops/s ×${uniform.amplification.toFixed(2)}, ` +
              `hot ${hot.operations.toFixed(0)} ops/s ×${hot.amplification.toFixed(2)}, space ×${Math.max(...one.space).toFixed(2)}`,
          );
        }
      }
    },
  );

  const peerName = "empty pool";
  return PRESSURES.flatMap(({ ratio, goal }, index) => {
    const one = pressed[index] ?? NOTHING;
    const most = one.space.length === 0 ? [] : [Math.max(...one.space)];
    return [
      rateRow({
        name: uniformName(ratio),
        unit: "ops/s",
        ours: one.uniform,
        peer: empty.uniform,
        peerName,
        goal,
      }),
      limitRow({ name: spaceName(ratio), unit: "×", ours: most, limit: ratio }),
      plainRow({ name: amplificationName(ratio, "uniform"), unit: "×", ours: one.uniformAmplification }),
      rateRow({ name: hotName(ratio), unit: "ops/s", ours: one.hot, peer: empty.hot, peerName, goal: null }),
      plainRow({ name: amplificationName(ratio, "hot and cold"), unit: "×", ours: one.hotAmplification }),
    ];
  });
}

/** Runs a job while watching the pool's space, and says what the disk took for each byte that the client wrote. */
async function observed(
  { server, space }: Contestant,
  job: FioJob,
  folder: string,
): Promise<{ operations: number; amplification: number }> {
  const before = await written(server);
  const watch = setInterval(() => {
    Promise.all([server.metric("ropewalk_pool_used_bytes"), server.metric("ropewalk_pool_live_bytes")]).then(
      ([used, live]) => space.push(used / live),
      () => {},
    );
  }, 250);
  try {
    const { operations } = await runFio(server.uri(), job, folder);
    const after = await written(server);
    return { operations, amplification: (after.disk - before.disk) / (after.client - before.client) };
  } finally {
    clearInterval(watch);
  }
}

async function written(server: RopewalkServer): Promise<{ client: number; disk: number }> {
  const metrics = await server.daemon.metrics();
  const value = (name: string) => metrics.get(`ropewalk_pool_${name}_written_bytes_total`) ?? Number.NaN;
  return { client: value("client"), disk: value("log") + value("collector") + value("metadata") };
}
