// `ropewalk copy` of a whole volume, beside `qemu-img convert` and `nbdcopy` from one qemu-nbd to another; and whether
// the kernel's counters of our process agree with the bytes that the copy says it moved.
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tryProgram } from "../../test/support/run-program.ts";
import { fill, settle } from "../nbd/fio.ts";
import { PeerServer } from "../nbd/peer-server.ts";
import { rotated, withServers } from "../nbd/server.ts";
import { costRow, limitRow, plainRow, type Row } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { CopiedVolume, fillAtRandom } from "./copied-volume.ts";
import { copySizes, sizeText } from "./copy-sizes.ts";
import { processIoBytes } from "./process-io.ts";

const COPY_MS_MAX = 100;
const PEER_GOAL = 200;
const PEER_TIMEOUT_MS = 900_000;
/** Records, nodes and the request itself: what the process may read and write beyond what it calls moved. */
const EXTRA_SHARE_MAX = 0.01;

const names = (sizeBytes: number) => {
  const size = sizeText(sizeBytes);
  return {
    copy: `copy of ${size} of random 4 KiB writes`,
    moved: `data that the copy of ${size} says it moved`,
    extra: `read and written by the process beyond that, until it rests, share of ${size}`,
  };
};

export function wholeCopy(context: SuiteContext): Group {
  return { rows: Object.values(names(copySizes(context).volumeBytes)), measure };
}

/** What both programs read from and write to. */
function peerExport(name: string, folder: string, sizeBytes: number): PeerServer {
  const [file, socket] = [join(folder, `${name}.img`), join(folder, `${name}.sock`)];
  return new PeerServer({
    name,
    program: "qemu-nbd",
    parameters: ["-f", "raw", "-k", socket, "-t", "-e", "16", "--cache=writeback", file],
    socket,
    prepare: async () => {
      await writeFile(file, "");
      await truncate(file, sizeBytes);
    },
  });
}

async function measure(context: SuiteContext): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const { volumeBytes: sizeBytes } = copySizes(context);
  const ours = new CopiedVolume(context, { name: "whole-copy", sizeBytes, dataBytes: sizeBytes });
  const [from, to] = [peerExport("from", folder, sizeBytes), peerExport("to", folder, sizeBytes)];
  const [elapsed, moved, extra]: [number[], number[], number[]] = [[], [], []];
  const peers = [
    {
      name: "qemu-img convert",
      results: [] as number[],
      // Its best: many requests at once, in any order, into what is there already.
      parameters: () => ["convert", "-n", "-W", "-m", "16", "-f", "raw", "-O", "raw", from.uri(), to.uri()],
    },
    { name: "nbdcopy", results: [] as number[], parameters: () => [from.uri(), to.uri()] },
  ];
  let copies = 0;
  const copyOurs = async () => {
    const volume = `copy-${++copies}`;
    await ours.rest();
    const before = processIoBytes(ours.daemon.pid);
    const copied = await ours.copy(volume);
    // Nothing may be moved behind the reply either.
    await ours.rest();
    const ioBytes = processIoBytes(ours.daemon.pid) - before;
    elapsed.push(copied.elapsedMs);
    moved.push(copied.bytesMoved);
    extra.push(Math.max(0, ioBytes - copied.bytesMoved) / copied.bytes);
    say(
      `  ropewalk copy: ${copied.elapsedMs.toFixed(1)} ms, ${copied.bytesMoved} bytes moved, ${ioBytes} read and written`,
    );
    await ours.remove(volume);
  };
  const copyPeer = async ({ name, results, parameters }: (typeof peers)[0]) => {
    await settle(folder);
    const program = name.split(" ")[0]!;
    const { code, stderr, elapsedMs } = await tryProgram(program, parameters(), {
      timeoutMs: PEER_TIMEOUT_MS,
    });
    if (code !== 0) throw new Error(`${name}: ${stderr}`);
    results.push(elapsedMs);
    say(`  ${name}: ${elapsedMs.toFixed(0)} ms`);
  };

  await withServers([ours, from, to], async () => {
    await fillAtRandom(ours.uri(), sizeBytes, folder);
    // In a file it lies the same way however it was written.
    await fill(from.uri(), sizeBytes, folder);
    for (let round = 0; round < rounds; round++) {
      const turns = [copyOurs, ...peers.map((peer) => () => copyPeer(peer))];
      for (const turn of rotated(turns, round)) await turn();
    }
  });

  const { copy, moved: movedName, extra: extraName } = names(sizeBytes);
  return [
    limitRow({ name: copy, unit: "ms", ours: elapsed, limit: COPY_MS_MAX }),
    ...peers.map(({ name, results }) =>
      costRow({ name: copy, unit: "ms", ours: elapsed, peer: results, peerName: name, goal: PEER_GOAL }),
    ),
    plainRow({ name: movedName, unit: "B", ours: moved }),
    limitRow({ name: extraName, unit: "", ours: extra, limit: EXTRA_SHARE_MAX }),
  ];
}
