/** Snapshots and differences as the API says them, and what requests about them may carry. */
import { type Static, Type } from "@sinclair/typebox";
import type { Difference, SnapshotInfo } from "../../control/mod.ts";
import { NameSchema } from "./volume-json.ts";

export const SnapshotSchema = Type.Object(
  {
    volume: NameSchema,
    name: NameSchema,
    id: Type.Integer({ description: "Never reused inside a pool." }),
    uuid: Type.String(),
    sizeBytes: Type.Integer({ description: "Size of the volume when the snapshot was taken." }),
    usedBytes: Type.Integer(),
    createdAt: Type.String({ format: "date-time" }),
    sequence: Type.Integer({ description: "Position in the log; all requests up to it are inside." }),
    clones: Type.Integer(),
    clients: Type.Integer({ description: "Clients connected to it now." }),
  },
  { $id: "Snapshot", additionalProperties: false },
);

export type SnapshotJson = Static<typeof SnapshotSchema>;

export const SnapshotReference = Type.Unsafe<SnapshotJson>({ $ref: "Snapshot#" });

export const CreateSnapshotSchema = Type.Object({ name: NameSchema }, { additionalProperties: false });
export const SnapshotParameters = Type.Object(
  { volume: NameSchema, snapshot: NameSchema },
  { additionalProperties: false },
);

export type CreateSnapshotJson = Static<typeof CreateSnapshotSchema>;

export const DifferenceSchema = Type.Object(
  {
    offsetBytes: Type.Integer(),
    lengthBytes: Type.Integer(),
    kind: Type.Unsafe<Difference["kind"]>({
      type: "string",
      enum: ["hole", "zero", "data"],
      description: "What the newer side holds there.",
    }),
  },
  { $id: "Difference", additionalProperties: false },
);

export type DifferenceJson = Static<typeof DifferenceSchema>;

export const DifferenceReference = Type.Unsafe<DifferenceJson>({ $ref: "Difference#" });

const ByteSchema = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

export const DifferenceQuerySchema = Type.Object(
  {
    from: NameSchema,
    to: Type.Optional(NameSchema),
    offsetBytes: Type.Optional(ByteSchema),
    lengthBytes: Type.Optional(ByteSchema),
  },
  { additionalProperties: false },
);

export function snapshotJson(snapshot: SnapshotInfo): SnapshotJson {
  const { createdAtMs, ...rest } = snapshot;
  return { ...rest, createdAt: new Date(createdAtMs).toISOString() };
}
