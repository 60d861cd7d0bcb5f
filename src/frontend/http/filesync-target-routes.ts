/** The directories of this machine that other daemons' synchronizations may write to. A key is answered once, never again. */
import { Type } from "@sinclair/typebox";
import { RopewalkError } from "../../base/errors.ts";
import type { FilesyncTargets } from "../../control/mod.ts";
import type { Api } from "./api.ts";
import { errorResponses } from "./error-json.ts";
import {
  AddFilesyncTargetSchema,
  FilesyncParameters,
  type FilesyncTargetJson,
  filesyncTargetJson,
  type MadeFilesyncTargetJson,
} from "./filesync-json.ts";

const tags = ["filesync"];
const FilesyncTarget = Type.Unsafe<FilesyncTargetJson>({ $ref: "FilesyncTarget#" });
const MadeFilesyncTarget = Type.Unsafe<MadeFilesyncTargetJson>({ $ref: "MadeFilesyncTarget#" });

export function addFilesyncTargetRoutes({ app, control }: Api): void {
  const targets = (): FilesyncTargets => {
    const { filesyncTargets } = control();
    if (filesyncTargets) return filesyncTargets;
    throw new RopewalkError("UNSUPPORTED", "This daemon does no file replication.");
  };

  app.post(
    "/api/v1/filesync-targets",
    {
      schema: {
        tags,
        summary: "Let a synchronization elsewhere write to a directory here",
        description: "Its key is in the answer and nowhere else; the source gives it with the target.",
        body: AddFilesyncTargetSchema,
        response: { 201: MadeFilesyncTarget, ...errorResponses },
      },
    },
    async (request, reply) => reply.code(201).send(filesyncTargetJson(await targets().add(request.body))),
  );

  app.get(
    "/api/v1/filesync-targets",
    {
      schema: {
        tags,
        summary: "List the directories that synchronizations elsewhere may write to",
        response: { 200: Type.Array(FilesyncTarget), ...errorResponses },
      },
    },
    () => targets().list().map(filesyncTargetJson),
  );

  app.delete(
    "/api/v1/filesync-targets/:name",
    {
      schema: {
        tags,
        summary: "Let nobody write to it any more",
        description: "What stands in the directory stays.",
        params: FilesyncParameters,
        response: { 204: Type.Null(), ...errorResponses },
      },
    },
    async (request, reply) => {
      await targets().delete(request.params.name);
      return reply.code(204).send(null);
    },
  );
}
