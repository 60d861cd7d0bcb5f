/** Volumes as the API says them, and what requests about volumes may carry. */
import { type Static, Type } from "@sinclair/typebox";
import { NAME_PATTERN, VOLUME_SIZE_BYTES_MAX, VOLUME_SIZE_UNIT_BYTES } from "../../base/object-name.ts";
import type { AnyVolumeInfo } from "../../control/mod.ts";

export const NameSchema = Type.String({ pattern: NAME_PATTERN });

export const VolumeSizeSchema = Type.Integer({
  minimum: VOLUME_SIZE_UNIT_BYTES,
  maximum: VOLUME_SIZE_BYTES_MAX,
  multipleOf: VOLUME_SIZE_UNIT_BYTES,
  description: "Bytes; a positive multiple of 512, up to 2^52.",
});

export const VolumeSchema = Type.Object(
  {
    name: NameSchema,
    id: Type.Integer({ description: "Never reused inside a pool." }),
    uuid: Type.String({ description: "For those that outlive a name." }),
    sizeBytes: Type.Integer(),
    usedBytes: Type.Integer({ description: "Bytes of data that the volume's own map holds, shared or not." }),
    snapshots: Type.Integer({ description: "How many snapshots the volume has." }),
    createdAt: Type.String({ format: "date-time" }),
    origin: Type.Union([Type.String(), Type.Null()], {
      description: "What it was cloned from, VOLUME or VOLUME@SNAPSHOT, until detached.",
    }),
    clients: Type.Integer({ description: "Clients connected to it now." }),
    stack: Type.Optional(
      Type.Unknown({ description: "Of a volume that is a stack: the tree, as it was described." }),
    ),
  },
  { $id: "Volume", additionalProperties: false },
);

export type VolumeJson = Static<typeof VolumeSchema>;

export const VolumeReference = Type.Unsafe<VolumeJson>({ $ref: "Volume#" });

export const CreateVolumeSchema = Type.Object(
  {
    name: NameSchema,
    sizeBytes: Type.Optional(VolumeSizeSchema),
    stack: Type.Optional(
      Type.Object(
        {},
        {
          additionalProperties: true,
          description:
            "Instead of a size: a tree of layers over volumes, files and NBD exports, which the volume then is.",
        },
      ),
    ),
  },
  { additionalProperties: false },
);
export const CloneVolumeSchema = Type.Object(
  {
    name: Type.String({ pattern: NAME_PATTERN, description: "Of the new volume." }),
    snapshot: Type.Optional(
      Type.String({
        pattern: NAME_PATTERN,
        description: "Clone this snapshot instead of the volume as it is now.",
      }),
    ),
  },
  { additionalProperties: false },
);
export const ResizeVolumeSchema = Type.Object(
  { sizeBytes: VolumeSizeSchema },
  { additionalProperties: false },
);
export const VolumeParameters = Type.Object({ volume: NameSchema }, { additionalProperties: false });

export type CreateVolumeJson = Static<typeof CreateVolumeSchema>;
export type CloneVolumeJson = Static<typeof CloneVolumeSchema>;
export type ResizeVolumeJson = Static<typeof ResizeVolumeSchema>;

export function volumeJson(volume: AnyVolumeInfo): VolumeJson {
  const { createdAtMs, origin, ...rest } = volume;
  return { ...rest, createdAt: new Date(createdAtMs).toISOString(), origin: origin ?? null };
}
