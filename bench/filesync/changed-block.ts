// 64 KiB changed in a very large file: what goes over the wire, and the time until the target has it, beside rsync with its
// delta algorithm. Always holds: both write to one target file; ours is paused while rsync has its turn.
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Prng } from "../../src/base/prng.ts";
import { settle } from "../nbd/fio.ts";
import { rotated } from "../nbd/server.ts";
import { costRow, limitRow, type Row } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import type { DaemonPair } from "./daemon-pair.ts";
import { filesyncSizes, sizeText } from "./filesync-sizes.ts";
import { makeLargeFile } from "./many-files.ts";
import { Relay } from "./relay.ts";
import { RsyncDaemon } from "./rsync-daemon.ts";

const CHANGED_BYTES = 64 * 1024;
const WIRE_BYTES_MAX = 2 ** 20;
const GOAL = 1;
const NAME = "changed";
const FILE = "large";

const names = (context: SuiteContext) => {
  const what = `${sizeText(CHANGED_BYTES)} changed in a ${sizeText(filesyncSizes(context).changedFileBytes)} file`;
  return { wire: `${what}, both ways on the wire`, time: `${what}, until it is at the target` };
};

export function changedBlock(context: SuiteContext, daemons: DaemonPair): Group {
  return { rows: Object.values(names(context)), measure: (given) => measure(given, daemons) };
}

async function measure(context: SuiteContext, daemons: DaemonPair): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const { changedFileBytes: fileBytes } = filesyncSizes(context);
  const place = context.folderFor("changed");
  const [source, target] = [join(place, "source"), join(place, "target")];
  mkdirSync(source);
  makeLargeFile(join(source, FILE), fileBytes);
  const { ourSource, ourTarget } = await daemons.both();
  await using rsync = await RsyncDaemon.start(folder);
  const destination = await ourTarget.target(NAME, target);
  await using relay = await Relay.start({ port: destination.port });
  const { filesyncs } = ourSource.ropewalk;
  const prng = new Prng(7);
  const change = () => {
    const file = openSync(join(source, FILE), "r+");
    // Wherever it is, in whole bytes: no program is helped by its blocks.
    writeSync(
      file,
      randomBytes(CHANGED_BYTES),
      0,
      CHANGED_BYTES,
      Math.floor(prng.fraction() * (fileBytes - CHANGED_BYTES)),
    );
    closeSync(file);
  };
  const wire: number[] = [];
  const ours = {
    name: "ours",
    elapsedMs: [] as number[],
    run: async () => {
      const before = await relay.bytes();
      change();
      const changedMs = performance.now();
      await ourSource.settled(NAME);
      const elapsedMs = performance.now() - changedMs;
      wire.push((await relay.bytes()) - before);
      return elapsedMs;
    },
  };
  const peer = {
    name: "rsync -aHAX",
    elapsedMs: [] as number[],
    run: async () => {
      await filesyncs.pause(NAME);
      change();
      const elapsedMs = await rsync.run(["-aHAX"], { source, target });
      await filesyncs.resume(NAME);
      await ourSource.settled(NAME);
      return elapsedMs;
    },
  };
  await ourSource.replicating({ name: NAME, source, destination: relay.before(destination) }, async () => {
    await ourSource.settled(NAME);
    for (let round = 0; round < rounds; round++)
      for (const contestant of rotated([ours, peer], round)) {
        await settle(folder);
        const elapsedMs = await contestant.run();
        contestant.elapsedMs.push(elapsedMs);
        say(
          `  ${contestant.name}: ${elapsedMs.toFixed(0)} ms${contestant === ours ? `, ${wire.at(-1)} bytes` : ""}`,
        );
      }
  });
  rmSync(place, { recursive: true, force: true });

  const { wire: wireName, time } = names(context);
  return [
    limitRow({ name: wireName, unit: "B", ours: wire, limit: WIRE_BYTES_MAX }),
    costRow({
      name: time,
      unit: "ms",
      ours: ours.elapsedMs,
      peer: peer.elapsedMs,
      peerName: peer.name,
      goal: GOAL,
    }),
  ];
}
