// A tree that the target has nothing of, to a daemon: by one connection and by four, beside rsync to its daemon.
//
// Always holds: each contestant has a directory of its own, emptied before its turn, and dirty pages are written back, both
// outside the measured time; the source is in the page cache. Our replies come when the data is durable, and it is durable in the
// end; rsync does not wait for the disk. So there are rows of ours that do not wait either.
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { settle } from "../nbd/fio.ts";
import { rotated } from "../nbd/server.ts";
import { costRow, type Row, rateRow } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import type { DaemonPair } from "./daemon-pair.ts";
import { filesText, filesyncSizes, sizeText } from "./filesync-sizes.ts";
import { makeLargeFile, makeManyFiles } from "./many-files.ts";
import type { Destination } from "./replica-daemon.ts";
import { RsyncDaemon } from "./rsync-daemon.ts";
import { setAside } from "./set-aside.ts";
import { UndurableReceiver } from "./undurable-receiver.ts";

const MIB = 2 ** 20;
const OPTIONS = ["-aHAX"];
const PEER_NAME = "rsync -aHAX";

interface FirstCopy {
  /** Of its folders. */
  readonly folder: string;
  readonly rows: { readonly one: string; readonly four: string };
  readonly make: (source: string) => Promise<void>;
  readonly row: (name: string, figures: { ours: number[]; peer: number[]; goal: number | null }) => Row;
  /** Empties a folder. */
  readonly clear: (folder: string) => void;
  readonly goal: number;
}

const undurable = (name: string) => `${name}, not made durable`;

export function firstCopyOfSmallFiles(context: SuiteContext, daemons: DaemonPair): Group {
  const { smallFiles } = filesyncSizes(context);
  const name = `first copy of ${filesText(smallFiles)} files`;
  return firstCopy(daemons, {
    folder: "small-files",
    rows: { one: `${name}, one connection`, four: `${name}, four connections` },
    make: (source) => makeManyFiles(source, smallFiles),
    clear: (folder) => setAside(context, folder),
    row: (row, { ours, peer, goal }) =>
      costRow({ name: row, unit: "ms", ours, peer, peerName: PEER_NAME, goal }),
    goal: 2,
  });
}

export function firstCopyOfLargeFiles(context: SuiteContext, daemons: DaemonPair): Group {
  const { count, bytes } = filesyncSizes(context).largeFiles;
  const name = `first copy of ${count} × ${sizeText(bytes)} files`;
  const rate = (elapsedMs: number) => (count * bytes) / MIB / (elapsedMs / 1000);
  return firstCopy(daemons, {
    folder: "large-files",
    rows: { one: `${name}, one connection`, four: `${name}, four connections` },
    make: async (source) => {
      mkdirSync(source, { recursive: true });
      for (let file = 0; file < count; file++) makeLargeFile(join(source, `large-${file}`), bytes);
    },
    // They are few, and would take the disk.
    clear: (folder) => {
      for (const name of readdirSync(folder)) rmSync(join(folder, name));
    },
    row: (row, { ours, peer, goal }) =>
      rateRow({
        name: row,
        unit: "MiB/s",
        ours: ours.map(rate),
        peer: peer.map(rate),
        peerName: PEER_NAME,
        goal,
      }),
    goal: 1,
  });
}

function firstCopy(daemons: DaemonPair, copy: FirstCopy): Group {
  const { one, four } = copy.rows;
  return {
    rows: [one, four, undurable(one), undurable(four)],
    measure: (context) => measure(context, daemons, copy),
  };
}

interface Contestant {
  readonly name: string;
  readonly target: string;
  readonly elapsedMs: number[];
  readonly run: () => Promise<number>;
}

async function measure(context: SuiteContext, daemons: DaemonPair, copy: FirstCopy): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const place = context.folderFor(copy.folder);
  const source = join(place, "source");
  const target = (name: string) => {
    const path = join(place, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
  await copy.make(source);
  say("  made the source");

  const { ourSource, ourTarget } = await daemons.both();
  await using receiver = await UndurableReceiver.start(target("undurable"));
  await using rsync = await RsyncDaemon.start(folder);

  let copies = 0;
  const ours = (name: string, path: string, destination: Destination, threads: number): Contestant => ({
    name,
    target: path,
    elapsedMs: [],
    run: () => ourSource.firstCopy({ name: `${copy.folder}-${++copies}`, source, destination, threads }),
  });
  const destination = await ourTarget.target(copy.folder, target("durable"));
  const one = ours(copy.rows.one, target("durable"), destination, 1);
  const four = ours(copy.rows.four, target("durable"), destination, 4);
  const others = [one, four].map(({ name }, index) =>
    ours(undurable(name), target("undurable"), receiver.destination, index === 0 ? 1 : 4),
  );
  const peer: Contestant = {
    name: PEER_NAME,
    target: target("rsync"),
    elapsedMs: [],
    run: () => rsync.run(OPTIONS, { source, target: target("rsync") }),
  };
  const contestants = [one, four, peer, ...others];
  for (let round = 0; round < rounds; round++)
    for (const contestant of rotated(contestants, round)) {
      await settle(folder);
      const elapsedMs = await contestant.run();
      contestant.elapsedMs.push(elapsedMs);
      say(`  ${contestant.name}: ${elapsedMs.toFixed(0)} ms`);
      copy.clear(contestant.target);
    }
  copy.clear(source);

  const row = ({ name, elapsedMs }: Contestant, goal: number | null) =>
    copy.row(name, { ours: elapsedMs, peer: peer.elapsedMs, goal });
  return [row(one, copy.goal), row(four, copy.goal), ...others.map((other) => row(other, null))];
}
