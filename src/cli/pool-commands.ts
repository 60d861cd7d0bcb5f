/** `ropewalk status`, `ropewalk scrub`, `ropewalk gc` */
import type { Command } from "commander";
import { RopewalkError } from "../base/errors.ts";
import { quoted } from "../base/object-name.ts";
import { formatSize } from "../base/size-text.ts";
import type { CollectionJson, ScrubJson, StatusJson } from "../client/mod.ts";
import type { AddCommand } from "./command-line.ts";
import { formatBar } from "./progress.ts";
import { formatFields } from "./table.ts";

const RATIO_DEFAULT = 1.1;
/** What is expected is an estimate; only the end is the end. */
const RUNNING_PART_MAX = 0.99;

export function addPoolCommands(program: Command, add: AddCommand): void {
  add(program, "status", "show the state of the daemon and its pool", async (session) => {
    await session.print(await (await session.connect()).status(), formatStatus);
  });

  add(program, "scrub", "read everything and compare it with its checksums", async (session) => {
    const ropewalk = await session.connect();
    const result = await session.follow(({ signal, progress }) =>
      ropewalk.scrub({
        signal,
        onProgress: ({ blocks, blocksExpected, errors }, elapsedMs) =>
          progress.show(
            `scrub: ${formatBar(Math.min(RUNNING_PART_MAX, blocks / Math.max(1, blocksExpected)))}, ${errors} errors`,
            elapsedMs,
          ),
      }),
    );
    await session.print(result, formatScrub);
    if (result.errors > 0) session.exitCode = 1;
  }).addHelpText("after", "\nExits with 1 when something is damaged. Ctrl-C cancels.");

  add(
    program,
    "gc",
    "collect: give back space that nothing needs",
    async (session, _parameters, { ratio }) => {
      const goal = ratio === undefined ? RATIO_DEFAULT : parseRatio(ratio);
      const ropewalk = await session.connect();
      let first: CollectionJson | undefined;
      const result = await session.follow(({ signal, progress }) =>
        ropewalk.collect({
          signal,
          ratio: goal,
          onProgress: (now, elapsedMs) => {
            first ??= now;
            progress.show(`gc: ${formatBar(partDone(first, now, goal))}, ${formatUse(now)}`, elapsedMs);
          },
        }),
      );
      await session.print(result, (now) => `Freed ${now.segmentsFreed} segments; ${formatUse(now)}.\n`);
    },
  )
    .option(
      "--ratio <number>",
      `collect until used space is at most this multiple of live data (${RATIO_DEFAULT})`,
    )
    .addHelpText("after", "\nThe daemon collects by itself; this goes further. Ctrl-C cancels.");
}

/** INVALID_ARGUMENT */
function parseRatio(text: string): number {
  const ratio = Number(text);
  if (text.trim() !== "" && Number.isFinite(ratio)) return ratio;
  throw new RopewalkError("INVALID_ARGUMENT", `${quoted(text)} is no ratio; write it as 1.1.`);
}

/** How much of the space between what was used first and the goal is free now. */
function partDone(first: CollectionJson, now: CollectionJson, goal: number): number {
  const toFree = first.usedBytes - now.liveBytes * goal;
  return toFree <= 0 ? 1 : (first.usedBytes - now.usedBytes) / toFree;
}

function formatUse({ usedBytes, liveBytes }: CollectionJson): string {
  return `${formatSize(usedBytes)} used for ${formatSize(liveBytes)} of data`;
}

function formatScrub({ blocks, errors, damage }: ScrubJson): string {
  if (errors === 0) return `Read ${blocks} blocks; all match their checksums.\n`;
  const lines = damage.map((sentence) => `  ${sentence}\n`).join("");
  return `Read ${blocks} blocks; ${errors} damaged:\n${lines}`;
}

function formatStatus({ pool, volumes, version, uptimeSeconds, rssBytes }: StatusJson): string {
  const percent = pool.sizeBytes === 0 ? 0 : Math.round((100 * pool.usedBytes) / pool.sizeBytes);
  return formatFields([
    ["pool", `${formatSize(pool.usedBytes)} of ${formatSize(pool.sizeBytes)} used (${percent} %)`],
    ["data", `${formatSize(pool.liveBytes)} in ${pool.segments} segments`],
    ["volumes", String(volumes)],
    ["writes", pool.readOnly ? "REFUSED: a write or sync failed; restart the daemon" : "accepted"],
    ["log", `position ${pool.sequence}, durable up to ${pool.durableSequence}`],
    ["daemon", `version ${version}, up ${formatDuration(uptimeSeconds)}, ${formatSize(rssBytes)} of memory`],
  ]);
}

/** `3 d 4 h`, `4 h 5 min`, `5 min 6 s`, `6 s`. */
export function formatDuration(seconds: number): string {
  const units: [name: string, seconds: number][] = [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ];
  const first = Math.max(
    0,
    units.findIndex(([, unit]) => seconds >= unit),
  );
  const start = seconds < 1 ? units.length - 1 : first;
  return units
    .slice(start, start + 2)
    .map(([name, unit], index) => {
      const amount = index === 0 ? seconds / unit : (seconds % units[start]![1]) / unit;
      return `${Math.floor(amount)} ${name}`;
    })
    .join(" ");
}
