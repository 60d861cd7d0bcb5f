/** Metrics of the pool and of the daemon itself. All are read when asked for; nothing is kept between. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { Control, PoolCounters, PoolStatus } from "../../control/mod.ts";

const POOL_GAUGES: [name: string, help: string, read: (pool: PoolStatus) => number][] = [
  ["size_bytes", "Limit of the pool's size.", (pool) => pool.sizeBytes],
  ["used_bytes", "Bytes of all segments, the reserve included.", (pool) => pool.usedBytes],
  ["live_bytes", "Bytes of data that volumes and snapshots refer to.", (pool) => pool.liveBytes],
  ["segments", "Segments that exist.", (pool) => pool.segments],
  ["volumes", "Volumes that exist.", (pool) => pool.volumes],
  [
    "read_only",
    "1 after a failed write or sync, until the pool is reopened.",
    (pool) => Number(pool.readOnly),
  ],
  ["sequence", "Position of the last record in the log.", (pool) => pool.sequence],
  ["durable_sequence", "Position up to which the log is durable.", (pool) => pool.durableSequence],
  ["cached_node_bytes", "Memory held by cached nodes.", (pool) => pool.cachedNodeBytes],
  ["dirty_nodes", "Nodes changed since the last checkpoint.", (pool) => pool.dirtyNodes],
];

const POOL_COUNTERS: [name: string, help: string, field: keyof PoolCounters][] = [
  ["client_written_bytes_total", "Bytes that clients wrote.", "clientBytesWritten"],
  ["client_read_bytes_total", "Bytes that clients read.", "clientBytesRead"],
  ["log_written_bytes_total", "Bytes appended to the log.", "logBytesWritten"],
  ["collector_written_bytes_total", "Bytes that collection moved.", "collectorBytesWritten"],
  [
    "metadata_written_bytes_total",
    "Bytes of maps and tables written by checkpoints.",
    "metadataBytesWritten",
  ],
  ["node_fetches_total", "Nodes read from the disk.", "nodeFetches"],
  ["syncs_total", "Syncs of the log.", "syncs"],
  ["checkpoints_total", "Checkpoints.", "checkpoints"],
  ["segments_collected_total", "Segments that collection freed.", "segmentsCollected"],
  ["checksum_errors_total", "Blocks and nodes that did not match their checksums.", "checksumErrors"],
];

/** Connections open now, by front end. */
export type ConnectionCounts = () => Record<string, number>;

export interface MetricSources {
  readonly control: () => Control;
  readonly connections: ConnectionCounts;
}

export function addPoolMetrics(registry: Registry, { control }: MetricSources): void {
  for (const [name, help, read] of POOL_GAUGES)
    addGauge(registry, `pool_${name}`, help, () => read(control().status.now().pool));
  for (const [name, help, field] of POOL_COUNTERS)
    registry.registerMetric(
      new Counter({
        name: `ropewalk_pool_${name}`,
        help,
        registers: [],
        collect() {
          this.reset();
          this.inc(control().status.counters()[field]);
        },
      }),
    );
  addGauge(
    registry,
    "pool_write_amplification",
    "Bytes written to the disk for each byte that clients wrote, since start; 0 before the first.",
    () => writeAmplification(control().status.counters()),
  );
}

export function writeAmplification(counters: PoolCounters): number {
  const { clientBytesWritten, logBytesWritten, collectorBytesWritten, metadataBytesWritten } = counters;
  if (clientBytesWritten === 0) return 0;
  return (logBytesWritten + collectorBytesWritten + metadataBytesWritten) / clientBytesWritten;
}

export function addDaemonMetrics(registry: Registry, { control, connections }: MetricSources): void {
  addGauge(
    registry,
    "uptime_seconds",
    "Time since the daemon started.",
    () => control().status.now().uptimeSeconds,
  );
  addGauge(
    registry,
    "resident_bytes",
    "Resident memory of the daemon.",
    () => control().status.now().rssBytes,
  );
  registry.registerMetric(
    new Gauge({
      name: "ropewalk_info",
      help: "Always 1; the label says the version.",
      labelNames: ["version"],
      registers: [],
      collect() {
        this.set({ version: control().status.now().version }, 1);
      },
    }),
  );
  registry.registerMetric(
    windowGauge({
      name: "ropewalk_loop_longest_turn_seconds",
      help: "Longest turn of the event loop, of about the last minute and since start.",
      longestMs: () => control().status.longestTurnMs(),
    }),
  );
  registry.registerMetric(
    windowGauge({
      name: "ropewalk_loop_longest_delay_seconds",
      help: "How late a timer fired at most, of about the last minute and since start.",
      longestMs: () => control().status.longestDelayMs(),
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: "ropewalk_connections",
      help: "Connections open now.",
      labelNames: ["front_end"],
      registers: [],
      collect() {
        for (const [front_end, count] of Object.entries(connections())) this.set({ front_end }, count);
      },
    }),
  );
}

function addGauge(registry: Registry, name: string, help: string, read: () => number): void {
  registry.registerMetric(
    new Gauge({
      name: `ropewalk_${name}`,
      help,
      registers: [],
      collect() {
        this.set(read());
      },
    }),
  );
}

/** Something's longest time of late and ever. */
function windowGauge({
  name,
  help,
  longestMs,
}: {
  name: string;
  help: string;
  longestMs: () => { lastMinute: number; sinceStart: number };
}): Gauge<"window"> {
  return new Gauge({
    name,
    help,
    labelNames: ["window"],
    registers: [],
    collect() {
      const { lastMinute, sinceStart } = longestMs();
      this.set({ window: "minute" }, lastMinute / 1000);
      this.set({ window: "start" }, sinceStart / 1000);
    },
  });
}
