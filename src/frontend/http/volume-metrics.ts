/** Metrics of every volume: its size and use, and the requests that its meters counted. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { type Control, LATENCY_BUCKETS, METERED_REQUESTS, type VolumeMeter } from "../../control/mod.ts";

const LABELS = ["volume", "request"];
const NAME = "ropewalk_request_duration_seconds";
const HELP = "Time from a request's start to its completion, of those that succeeded.";

interface Line {
  readonly value: number;
  readonly labels: Record<string, string>;
  readonly metricName: string;
}

export function addVolumeMetrics(registry: Registry, control: () => Control): void {
  const gauges = [
    ["size_bytes", "Size of the volume.", "sizeBytes"],
    ["used_bytes", "Bytes of data that the volume's own map holds, shared or not.", "usedBytes"],
    ["snapshots", "Snapshots of the volume.", "snapshots"],
    ["clients", "Clients connected to the volume.", "clients"],
  ] as const;
  for (const [name, help, field] of gauges)
    registry.registerMetric(
      new Gauge({
        name: `ropewalk_volume_${name}`,
        help,
        labelNames: ["volume"],
        registers: [],
        collect() {
          this.reset();
          for (const volume of control().volumes.list()) this.set({ volume: volume.name }, volume[field]);
        },
      }),
    );

  const counters = [
    ["requests_total", "Requests that succeeded.", "requests"],
    ["request_errors_total", "Requests that failed.", "errors"],
    ["request_bytes_total", "Bytes of the requests that succeeded.", "bytes"],
  ] as const;
  for (const [name, help, field] of counters)
    registry.registerMetric(
      new Counter({
        name: `ropewalk_${name}`,
        help,
        labelNames: LABELS,
        registers: [],
        collect() {
          this.reset();
          for (const [volume, meter] of control().exports.meters())
            for (const [kind, request] of METERED_REQUESTS.entries())
              this.inc({ volume, request }, meter[field][kind]!);
        },
      }),
    );
  registry.registerMetric(new MeterHistogram(() => control().exports.meters()));
}

/** A histogram whose buckets were counted elsewhere. */
class MeterHistogram extends Histogram {
  readonly #meters: () => ReadonlyMap<string, VolumeMeter>;

  constructor(meters: () => ReadonlyMap<string, VolumeMeter>) {
    super({
      name: NAME,
      help: HELP,
      labelNames: LABELS,
      registers: [],
    });
    this.#meters = meters;
  }

  /** What the registry asks for when it writes text; the library's own get() goes through it too. */
  async getForPromString() {
    const values: Line[] = [];
    for (const [volume, meter] of this.#meters())
      for (const [kind, request] of METERED_REQUESTS.entries())
        if (meter.requests[kind] !== 0) values.push(...histogramLines(meter, kind, { volume, request }));
    return { name: NAME, help: HELP, type: "histogram", values, aggregator: "sum" };
  }
}

function histogramLines(meter: VolumeMeter, kind: number, labels: Record<string, string>): Line[] {
  const lines: Line[] = [];
  let count = 0;
  for (let bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
    count += meter.buckets[kind * LATENCY_BUCKETS + bucket]!;
    const isLast = bucket === LATENCY_BUCKETS - 1;
    const le = isLast ? "+Inf" : String(2 ** bucket / 1e6);
    lines.push({ value: count, labels: { ...labels, le }, metricName: `${NAME}_bucket` });
  }
  lines.push({ value: meter.latencyMs[kind]! / 1000, labels, metricName: `${NAME}_sum` });
  lines.push({ value: meter.requests[kind]!, labels, metricName: `${NAME}_count` });
  return lines;
}
