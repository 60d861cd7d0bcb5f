/** Metrics of synchronizations, by name, and by target where they have several. All are read when asked for. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { Control, FilesyncFigures } from "../../control/mod.ts";

type TargetFigures = FilesyncFigures["targets"][number];
type OfTarget = [name: string, help: string, read: (target: TargetFigures) => number];

const TARGET_GAUGES: OfTarget[] = [
  ["lag_seconds", "Age of the oldest change that is not at the target.", ({ lag }) => lag.seconds],
  ["lag_entries", "Commands that wait for the target.", ({ lag }) => lag.entries],
  ["lag_bytes", "Bytes that they are about to send.", ({ lag }) => lag.bytes],
  ["connections", "Connections to the target open now.", ({ connections }) => connections],
];

const TARGET_COUNTERS: OfTarget[] = [
  ["copied_files_total", "Files that were sent to the target.", ({ copiedFiles }) => copiedFiles],
  ["sent_bytes_total", "Bytes that were sent to the target.", ({ sentBytes }) => sentBytes],
  [
    "torn_reads_total",
    "Files that changed during each try to read them: sent as read, and again behind it.",
    ({ tornReads }) => tornReads,
  ],
  ["failures_total", "Files that could not be brought over.", ({ failures }) => failures],
];

const COUNTERS: [name: string, help: string, read: (figures: FilesyncFigures) => number][] = [
  ["events_total", "Changes that were noticed at the source.", ({ events }) => events],
  ["overflows_total", "Times that the kernel lost events.", ({ overflows }) => overflows],
  ["rescans_total", "Directories that were compared again.", ({ rescans }) => rescans],
];

const PREFIX = "ropewalk_filesync_";

export function addFilesyncMetrics(registry: Registry, { control }: { control: () => Control }): void {
  const all = () => control().filesyncs?.list() ?? [];
  const ofTargets = ([name, help, read]: OfTarget) => ({
    options: { name: PREFIX + name, help, labelNames: ["name", "target"] as const, registers: [] },
    each: (told: (labels: { name: string; target: string }, value: number) => void) => {
      for (const { name, figures } of all())
        for (const target of figures.targets) told({ name, target: target.to }, read(target));
    },
  });
  // Each is emptied first: those that were deleted are gone.
  for (const { options, each } of TARGET_GAUGES.map(ofTargets))
    registry.registerMetric(
      new Gauge({
        ...options,
        collect() {
          this.reset();
          each((labels, value) => this.set(labels, value));
        },
      }),
    );
  for (const { options, each } of TARGET_COUNTERS.map(ofTargets))
    registry.registerMetric(
      new Counter({
        ...options,
        collect() {
          this.reset();
          each((labels, value) => this.inc(labels, value));
        },
      }),
    );
  for (const [name, help, read] of COUNTERS)
    registry.registerMetric(
      new Counter({
        name: PREFIX + name,
        help,
        labelNames: ["name"],
        registers: [],
        collect() {
          this.reset();
          for (const { name, figures } of all()) this.inc({ name }, read(figures));
        },
      }),
    );
}
