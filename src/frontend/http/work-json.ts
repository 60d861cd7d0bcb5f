/** Scrub and collection as the API says them: what was asked, how far it is, how it ended. */
import { type Static, type TSchema, Type } from "@sinclair/typebox";
import type { RopewalkError } from "../../base/errors.ts";
import { COLLECT_RATIO_MAX, COLLECT_RATIO_MIN, type WorkReport, type WorkState } from "../../control/mod.ts";
import { type ErrorJson, ErrorSchema } from "./error-json.ts";

const DamageSchema = Type.Array(Type.String(), { description: "What is damaged, the first hundred." });

export const ScrubSchema = Type.Object(
  {
    blocks: Type.Integer({ description: "Blocks and nodes that were read and compared." }),
    errors: Type.Integer({ description: "How many of them did not match their checksums." }),
    damage: DamageSchema,
  },
  { $id: "Scrub", additionalProperties: false },
);
const ScrubProgressSchema = Type.Object(
  {
    blocks: Type.Integer({ description: "Compared so far." }),
    blocksExpected: Type.Integer({ description: "About how many there are." }),
    errors: Type.Integer(),
    damage: DamageSchema,
  },
  { additionalProperties: false },
);
export const CollectionSchema = Type.Object(
  { segmentsFreed: Type.Integer(), usedBytes: Type.Integer(), liveBytes: Type.Integer() },
  { $id: "Collection", additionalProperties: false },
);

export const CollectBodySchema = Type.Object(
  {
    ratio: Type.Optional(
      Type.Number({
        minimum: COLLECT_RATIO_MIN,
        maximum: COLLECT_RATIO_MAX,
        description: "Collect until used space is at most this multiple of live data; 1.1 when absent.",
      }),
    ),
  },
  { additionalProperties: false },
);

/** A request may wait this long for an end; longer waits ask again. */
export const WAIT_SECONDS_MAX = 60;

export const StartQuerySchema = Type.Object(
  {
    wait: Type.Optional(
      Type.Boolean({ description: "false: answer at once with the state instead of when it is finished." }),
    ),
  },
  { additionalProperties: false },
);
export const WatchQuerySchema = Type.Object(
  {
    waitSeconds: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: WAIT_SECONDS_MAX,
        description: "Answer when it is finished, after this time at the latest.",
      }),
    ),
  },
  { additionalProperties: false },
);

export function workSchema<Progress extends TSchema, Result extends TSchema>(
  $id: string,
  { progress, result }: { progress: Progress; result: Result },
) {
  return Type.Object(
    {
      state: Type.Unsafe<WorkState>({
        type: "string",
        enum: ["idle", "running", "done", "failed", "cancelled"],
      }),
      startedAt: Type.Optional(Type.String({ format: "date-time" })),
      elapsedMs: Type.Optional(Type.Integer()),
      progress: Type.Optional(progress),
      result: Type.Optional(result),
      error: Type.Optional(Type.Unsafe<ErrorJson>({ $ref: "Error#" })),
    },
    { $id, additionalProperties: false },
  );
}

export type ScrubJson = Static<typeof ScrubSchema>;
export type CollectionJson = Static<typeof CollectionSchema>;
export type CollectBodyJson = Static<typeof CollectBodySchema>;

const ScrubReference = Type.Unsafe<ScrubJson>({ $ref: "Scrub#" });
const CollectionReference = Type.Unsafe<CollectionJson>({ $ref: "Collection#" });

export const ScrubWorkSchema = workSchema("ScrubWork", {
  progress: ScrubProgressSchema,
  result: ScrubReference,
});
export const CollectionWorkSchema = workSchema("CollectionWork", {
  progress: CollectionReference,
  result: CollectionReference,
});

export type ScrubWorkJson = Static<typeof ScrubWorkSchema>;
export type CollectionWorkJson = Static<typeof CollectionWorkSchema>;

export const workSchemas = [
  ErrorSchema,
  ScrubSchema,
  CollectionSchema,
  ScrubWorkSchema,
  CollectionWorkSchema,
];

/** What is common to all reports; the caller adds nothing. */
export function workJson<Progress, Result>({ startedAtMs, error, ...rest }: WorkReport<Progress, Result>) {
  return {
    ...rest,
    ...(startedAtMs === undefined ? {} : { startedAt: new Date(startedAtMs).toISOString() }),
    ...(error === undefined ? {} : { error: errorJson(error) }),
  };
}

export function errorJson({ code, message }: RopewalkError): ErrorJson {
  return { code, message };
}
