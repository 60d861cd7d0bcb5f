// What a copy costs by the size of a thin volume: aligned, so that whole parts of the map are shared, and off by one
// page, so that each part of the copy's map refers to two of the source's.
import { runFio } from "../nbd/fio.ts";
import { withServers } from "../nbd/server.ts";
import { plainRow, type Row } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { CopiedVolume } from "./copied-volume.ts";
import { copySizes, sizeText } from "./copy-sizes.ts";

const ALIGNMENTS = [
  { name: "aligned", flags: [] },
  { name: "off by 4 KiB", flags: ["--to-offset", "4096"] },
] as const;

const rowName = (sizeBytes: number, alignment: string) => `copy of ${sizeText(sizeBytes)} thin, ${alignment}`;

export function thinCopies(context: SuiteContext): Group {
  const { thinBytes } = copySizes(context);
  return { rows: thinBytes.flatMap((bytes) => ALIGNMENTS.map(({ name }) => rowName(bytes, name))), measure };
}

async function measure(context: SuiteContext): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const { thinBytes, thinShare } = copySizes(context);
  const rows: Row[] = [];
  for (const sizeBytes of thinBytes) {
    const dataBytes = sizeBytes * thinShare;
    const server = new CopiedVolume(context, { name: `thin-${sizeBytes}`, sizeBytes, dataBytes });
    const results = new Map<string, number[]>();
    await withServers([server], async () => {
      const job = { rw: "randwrite", blockBytes: 4096, depth: 32, sizeBytes } as const;
      await runFio(server.uri(), { ...job, bytesMax: dataBytes }, folder);
      for (let round = 0; round < rounds; round++) {
        for (const { name, flags } of ALIGNMENTS) {
          await server.rest();
          const { elapsedMs } = await server.copy("target", ...flags);
          results.set(name, [...(results.get(name) ?? []), elapsedMs]);
          say(`  ${rowName(sizeBytes, name)}: ${elapsedMs.toFixed(1)} ms`);
          await server.remove("target");
        }
      }
    });
    for (const { name } of ALIGNMENTS)
      rows.push(plainRow({ name: rowName(sizeBytes, name), unit: "ms", ours: results.get(name) ?? [] }));
  }
  return rows;
}
