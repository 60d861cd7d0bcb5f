// The engine without a socket: what the pool itself does in a second, one process, 32 requests a turn.
import { plainRow, type Row } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import type { Load } from "./pool-operations.ts";
import { PoolProcess } from "./pool-process.ts";
import { poolSizes } from "./pool-sizes.ts";

const SMALL = 4096;
const LARGE = 128 * 1024;

const LOADS: { name: string; load: Load; blockBytes: number; unit: "ops/s" | "MiB/s" }[] = [
  { name: "engine, 4 KiB random write", load: "randwrite", blockBytes: SMALL, unit: "ops/s" },
  { name: "engine, 4 KiB random read", load: "randread", blockBytes: SMALL, unit: "ops/s" },
  { name: "engine, 128 KiB sequential write", load: "write", blockBytes: LARGE, unit: "MiB/s" },
  { name: "engine, 128 KiB sequential read", load: "read", blockBytes: LARGE, unit: "MiB/s" },
];

export const engine: Group = { rows: LOADS.map(({ name }) => name), measure };

async function measure(context: SuiteContext): Promise<Row[]> {
  const { rounds, say } = context;
  const { engineVolumeBytes: sizeBytes, engineMs: durationMs } = poolSizes(context);
  const child = new PoolProcess(context, "engine");
  const results = LOADS.map((): number[] => []);
  try {
    await child.call("open", {
      folder: context.folderFor("engine"),
      format: { sizeBytes: 8 * sizeBytes },
    });
    await child.call("createVolume", { name: "vol0", sizeBytes });
    await child.call("load", {
      volume: "vol0",
      load: "write",
      blockBytes: 2 ** 20,
      bytesMax: sizeBytes,
      seed: 1,
    });
    for (let round = 0; round < rounds; round++) {
      for (const [index, { name, load, blockBytes, unit }] of LOADS.entries()) {
        const { operations, elapsedMs } = await child.call("load", {
          volume: "vol0",
          load,
          blockBytes,
          durationMs,
          seed: 1000 * round + index,
        });
        const rate = operations / (elapsedMs / 1000);
        const value = unit === "ops/s" ? rate : (rate * blockBytes) / 2 ** 20;
        results[index]!.push(value);
        say(`  ${name}: ${value.toFixed(0)} ${unit}`);
      }
    }
    await child.call("close");
  } finally {
    await child.end();
  }
  return LOADS.map(({ name, unit }, index) => plainRow({ name, unit, ours: results[index]! }));
}
