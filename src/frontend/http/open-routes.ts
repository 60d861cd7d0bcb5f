/** The routes that need no key: /healthz for supervisors and /metrics for Prometheus. */
import { Type } from "@sinclair/typebox";
import { Registry } from "prom-client";
import { RopewalkError } from "../../base/errors.ts";
import type { Control } from "../../control/mod.ts";
import type { Api } from "./api.ts";
import { addDaemonMetrics, addPoolMetrics, type ConnectionCounts } from "./daemon-metrics.ts";
import { errorResponses } from "./error-json.ts";
import { addFilesyncMetrics } from "./filesync-metrics.ts";
import { addIscsiMetrics, type IscsiCounts } from "./iscsi-metrics.ts";
import { addTokenMetrics } from "./token-metrics.ts";
import { volumeMetrics } from "./volume-metrics.ts";

const tags = ["observation"];

export function addOpenRoutes(
  { app, control }: Api,
  {
    connections,
    iscsi,
    nextTurn,
  }: {
    connections: ConnectionCounts;
    iscsi?: (() => IscsiCounts | undefined) | undefined;
    nextTurn: () => Promise<void>;
  },
): void {
  const registry = new Registry();
  addPoolMetrics(registry, { control, connections });
  addTokenMetrics(registry, { control });
  addFilesyncMetrics(registry, { control });
  addDaemonMetrics(registry, { control, connections });
  addIscsiMetrics(registry, { iscsi });

  app.get(
    "/healthz",
    {
      config: { needsNoKey: true },
      schema: {
        tags,
        security: [],
        summary: "Whether the daemon serves and its pool takes writes",
        response: { 200: Type.Object({ status: Type.Literal("ok") }), ...errorResponses },
      },
    },
    () => {
      if (control().status.now().pool.readOnly)
        throw new RopewalkError(
          "POOL_READ_ONLY",
          "A write or sync failed; the pool is read-only until restarted.",
        );
      return { status: "ok" as const };
    },
  );

  app.get(
    "/metrics",
    {
      config: { needsNoKey: true },
      schema: {
        tags,
        security: [],
        summary: "Metrics in Prometheus' text format",
        produces: ["text/plain"],
        response: { 200: Type.String(), ...errorResponses },
      },
    },
    async (_request, reply) => {
      reply.type(registry.contentType);
      return reply.send(ReadableStream.from(metricsText(registry, control(), nextTurn)) as never);
    },
  );
}

/** In pieces, between which everybody else gets a turn of the loop. */
async function* metricsText(
  registry: Registry,
  control: Control,
  nextTurn: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  yield encoder.encode(await registry.metrics());
  for (const piece of volumeMetrics(control)) {
    await nextTurn();
    yield encoder.encode(piece);
  }
}
