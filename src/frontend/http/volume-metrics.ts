/** Metrics of every volume: its size and use, and the requests that its meters counted. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { type Control, LATENCY_BUCKETS, METERED_REQUESTS, type VolumeMeter } from "../../control/mod.ts";

const LABELS = ["volume", "request"];

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
      name: "ropewalk_request_duration_seconds",
      help: "Time from a request's start to its completion, of those that succeeded.",
      labelNames: LABELS,
      registers: [],
    });
    this.#meters = meters;
  }

  override async get() {
    const values: { value: number; labels: Record<string, string>; metricName: string }[] = [];
    for (const [volume, meter] of this.#meters())
      for (const [kind, request] of METERED_REQUESTS.entries()) {
        if (meter.requests[kind] === 0) continue;
        values.push(...histogramLines(meter, kind, { volume, request }));
      }
    return {
      ...(await super.get()),
      values: values as unknown as Awaited<ReturnType<Histogram["get"]>>["values"],
    };
  }
}

function histogramLines(meter: VolumeMeter, kind: number, labels: Record<string, string>) {
  const name = "ropewalk_request_duration_seconds";
  const lines: { value: number; labels: Record<string, string>; metricName: string }[] = [];
  let count = 0;
  for (let bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
    count += meter.buckets[kind * LATENCY_BUCKETS + bucket]!;
    const isLast = bucket === LATENCY_BUCKETS - 1;
    const le = isLast ? "+Inf" : String(2 ** bucket / 1e6);
    lines.push({ value: count, labels: { ...labels, le }, metricName: `${name}_bucket` });
  }
  lines.push({ value: meter.latencyMs[kind]! / 1000, labels, metricName: `${name}_sum` });
  lines.push({ value: meter.requests[kind]!, labels, metricName: `${name}_count` });
  return lines;
}
