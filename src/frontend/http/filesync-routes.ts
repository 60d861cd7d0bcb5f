/**
 * Synchronizations of directory trees. A bulk or verification answers when it is finished, or at once with wait=false;
 * then GET says how far it is, and DELETE cancels it. Who leaves while waiting cancels nothing.
 */
import { Type } from "@sinclair/typebox";
import { RopewalkError } from "../../base/errors.ts";
import type { Control, Filesyncs, WorkReport } from "../../control/mod.ts";
import type { Api } from "./api.ts";
import { errorResponses } from "./error-json.ts";
import {
  AddFilesyncSchema,
  type FilesyncJson,
  FilesyncParameters,
  type FilesyncSyncJson,
  type FilesyncSyncWorkJson,
  type FilesyncVerificationJson,
  type FilesyncVerificationWorkJson,
  filesyncJson,
  filesyncSchemas,
  ShowFilesyncQuerySchema,
  SyncFilesyncSchema,
} from "./filesync-json.ts";
import { expectSilence } from "./waiting-request.ts";
import { StartQuerySchema, WatchQuerySchema, workJson } from "./work-json.ts";

const tags = ["filesync"];
const Filesync = Type.Unsafe<FilesyncJson>({ $ref: "Filesync#" });
const Synchronized = Type.Unsafe<FilesyncSyncJson>({ $ref: "FilesyncSync#", description: "Finished." });
const SyncWork = Type.Unsafe<FilesyncSyncWorkJson>({ $ref: "FilesyncSyncWork#" });
const Verified = Type.Unsafe<FilesyncVerificationJson>({
  $ref: "FilesyncVerification#",
  description: "Finished.",
});
const VerificationWork = Type.Unsafe<FilesyncVerificationWorkJson>({ $ref: "FilesyncVerificationWork#" });

/** UNSUPPORTED where the daemon does no file replication. */
export function filesyncsOf(control: Control): Filesyncs {
  if (control.filesyncs) return control.filesyncs;
  throw new RopewalkError("UNSUPPORTED", "This daemon does no file replication.");
}

export function addFilesyncRoutes({ app, control }: Api): void {
  for (const schema of filesyncSchemas) app.addSchema(schema);
  const filesyncs = () => filesyncsOf(control());

  app.post(
    "/api/v1/filesyncs",
    {
      schema: {
        tags,
        summary: "Replicate a directory tree to other places, from now on",
        description: "Durable when answered; the first bulk has begun.",
        body: AddFilesyncSchema,
        response: { 201: Filesync, ...errorResponses },
      },
    },
    async (request, reply) => reply.code(201).send(filesyncJson(await filesyncs().add(request.body))),
  );

  app.get(
    "/api/v1/filesyncs",
    {
      schema: {
        tags,
        summary: "List all synchronizations",
        response: { 200: Type.Array(Filesync), ...errorResponses },
      },
    },
    () => filesyncs().list().map(filesyncJson),
  );

  app.get(
    "/api/v1/filesyncs/:name",
    {
      schema: {
        tags,
        summary: "State of a synchronization, or wait until its targets equal its source as of now",
        params: FilesyncParameters,
        querystring: ShowFilesyncQuerySchema,
        response: { 200: Filesync, ...errorResponses },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { wait, waitSeconds, point: given } = request.query;
      if (wait !== true) return filesyncJson(filesyncs().show(name));
      expectSilence(request, reply);
      const run = filesyncs().find(name);
      const point = given ?? run.beginWait();
      const waitMs = waitSeconds === undefined ? undefined : waitSeconds * 1000;
      const settled = await run.points.wait(point, waitMs);
      return { ...filesyncJson(filesyncs().show(name)), wait: { point, settled } };
    },
  );

  app.delete(
    "/api/v1/filesyncs/:name",
    {
      schema: {
        tags,
        summary: "Stop and forget a synchronization",
        description: "The targets stay as they are.",
        params: FilesyncParameters,
        response: { 204: Type.Null(), ...errorResponses },
      },
    },
    async (request, reply) => {
      await filesyncs().delete(request.params.name);
      return reply.code(204).send(null);
    },
  );

  for (const [verb, summary] of [
    ["pause", "Send nothing until it is resumed"],
    ["resume", "Go on; also starts anew what could not be started"],
  ] as const)
    app.post(
      `/api/v1/filesyncs/:name/${verb}`,
      {
        schema: {
          tags,
          summary,
          params: FilesyncParameters,
          response: { 200: Filesync, ...errorResponses },
        },
      },
      async (request) => filesyncJson(await filesyncs()[verb](request.params.name)),
    );

  addBulkRoutes({ app, control });
  addVerificationRoutes({ app, control });
}

function addBulkRoutes({ app, control }: Api): void {
  const path = "/api/v1/filesyncs/:name/sync";
  const filesyncs = () => filesyncsOf(control());
  const work = (name: string) =>
    withProgress(filesyncs(), name, filesyncs().find(name).sync) as FilesyncSyncWorkJson;

  app.post(
    path,
    {
      schema: {
        tags,
        summary: "Compare the tree with the targets and bring over what differs",
        description: "Joins the one that was asked for in the same way, if it still runs.",
        params: FilesyncParameters,
        querystring: StartQuerySchema,
        body: SyncFilesyncSchema,
        response: { 200: Synchronized, 202: SyncWork, ...errorResponses },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const run = filesyncs().find(name);
      run.startSync(request.body);
      if (request.query.wait === false) return reply.code(202).send(work(name));
      expectSilence(request, reply);
      return reply.code(200).send((await run.sync.outcome()) as FilesyncSyncJson);
    },
  );

  app.get(
    path,
    {
      schema: {
        tags,
        summary: "State of the bulk that was asked for last",
        params: FilesyncParameters,
        querystring: WatchQuerySchema,
        response: { 200: SyncWork, ...errorResponses },
      },
    },
    async (request) => {
      const { name } = request.params;
      await filesyncs()
        .find(name)
        .sync.wait((request.query.waitSeconds ?? 0) * 1000);
      return work(name);
    },
  );

  app.delete(
    path,
    {
      schema: {
        tags,
        summary: "Cancel the bulk",
        description: "What was copied stays.",
        params: FilesyncParameters,
        response: { 200: SyncWork, ...errorResponses },
      },
    },
    async (request) => {
      const { name } = request.params;
      await filesyncs().find(name).sync.cancel();
      return work(name);
    },
  );
}

function addVerificationRoutes({ app, control }: Api): void {
  const path = "/api/v1/filesyncs/:name/verify";
  const filesyncs = () => filesyncsOf(control());
  const work = (name: string) =>
    withProgress(filesyncs(), name, filesyncs().find(name).verification) as FilesyncVerificationWorkJson;

  app.post(
    path,
    {
      schema: {
        tags,
        summary: "Compare all contents by hashes on both sides; nothing is changed",
        description: "Joins the verification under way, if there is one.",
        params: FilesyncParameters,
        querystring: StartQuerySchema,
        response: { 200: Verified, 202: VerificationWork, ...errorResponses },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const run = filesyncs().find(name);
      run.startVerification();
      if (request.query.wait === false) return reply.code(202).send(work(name));
      expectSilence(request, reply);
      return reply.code(200).send((await run.verification.outcome()) as FilesyncVerificationJson);
    },
  );

  app.get(
    path,
    {
      schema: {
        tags,
        summary: "State of the last verification",
        params: FilesyncParameters,
        querystring: WatchQuerySchema,
        response: { 200: VerificationWork, ...errorResponses },
      },
    },
    async (request) => {
      const { name } = request.params;
      await filesyncs()
        .find(name)
        .verification.wait((request.query.waitSeconds ?? 0) * 1000);
      return work(name);
    },
  );

  app.delete(
    path,
    {
      schema: {
        tags,
        summary: "Cancel the verification",
        params: FilesyncParameters,
        response: { 200: VerificationWork, ...errorResponses },
      },
    },
    async (request) => {
      const { name } = request.params;
      await filesyncs().find(name).verification.cancel();
      return work(name);
    },
  );
}

/** While it runs, with the synchronization's state as its progress. */
function withProgress<Result>(
  filesyncs: Filesyncs,
  name: string,
  work: { report(): WorkReport<never, Result> },
) {
  const { progress: _none, ...report } = work.report();
  const progress = report.state === "running" ? { progress: filesyncJson(filesyncs.show(name)) } : {};
  return { ...workJson(report), ...progress };
}
