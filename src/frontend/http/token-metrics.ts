/** Metrics of tokens and copies. All are read when asked for; nothing is kept between. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { Control, ControlledTokens, CopyCounters } from "../../control/mod.ts";

type TokenCounts = ControlledTokens["counters"];
type NumberField<Of> = { [K in keyof Of]: Of[K] extends number ? K : never }[keyof Of];

const TOKEN_COUNTERS: [name: string, help: string, field: NumberField<TokenCounts>][] = [
  ["tokens_created_total", "Tokens that were made.", "created"],
  ["token_uses_total", "Token writes, and reads through tokens, that were begun.", "used"],
  ["token_refusals_total", "Requests for tokens or with tokens that were refused.", "refused"],
  ["token_forgeries_total", "Of these, with bytes that no token of this daemon has.", "forged"],
  ["token_moved_bytes_total", "Bytes of data read and written for token writes.", "bytesMoved"],
];

const COPY_COUNTERS: [name: string, help: string, field: keyof CopyCounters][] = [
  ["copies_total", "Copies that ended, however they did.", "copies"],
  ["copied_bytes_total", "Bytes that copies wrote.", "bytes"],
  ["copy_moved_bytes_total", "Bytes of data that copies read and wrote.", "bytesMoved"],
  ["copy_plain_bytes_total", "Bytes that were copied without tokens.", "bytesPlain"],
];

export function addTokenMetrics(registry: Registry, { control }: { control: () => Control }): void {
  addGauge(registry, "tokens", "Tokens that are valid now.", () => control().tokens.counts()?.live ?? 0);
  addGauge(registry, "copies_running", "Copies that run now.", () => control().copies.running());
  for (const [name, help, field] of TOKEN_COUNTERS)
    addCounter(registry, name, help, () => control().tokens.counts()?.[field] ?? 0);
  for (const [name, help, field] of COPY_COUNTERS)
    addCounter(registry, name, help, () => control().copies.counters[field]);
  registry.registerMetric(
    new Counter({
      name: "ropewalk_tokens_ended_total",
      help: "Tokens that ended, by reason.",
      labelNames: ["reason"],
      registers: [],
      collect() {
        this.reset();
        const counts = control().tokens.counts();
        if (!counts) return;
        const { expired, revoked, deleted, cancelled } = counts;
        for (const [reason, count] of Object.entries({ expired, revoked, deleted, ...cancelled }))
          this.inc({ reason }, count);
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

function addCounter(registry: Registry, name: string, help: string, read: () => number): void {
  registry.registerMetric(
    new Counter({
      name: `ropewalk_${name}`,
      help,
      registers: [],
      collect() {
        this.reset();
        this.inc(read());
      },
    }),
  );
}
