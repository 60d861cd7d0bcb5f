/** Snapshots of volumes: make, list, delete, go back to, compare. */
import { Type } from "@sinclair/typebox";
import type { Difference } from "../../control/mod.ts";
import type { Api } from "./api.ts";
import { errorResponses } from "./error-json.ts";
import {
  CreateSnapshotSchema,
  DifferenceQuerySchema,
  DifferenceReference,
  DifferenceSchema,
  SnapshotParameters,
  SnapshotReference,
  SnapshotSchema,
  snapshotJson,
} from "./snapshot-json.ts";
import { VolumeParameters, VolumeReference, volumeJson } from "./volume-json.ts";

const tags = ["snapshots"];
/** A piece of a streamed answer is sent when it has at least this many characters. */
const PIECE_CHARACTERS = 16_384;

export function addSnapshotRoutes({ app, control }: Api): void {
  app.addSchema(SnapshotSchema);
  app.addSchema(DifferenceSchema);

  app.get(
    "/api/v1/snapshots",
    {
      schema: {
        tags,
        summary: "List the snapshots of all volumes, oldest first",
        response: { 200: Type.Array(SnapshotReference), ...errorResponses },
      },
    },
    () => control().snapshots.list().map(snapshotJson),
  );

  app.get(
    "/api/v1/volumes/:volume/snapshots",
    {
      schema: {
        tags,
        summary: "List a volume's snapshots, oldest first",
        params: VolumeParameters,
        response: { 200: Type.Array(SnapshotReference), ...errorResponses },
      },
    },
    (request) => control().snapshots.list(request.params.volume).map(snapshotJson),
  );

  app.post(
    "/api/v1/volumes/:volume/snapshots",
    {
      schema: {
        tags,
        summary: "Take a snapshot; durable when answered",
        params: VolumeParameters,
        body: CreateSnapshotSchema,
        response: { 201: SnapshotReference, ...errorResponses },
      },
    },
    async (request, reply) => {
      const snapshot = await control().snapshots.create(request.params.volume, request.body.name);
      return reply.code(201).send(snapshotJson(snapshot));
    },
  );

  app.get(
    "/api/v1/volumes/:volume/snapshots/:snapshot",
    {
      schema: {
        tags,
        summary: "Show a snapshot",
        params: SnapshotParameters,
        response: { 200: SnapshotReference, ...errorResponses },
      },
    },
    (request) => snapshotJson(control().snapshots.show(request.params.volume, request.params.snapshot)),
  );

  app.delete(
    "/api/v1/volumes/:volume/snapshots/:snapshot",
    {
      schema: {
        tags,
        summary: "Delete a snapshot",
        description: "Refused while it has clients or clones.",
        params: SnapshotParameters,
        response: { 204: Type.Null({ description: "Deleted." }), ...errorResponses },
      },
    },
    async (request, reply) => {
      await control().snapshots.delete(request.params.volume, request.params.snapshot);
      return reply.code(204).send(null);
    },
  );

  app.post(
    "/api/v1/volumes/:volume/snapshots/:snapshot/rollback",
    {
      schema: {
        tags,
        summary: "Make the volume what the snapshot holds",
        description: "Refused while clients are connected to the volume.",
        params: SnapshotParameters,
        response: { 200: VolumeReference, ...errorResponses },
      },
    },
    async (request) =>
      volumeJson(await control().snapshots.rollback(request.params.volume, request.params.snapshot)),
  );

  app.get(
    "/api/v1/volumes/:volume/diff",
    {
      schema: {
        tags,
        summary: "Ranges that changed since a snapshot",
        description:
          "From the snapshot `from` to the snapshot `to`, or to the volume as it is now. Streamed in order; " +
          "an answer that ends without its closing bracket failed on the way.",
        params: VolumeParameters,
        querystring: DifferenceQuerySchema,
        response: { 200: Type.Array(DifferenceReference), ...errorResponses },
      },
    },
    async (request, reply) => {
      const differences = control().snapshots.difference({ volume: request.params.volume, ...request.query });
      const iterator = differences[Symbol.asyncIterator]();
      // The first step is taken before the status is sent, so that refusals have theirs.
      const pieces = arrayText(iterator, await iterator.next());
      reply.type("application/json; charset=utf-8");
      return reply.send(ReadableStream.from(pieces) as never);
    },
  );
}

/** A JSON array as text, one element a line, in pieces. */
async function* arrayText(
  iterator: AsyncIterator<Difference>,
  step: IteratorResult<Difference>,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  let piece = "[";
  let separator = "\n";
  try {
    for (; !step.done; step = await iterator.next()) {
      const { offsetBytes, lengthBytes, kind } = step.value;
      piece += `${separator}{"offsetBytes":${offsetBytes},"lengthBytes":${lengthBytes},"kind":"${kind}"}`;
      separator = ",\n";
      if (piece.length < PIECE_CHARACTERS) continue;
      yield encoder.encode(piece);
      piece = "";
    }
    yield encoder.encode(`${piece}\n]\n`);
  } finally {
    await iterator.return?.();
  }
}
