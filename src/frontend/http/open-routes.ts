/** The routes that need no key: /healthz for supervisors and /metrics for Prometheus. */
import { Type } from "@sinclair/typebox";
import { Registry } from "prom-client";
import { RopewalkError } from "../../base/errors.ts";
import type { Api } from "./api.ts";
import { addDaemonMetrics, addPoolMetrics, type ConnectionCounts } from "./daemon-metrics.ts";
import { errorResponses } from "./error-json.ts";
import { addVolumeMetrics } from "./volume-metrics.ts";

const tags = ["observation"];

export function addOpenRoutes({ app, control }: Api, connections: ConnectionCounts): void {
  const registry = new Registry();
  addVolumeMetrics(registry, control);
  addPoolMetrics(registry, { control, connections });
  addDaemonMetrics(registry, { control, connections });

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
    async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()),
  );
}
