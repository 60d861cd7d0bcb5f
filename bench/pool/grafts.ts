// Making a range of one volume refer to what a range of another holds, by length: aligned, so that whole leaves
// are shared, and off by one page, so that each leaf of the target holds runs of two of the source.
import { limitRow, plainRow, type Row } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { PoolProcess } from "./pool-process.ts";
import { poolSizes, sizeText } from "./pool-sizes.ts";

const ALIGNMENTS = [
  { name: "aligned", offset: 0, limitMs: 20 },
  { name: "off by 4 KiB", offset: 4096, limitMs: 100 },
] as const;

const rowName = (lengthBytes: number, alignment: string) => `graft of ${sizeText(lengthBytes)}, ${alignment}`;

export function grafts(context: SuiteContext): Group {
  const { graftBytes } = poolSizes(context);
  return { rows: graftBytes.flatMap((bytes) => ALIGNMENTS.map(({ name }) => rowName(bytes, name))), measure };
}

async function measure(context: SuiteContext): Promise<Row[]> {
  const { rounds, say } = context;
  const { graftBytes, graftLimitBytes } = poolSizes(context);
  const sizeBytes = Math.max(...graftBytes);
  const child = new PoolProcess(context, "grafts");
  const results = new Map<string, number[]>();
  try {
    await child.call("open", {
      folder: context.folderFor("grafts"),
      format: { sizeBytes: 2 * sizeBytes + 2 ** 30 },
    });
    await child.call("createVolume", { name: "source", sizeBytes });
    await child.call("load", {
      volume: "source",
      load: "write",
      blockBytes: 2 ** 20,
      bytesMax: sizeBytes,
      seed: 1,
    });
    for (let round = 0; round < rounds; round++) {
      for (const length of graftBytes) {
        for (const { name, offset } of ALIGNMENTS) {
          const volume = `target-${round}-${length}-${offset}`;
          // One page more, so that the whole length fits behind the offset.
          await child.call("createVolume", { name: volume, sizeBytes: sizeBytes + 2 ** 20 });
          const { elapsedMs } = await child.call("graft", {
            source: "source",
            sourceOffset: 0,
            volume,
            offset,
            length,
          });
          const key = rowName(length, name);
          results.set(key, [...(results.get(key) ?? []), elapsedMs]);
          say(`  ${key}: ${elapsedMs.toFixed(2)} ms`);
        }
      }
    }
    await child.call("close");
  } finally {
    await child.end();
  }
  return graftBytes.flatMap((length) =>
    ALIGNMENTS.map(({ name, limitMs }) => {
      const row = { name: rowName(length, name), unit: "ms", ours: results.get(rowName(length, name)) ?? [] };
      return length === graftLimitBytes ? limitRow({ ...row, limit: limitMs }) : plainRow(row);
    }),
  );
}
