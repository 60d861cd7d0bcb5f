/**
 * Long work: scrub and collection. POST does it and answers when it is finished (or at once with wait=false),
 * GET says how far it is, DELETE cancels. Who leaves while waiting cancels nothing.
 */
import { Type } from "@sinclair/typebox";
import type { Api } from "./api.ts";
import { errorResponses } from "./error-json.ts";
import { expectSilence } from "./waiting-request.ts";
import {
  CollectBodySchema,
  type CollectionJson,
  type CollectionWorkJson,
  type ScrubJson,
  type ScrubWorkJson,
  StartQuerySchema,
  WatchQuerySchema,
  workJson,
  workSchemas,
} from "./work-json.ts";

const tags = ["work"];
const ScrubWork = Type.Unsafe<ScrubWorkJson>({ $ref: "ScrubWork#" });
const CollectionWork = Type.Unsafe<CollectionWorkJson>({ $ref: "CollectionWork#" });
const Scrubbed = Type.Unsafe<ScrubJson>({ $ref: "Scrub#", description: "Finished." });
const Collected = Type.Unsafe<CollectionJson>({ $ref: "Collection#", description: "Finished." });

export function addWorkRoutes({ app, control }: Api): void {
  for (const schema of workSchemas) app.addSchema(schema);

  app.post(
    "/api/v1/scrub",
    {
      schema: {
        tags,
        summary: "Read everything and compare it with its checksums",
        description: "Joins the scrub under way, if there is one.",
        querystring: StartQuerySchema,
        response: { 200: Scrubbed, 202: ScrubWork, ...errorResponses },
      },
    },
    async (request, reply) => {
      const { scrub } = control();
      scrub.start(undefined);
      if (request.query.wait === false) return reply.code(202).send(workJson(scrub.report()));
      expectSilence(request, reply);
      return reply.code(200).send(await scrub.outcome());
    },
  );

  app.get(
    "/api/v1/scrub",
    {
      schema: {
        tags,
        summary: "State of the last scrub",
        querystring: WatchQuerySchema,
        response: { 200: ScrubWork, ...errorResponses },
      },
    },
    async (request) => {
      await control().scrub.wait((request.query.waitSeconds ?? 0) * 1000);
      return workJson(control().scrub.report());
    },
  );

  app.delete(
    "/api/v1/scrub",
    { schema: { tags, summary: "Cancel the scrub", response: { 200: ScrubWork, ...errorResponses } } },
    async () => {
      await control().scrub.cancel();
      return workJson(control().scrub.report());
    },
  );

  app.post(
    "/api/v1/gc",
    {
      schema: {
        tags,
        summary: "Collect: give space back that no volume or snapshot needs",
        description: "Joins the collection under way, if there is one.",
        querystring: StartQuerySchema,
        body: CollectBodySchema,
        response: { 200: Collected, 202: CollectionWork, ...errorResponses },
      },
    },
    async (request, reply) => {
      const { collection } = control();
      collection.start(request.body);
      if (request.query.wait === false) return reply.code(202).send(workJson(collection.report()));
      expectSilence(request, reply);
      return reply.code(200).send(await collection.outcome());
    },
  );

  app.get(
    "/api/v1/gc",
    {
      schema: {
        tags,
        summary: "State of the last collection",
        querystring: WatchQuerySchema,
        response: { 200: CollectionWork, ...errorResponses },
      },
    },
    async (request) => {
      await control().collection.wait((request.query.waitSeconds ?? 0) * 1000);
      return workJson(control().collection.report());
    },
  );

  app.delete(
    "/api/v1/gc",
    {
      schema: {
        tags,
        summary: "Cancel the collection",
        response: { 200: CollectionWork, ...errorResponses },
      },
    },
    async () => {
      await control().collection.cancel();
      return workJson(control().collection.report());
    },
  );
}
