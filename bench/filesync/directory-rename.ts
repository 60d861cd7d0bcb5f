// A directory with very many files gets another name: how long until the target's has it, and what goes over the wire.
import { existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { settle } from "../nbd/fio.ts";
import { limitRow, type Row } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import type { DaemonPair } from "./daemon-pair.ts";
import { countText, fileCount, filesyncSizes } from "./filesync-sizes.ts";
import { makeManyFiles } from "./many-files.ts";
import { Relay } from "./relay.ts";

const RENAME_MS_MAX = 1000;
const WIRE_BYTES_MAX = 4096;
const NAME = "renamed";
const PATIENCE_MS = 60_000;

const names = (context: SuiteContext) => {
  const what = `rename of a directory with ${countText(fileCount(filesyncSizes(context).renamed))} files`;
  return { time: `${what}, until it is at the target`, wire: `${what}, both ways on the wire` };
};

export function directoryRename(context: SuiteContext, daemons: DaemonPair): Group {
  return { rows: Object.values(names(context)), measure: (given) => measure(given, daemons) };
}

async function measure(context: SuiteContext, daemons: DaemonPair): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const place = context.folderFor("rename");
  const [source, target] = [join(place, "source"), join(place, "target")];
  let now = "made";
  await makeManyFiles(join(source, now), filesyncSizes(context).renamed);
  const { ourSource, ourTarget } = await daemons.both();
  const destination = await ourTarget.target(NAME, target);
  await using relay = await Relay.start({ port: destination.port });
  const [elapsed, wire]: [number[], number[]] = [[], []];
  await ourSource.replicating({ name: NAME, source, destination: relay.before(destination) }, async () => {
    await ourSource.settled(NAME);
    for (let round = 0; round < rounds; round++) {
      // A new name each time: one that goes straight back to its old name is compared besides, as two that changed places are.
      const next = `renamed-${round}`;
      await settle(folder);
      const before = await relay.bytes();
      renameSync(join(source, now), join(source, next));
      const renamedMs = performance.now();
      while (!existsSync(join(target, next)) || existsSync(join(target, now))) {
        if (performance.now() > renamedMs + PATIENCE_MS)
          throw new Error("the rename did not come to the target");
        await delay(1);
      }
      elapsed.push(performance.now() - renamedMs);
      await ourSource.settled(NAME);
      wire.push((await relay.bytes()) - before);
      say(`  ${elapsed.at(-1)!.toFixed(1)} ms, ${wire.at(-1)} bytes`);
      now = next;
    }
  });

  const { time, wire: wireName } = names(context);
  return [
    limitRow({ name: time, unit: "ms", ours: elapsed, limit: RENAME_MS_MAX }),
    limitRow({ name: wireName, unit: "B", ours: wire, limit: WIRE_BYTES_MAX }),
  ];
}
