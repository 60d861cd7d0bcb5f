/** Synchronizations for people: a table, a page, and a line of progress. */
import { formatSize } from "../base/size-text.ts";
import type { FilesyncJson } from "../client/mod.ts";
import { formatBar } from "./progress.ts";
import { formatFields, formatTable, formatTime } from "./table.ts";

type Target = FilesyncJson["targets"][number];

export function formatFilesyncs(filesyncs: readonly FilesyncJson[]): string {
  if (filesyncs.length === 0)
    return "There are no synchronizations. Make one: ropewalk filesync add NAME --source DIR --to DEST\n";
  return formatTable(
    ["NAME", "STATE", "SOURCE", "TARGET", "LAG", "WAITING", "FAILURES"],
    filesyncs.flatMap(({ name, state, source, targets }) =>
      targets.map((target, index) => [
        index === 0 ? name : "",
        index === 0 ? state : target.state,
        index === 0 ? source : "",
        target.to,
        formatSeconds(target.lag.seconds),
        `${target.lag.entries} (${formatSize(target.lag.bytes)})`,
        String(target.failures),
      ]),
    ),
    ["LAG", "FAILURES"],
  );
}

export function formatFilesync(filesync: FilesyncJson): string {
  const { name, source, state, error, targets, excludes, bandwidthBytesPerSecond } = filesync;
  return [
    formatFields([
      ["name", name],
      ["source", source],
      ["state", error === undefined ? state : `${state}: ${error.code}: ${error.message}`],
      ["order", "in order for each file; equal in the end (inotify)"],
      ["threads", String(filesync.threads)],
      ["mode", filesync.mode],
      ["deletes", filesync.deletes],
      ["barrier", filesync.barrier],
      ["bandwidth", bandwidthBytesPerSecond === 0 ? "no limit" : `${formatSize(bandwidthBytesPerSecond)}/s`],
      ["excludes", excludes.length === 0 ? "-" : excludes.join(" ")],
      ["events", String(filesync.events)],
      ["watches", String(filesync.watches)],
      ["overflows", `${filesync.overflows}, ${filesync.rescans} directories compared again`],
      ["made", formatTime(filesync.createdAt)],
    ]),
    ...targets.map((target) => `\n${formatTarget(target)}`),
  ].join("");
}

function formatTarget({ to, state, error, connections, lag, bulk, ...rest }: Target): string {
  const failures = rest.lastFailures.map(
    ({ path, errno, doing }) => [" ", `${path}: ${doing}: ${errno}`] as const,
  );
  return formatFields([
    ["target", to],
    ["state", error === undefined ? state : `${state}: ${error.code}: ${error.message}`],
    ["connections", String(connections)],
    ["lag", `${formatSeconds(lag.seconds)}, ${lag.entries} waiting (${formatSize(lag.bytes)})`],
    ...(bulk === undefined ? [] : [["bulk", formatBulk(bulk)] as const]),
    ["sent", `${rest.copiedFiles} files, ${formatSize(rest.sentBytes)}`],
    ["failures", String(rest.failures)],
    ...failures,
  ]);
}

/** Of the target that is furthest behind. */
export function formatProgress({ state, targets }: FilesyncJson): string {
  const bulks = targets.map(({ bulk }) => bulk).filter((bulk) => bulk !== undefined);
  const slowest = bulks.sort((one, other) => partOf(one) - partOf(other))[0];
  if (slowest !== undefined) return formatBulk(slowest);
  const entries = targets.reduce((sum, { lag }) => sum + lag.entries, 0);
  return `${state}, ${entries} waiting`;
}

function formatBulk(bulk: NonNullable<Target["bulk"]>): string {
  const { filesDone, filesTotal, bytesDone, bytesTotal, bytesPerSecond, secondsLeft } = bulk;
  return [
    `${formatBar(partOf(bulk))}, ${filesDone} of ${filesTotal} files`,
    `${formatSize(bytesDone)} of ${formatSize(bytesTotal)}`,
    `${formatSize(Math.round(bytesPerSecond))}/s`,
    ...(secondsLeft === undefined ? [] : [`${formatSeconds(secondsLeft)} left`]),
  ].join(", ");
}

function partOf({ filesDone, filesTotal, bytesDone, bytesTotal }: NonNullable<Target["bulk"]>): number {
  if (bytesTotal > 0) return bytesDone / bytesTotal;
  return filesTotal > 0 ? filesDone / filesTotal : 0;
}

function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
