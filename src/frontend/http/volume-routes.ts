/** /api/v1/volumes: what can be done with volumes. */
import { Type } from "@sinclair/typebox";
import { RopewalkError } from "../../base/errors.ts";
import type { Api } from "./api.ts";
import { errorResponses } from "./error-json.ts";
import {
  CloneVolumeSchema,
  CreateVolumeSchema,
  ResizeVolumeSchema,
  VolumeParameters,
  VolumeReference,
  VolumeSchema,
  volumeJson,
} from "./volume-json.ts";

const tags = ["volumes"];

export function addVolumeRoutes({ app, control }: Api): void {
  app.addSchema(VolumeSchema);

  app.get(
    "/api/v1/volumes",
    {
      schema: {
        tags,
        summary: "List all volumes",
        response: { 200: Type.Array(VolumeReference), ...errorResponses },
      },
    },
    () => control().volumes.list().map(volumeJson),
  );

  app.post(
    "/api/v1/volumes",
    {
      schema: {
        tags,
        summary: "Create a thin volume, or a volume that is a stack over others",
        description: "Either sizeBytes or stack is given.",
        body: CreateVolumeSchema,
        response: { 201: VolumeReference, ...errorResponses },
      },
    },
    async (request, reply) => {
      const { name, sizeBytes, stack } = request.body;
      const { volumes } = control();
      if ((sizeBytes === undefined) === (stack === undefined))
        throw new RopewalkError("INVALID_ARGUMENT", "The body needs either sizeBytes or stack.");
      const created = await (sizeBytes === undefined
        ? volumes.createStack({ name, stack })
        : volumes.create({ name, sizeBytes }));
      return reply.code(201).send(volumeJson(created));
    },
  );

  app.get(
    "/api/v1/volumes/:volume",
    {
      schema: {
        tags,
        summary: "Show a volume",
        params: VolumeParameters,
        response: { 200: VolumeReference, ...errorResponses },
      },
    },
    (request) => volumeJson(control().volumes.show(request.params.volume)),
  );

  app.delete(
    "/api/v1/volumes/:volume",
    {
      schema: {
        tags,
        summary: "Delete a volume",
        description: "Refused while it has clients, snapshots or clones, or a stack stands on it.",
        params: VolumeParameters,
        response: { 204: Type.Null({ description: "Deleted." }), ...errorResponses },
      },
    },
    async (request, reply) => {
      await control().volumes.delete(request.params.volume);
      return reply.code(204).send(null);
    },
  );

  app.post(
    "/api/v1/volumes/:volume/clone",
    {
      schema: {
        tags,
        summary: "Clone a volume, or one of its snapshots, without copying data",
        params: VolumeParameters,
        body: CloneVolumeSchema,
        response: { 201: VolumeReference, ...errorResponses },
      },
    },
    async (request, reply) => {
      const { name, snapshot } = request.body;
      const clone = await control().volumes.clone({ source: request.params.volume, snapshot, name });
      return reply.code(201).send(volumeJson(clone));
    },
  );

  app.post(
    "/api/v1/volumes/:volume/resize",
    {
      schema: {
        tags,
        summary: "Grow or shrink a volume",
        description: "Shrinking is refused while clients are connected.",
        params: VolumeParameters,
        body: ResizeVolumeSchema,
        response: { 200: VolumeReference, ...errorResponses },
      },
    },
    async (request) =>
      volumeJson(await control().volumes.resize(request.params.volume, request.body.sizeBytes)),
  );

  app.post(
    "/api/v1/volumes/:volume/detach",
    {
      schema: {
        tags,
        summary: "Forget what a volume was cloned from",
        params: VolumeParameters,
        response: { 200: VolumeReference, ...errorResponses },
      },
    },
    async (request) => volumeJson(await control().volumes.detach(request.params.volume)),
  );
}
