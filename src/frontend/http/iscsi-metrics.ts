/** Metrics of the iSCSI front end. All are read when asked for; zeros while it is off. */
import { Counter, Gauge, type Registry } from "prom-client";

/** What the front end counts. */
export interface IscsiCounts {
  readonly sessions: number;
  readonly connectionsRefused: number;
  readonly loginsFailed: number;
  readonly commands: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

const COUNTERS: [name: string, help: string, field: keyof IscsiCounts][] = [
  ["connections_refused_total", "Connections closed at the limit.", "connectionsRefused"],
  ["logins_failed_total", "Logins that were refused or not finished.", "loginsFailed"],
  ["commands_total", "SCSI commands.", "commands"],
  ["read_bytes_total", "Data that initiators were sent.", "bytesRead"],
  ["written_bytes_total", "Data that commands took from initiators.", "bytesWritten"],
];

export function addIscsiMetrics(
  registry: Registry,
  { iscsi = () => undefined }: { iscsi?: (() => IscsiCounts | undefined) | undefined },
): void {
  registry.registerMetric(
    new Gauge({
      name: "ropewalk_iscsi_sessions",
      help: "Sessions logged in now.",
      registers: [],
      collect() {
        this.set(iscsi()?.sessions ?? 0);
      },
    }),
  );
  for (const [name, help, field] of COUNTERS)
    registry.registerMetric(
      new Counter({
        name: `ropewalk_iscsi_${name}`,
        help,
        registers: [],
        collect() {
          this.reset();
          this.inc(iscsi()?.[field] ?? 0);
        },
      }),
    );
}
