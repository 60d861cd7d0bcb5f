// Two real daemons in network namespaces of their own, joined by a slow link that is cut and that swallows everything, while
// the first copy runs and the source changes. In the end the target equals the source, and the link has seen TLS only.
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { Daemon } from "../support/daemon.ts";
import { NetworkLink } from "../support/network-link.ts";
import { PacketCapture, type SeenPayload } from "../support/packet-capture.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";
import { ChurnWorker } from "./churn-worker.ts";
import { type ShownFilesync, shownFilesync, until, untilShown } from "./shown-filesync.ts";
import { treeDifferences } from "./tree-differences.ts";

const NAME = "slow";
const POOL_SIZE = "1GiB";
const RATE = "10mbit";
const FILE_BYTES = 64 * 1024;
/** In each file; none of it may be seen on the link. */
const MARK = Buffer.from("what stands in the files is nobody's business");
const HANDSHAKE = 22;
const TROUBLES = ["cut", "blackHole"] as const;

export interface SlowLinkOptions {
  /** Of the first copy. */
  readonly megabytes: number;
  /** A link that is away for a moment only; else until the source has given its connections up, a minute or more. */
  readonly troubles: "short" | "long";
  readonly seed: number;
  readonly say?: (line: string) => void;
}

/** What is wrong in the end; empty: nothing. */
export async function slowLinkRun(options: SlowLinkOptions): Promise<string[]> {
  const { megabytes, troubles, seed, say = () => {} } = options;
  using folder = new TemporaryFolder();
  const [source, target, outside] = [folder.file("source"), folder.file("target"), folder.file("outside")];
  for (const path of [source, target, outside]) mkdirSync(path);
  for (let index = 0; index * FILE_BYTES < megabytes * 2 ** 20; index += 1) {
    mkdirSync(`${source}/first${index % 8}`, { recursive: true });
    writeFileSync(`${source}/first${index % 8}/file${index}`, fileBytes());
  }

  await using link = await NetworkLink.start({ rate: RATE });
  const { near: here, far: there } = link;
  await using far = await Daemon.start({
    namespace: there.namespace,
    poolSize: POOL_SIZE,
    flags: ["--peer", `${there.address}:0`],
  });
  await using near = await Daemon.start({ namespace: here.namespace, poolSize: POOL_SIZE });
  await using capture = await PacketCapture.start(here);
  const key = folder.file("key");
  await far.cli("filesync", "target", "add", NAME, "--root", target, "--key", key);
  const to = `ropewalk://${far.endpoints.peer.at(-1)}/${NAME}`;
  await near.cli("filesync", "add", NAME, "--source", source, "--key", key, "--to", to);

  await untilShown(near, NAME, "the bulk copies", (shown) => (shown.targets[0]?.copiedFiles ?? 0) > 0);
  const problems: string[] = [];
  const startedMs = performance.now();
  writeFileSync(`${source}/live`, "while the bulk runs");
  renameSync(`${source}/first0`, `${source}/renamed`);
  rmSync(`${source}/first1`, { recursive: true });
  await until("a live change arrives", () => existsSync(`${target}/live`));
  const { bulk } = (await shownFilesync(near, NAME)).targets[0]!;
  say(
    `a live change came after ${seconds(startedMs)} s, the bulk ${bulk === undefined ? "done" : "running"}`,
  );
  // A short one may be over by then on a slow machine.
  if (bulk === undefined && troubles === "long") problems.push("the live change came when the bulk was over");
  {
    await using churn = new ChurnWorker({ root: source, outside, seed, pauseMs: 20, stepsMax: 400 });
    for (const trouble of TROUBLES) {
      await (trouble === "cut" ? link.cut() : link.swallow());
      writeFileSync(`${source}/during-${trouble}`, fileBytes());
      const { targets } = await untilShown(near, NAME, `it is felt (${trouble})`, isFelt[troubles]);
      const { error, lag } = targets[0]!;
      say(`${trouble}: ${error === undefined ? "no error" : error.message}, ${lag.entries} entries wait`);
      await (trouble === "cut" ? link.mend() : link.deliver());
      await untilShown(near, NAME, `it goes on (${trouble})`, ({ state }) => state !== "waiting");
    }
    await churn.ended;
  }
  const shown = await near.tryCli("filesync", "show", NAME, "--wait");
  say(`equal after ${seconds(startedMs)} s`);
  if (shown.code !== 0) problems.push(`filesync show --wait: ${shown.stderr}`);
  problems.push(...(await treeDifferences(source, target)));
  problems.push(...seenProblems(await capture.stop(), there.address, megabytes * 2 ** 20));
  return problems;
}

const isFelt = {
  short: ({ targets: [target] }: ShownFilesync) => (target?.lag.entries ?? 0) > 0,
  long: ({ targets: [target] }: ShownFilesync) => target?.state === "waiting" && target.error !== undefined,
};

/** Nothing compresses it, and the mark stands in it. */
function fileBytes(): Buffer {
  const bytes = randomBytes(FILE_BYTES);
  MARK.copy(bytes, 1000);
  return bytes;
}

/** What the link carried must be TLS from its first byte, and all of what was copied. */
function seenProblems(seen: readonly SeenPayload[], address: string, bytesMin: number): string[] {
  const ways = new Map<string, Buffer[]>();
  for (const { way, bytes } of seen)
    if (way.includes(`${address}:`)) ways.set(way, [...(ways.get(way) ?? []), bytes]);
  const problems: string[] = [];
  let total = 0;
  for (const [way, parts] of ways) {
    const all = Buffer.concat(parts);
    total += all.length;
    if (all[0] !== HANDSHAKE || all[1] !== 3) problems.push(`${way} does not begin with a handshake of TLS`);
    if (all.includes(MARK) || all.includes("RWFS")) problems.push(`${way} was sent plainly`);
  }
  if (total < bytesMin) problems.push(`only ${total} bytes were seen on the link`);
  return problems;
}

function seconds(sinceMs: number): string {
  return ((performance.now() - sinceMs) / 1000).toFixed(1);
}
