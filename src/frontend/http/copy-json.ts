/** Copies and zeroing as the API says them, and what requests about them may carry. */
import { type Static, Type } from "@sinclair/typebox";
import type { Copy } from "../../control/mod.ts";
import { ByteSchema, LengthSchema, MapNameSchema } from "./token-json.ts";
import { NameSchema } from "./volume-json.ts";
import { WAIT_SECONDS_MAX, workJson, workSchema } from "./work-json.ts";

const MovedSchema = Type.Integer({ description: "Bytes of data that were read and written for it." });
const PlainSchema = Type.Integer({
  description: "How much of it was read and written plainly, because tokens were not the way.",
});

export const CopySchema = Type.Object(
  {
    bytes: Type.Integer({ description: "How much was copied." }),
    bytesMoved: MovedSchema,
    bytesPlain: PlainSchema,
    elapsedMs: Type.Number(),
  },
  { $id: "Copy", additionalProperties: false },
);
const CopyProgressSchema = Type.Object(
  {
    bytes: Type.Integer({ description: "Copied so far; it stays, however the copy ends." }),
    bytesExpected: Type.Integer(),
    bytesMoved: MovedSchema,
    bytesPlain: PlainSchema,
  },
  { additionalProperties: false },
);
export const ZeroedSchema = Type.Object(
  { bytes: Type.Integer(), elapsedMs: Type.Number() },
  { $id: "Zeroed", additionalProperties: false },
);

export const StartCopySchema = Type.Object(
  {
    source: MapNameSchema,
    destination: Type.String({
      minLength: 1,
      maxLength: 127,
      description: "A volume; made when there is none, grown when it is too small.",
    }),
    offsetBytes: Type.Optional(ByteSchema),
    toOffsetBytes: Type.Optional(ByteSchema),
    lengthBytes: Type.Optional(LengthSchema),
  },
  { additionalProperties: false },
);
export const StartCopyQuerySchema = Type.Object(
  {
    waitSeconds: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: WAIT_SECONDS_MAX,
        description: "Answer after this time at the latest, with the copy's state when it still runs.",
      }),
    ),
  },
  { additionalProperties: false },
);
export const CopyParameters = Type.Object(
  { copy: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }) },
  { additionalProperties: false },
);
export const ZeroSchema = Type.Object(
  { offsetBytes: Type.Optional(ByteSchema), lengthBytes: Type.Optional(LengthSchema) },
  { additionalProperties: false },
);

export type CopyJson = Static<typeof CopySchema>;
export type StartCopyJson = Static<typeof StartCopySchema>;
export type ZeroedJson = Static<typeof ZeroedSchema>;
export type ZeroJson = Static<typeof ZeroSchema>;

export const CopyReference = Type.Unsafe<CopyJson>({ $ref: "Copy#", description: "Finished." });

const WorkSchema = workSchema("CopyWork", { progress: CopyProgressSchema, result: CopyReference });
export const CopyWorkSchema = Type.Object(
  {
    id: Type.Integer({ description: "By which it is watched and cancelled." }),
    source: MapNameSchema,
    destination: NameSchema,
    ...WorkSchema.properties,
  },
  { $id: "CopyWork", additionalProperties: false },
);

export type CopyWorkJson = Static<typeof CopyWorkSchema>;

export function copyWorkJson({ id, source, destination, work }: Copy): CopyWorkJson {
  return { id, source, destination, ...workJson(work.report()) };
}
