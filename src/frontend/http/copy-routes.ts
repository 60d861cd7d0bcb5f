/**
 * Copies and zeroing. POST copies and answers when it is finished, or after a time with the copy's number, by which GET
 * says how far it is and DELETE cancels. Who leaves while waiting for a copy cancels nothing; who leaves while a range
 * is zeroed cancels that.
 */
import { Type } from "@sinclair/typebox";
import type { Api } from "./api.ts";
import {
  CopyParameters,
  CopyReference,
  CopySchema,
  type CopyWorkJson,
  CopyWorkSchema,
  copyWorkJson,
  StartCopyQuerySchema,
  StartCopySchema,
  type ZeroedJson,
  ZeroedSchema,
  ZeroSchema,
} from "./copy-json.ts";
import { errorResponses } from "./error-json.ts";
import { VolumeParameters } from "./volume-json.ts";
import { expectSilence, signalOfClient } from "./waiting-request.ts";
import { WatchQuerySchema } from "./work-json.ts";

const tags = ["copies"];
const CopyWork = Type.Unsafe<CopyWorkJson>({ $ref: "CopyWork#" });
const Zeroed = Type.Unsafe<ZeroedJson>({ $ref: "Zeroed#" });

export function addCopyRoutes({ app, control }: Api): void {
  for (const schema of [CopySchema, CopyWorkSchema, ZeroedSchema]) app.addSchema(schema);

  app.post(
    "/api/v1/copies",
    {
      schema: {
        tags,
        summary: "Copy a volume or snapshot, or a range of it, into a volume",
        description:
          "By tokens, which on the pool moves no data; plainly where those are not the way. Durable when finished.",
        querystring: StartCopyQuerySchema,
        body: StartCopySchema,
        response: { 200: CopyReference, 202: CopyWork, ...errorResponses },
      },
    },
    async (request, reply) => {
      const copy = control().copies.start(request.body);
      const { waitSeconds } = request.query;
      expectSilence(request, reply);
      if (waitSeconds !== undefined) await copy.work.wait(waitSeconds * 1000);
      if (waitSeconds !== undefined && copy.work.report().state === "running")
        return reply.code(202).send(copyWorkJson(copy));
      return reply.code(200).send(await copy.work.outcome());
    },
  );

  app.get(
    "/api/v1/copies",
    {
      schema: {
        tags,
        summary: "List the copies that run and those that ended lately",
        response: { 200: Type.Array(CopyWork), ...errorResponses },
      },
    },
    () => control().copies.list().map(copyWorkJson),
  );

  app.get(
    "/api/v1/copies/:copy",
    {
      schema: {
        tags,
        summary: "State of a copy",
        params: CopyParameters,
        querystring: WatchQuerySchema,
        response: { 200: CopyWork, ...errorResponses },
      },
    },
    async (request) => {
      const copy = control().copies.show(request.params.copy);
      await copy.work.wait((request.query.waitSeconds ?? 0) * 1000);
      return copyWorkJson(copy);
    },
  );

  app.delete(
    "/api/v1/copies/:copy",
    {
      schema: {
        tags,
        summary: "Cancel a copy",
        description: "What was copied stays; `progress` says how much that is.",
        params: CopyParameters,
        response: { 200: CopyWork, ...errorResponses },
      },
    },
    async (request) => {
      const copy = control().copies.show(request.params.copy);
      await copy.work.cancel();
      return copyWorkJson(copy);
    },
  );

  app.post(
    "/api/v1/volumes/:volume/zero",
    {
      schema: {
        tags,
        summary: "Make a volume, or a range of it, read as zeros",
        description: "Durable when answered.",
        params: VolumeParameters,
        body: ZeroSchema,
        response: { 200: Zeroed, ...errorResponses },
      },
    },
    async (request, reply) => {
      expectSilence(request, reply);
      const wish = { volume: request.params.volume, ...request.body };
      return control().zeroing.zero(wish, { signal: signalOfClient(reply) });
    },
  );
}
