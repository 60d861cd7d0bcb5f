// What more connections bring on a link that delays and stalls: the first copy of a tree by 1, 4 and 16 of them.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { settle } from "../nbd/fio.ts";
import { rotated } from "../nbd/server.ts";
import { plainRow, type Row, rateRow } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import type { DaemonPair } from "./daemon-pair.ts";
import { fileCount, filesText, filesyncSizes } from "./filesync-sizes.ts";
import { makeManyFiles } from "./many-files.ts";
import { Relay, type RelayOptions } from "./relay.ts";
import { setAside } from "./set-aside.ts";

const THREADS = [1, 4, 16];
/** A stall is about what a TCP that lost a packet waits before it sends it again. */
export const LINK = {
  delayMs: 20,
  stallShare: 0.005,
  stallMs: 200,
  windowBytes: 512 * 1024,
} satisfies Omit<RelayOptions, "port">;

const rowName = (context: SuiteContext, threads: number) =>
  `first copy of ${filesText(filesyncSizes(context).linkFiles)} files, ${LINK.delayMs} ms each way and stalls, ${threads} connection${threads === 1 ? "" : "s"}`;

export function delayedLink(context: SuiteContext, daemons: DaemonPair): Group {
  return {
    rows: THREADS.map((threads) => rowName(context, threads)),
    measure: (given) => measure(given, daemons),
  };
}

async function measure(context: SuiteContext, daemons: DaemonPair): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const { linkFiles } = filesyncSizes(context);
  const place = context.folderFor("link");
  const [source, target] = [join(place, "source"), join(place, "target")];
  await makeManyFiles(source, linkFiles);
  mkdirSync(target);
  const { ourSource, ourTarget } = await daemons.both();
  const destination = await ourTarget.target("link", target);
  const rates = new Map<number, number[]>(THREADS.map((threads) => [threads, []]));
  let copies = 0;
  for (let round = 0; round < rounds; round++)
    for (const threads of rotated(THREADS, round)) {
      await using relay = await Relay.start({ port: destination.port, ...LINK, seed: round + 1 });
      await settle(folder);
      const name = `link-${++copies}`;
      const elapsedMs = await ourSource.firstCopy({
        name,
        source,
        destination: relay.before(destination),
        threads,
      });
      rates.get(threads)!.push(fileCount(linkFiles) / (elapsedMs / 1000));
      say(`  ${threads} connections: ${elapsedMs.toFixed(0)} ms`);
      setAside(context, target);
    }

  const [one] = THREADS;
  return THREADS.map((threads) => {
    const row = { name: rowName(context, threads), unit: "files/s", ours: rates.get(threads)! };
    if (threads === one) return plainRow(row);
    return rateRow({ ...row, peer: rates.get(one!)!, peerName: "one connection", goal: null });
  });
}
