/** The daemon's and the pool's state as the API says them, and the pool's settings that can be changed. */
import { type Static, Type } from "@sinclair/typebox";
import type { DaemonStatus, PoolStatus } from "../../control/mod.ts";

export const PoolSchema = Type.Object(
  {
    sizeBytes: Type.Integer({ description: "Limit of the pool's size." }),
    usedBytes: Type.Integer({ description: "Bytes of all segments, the reserve included." }),
    liveBytes: Type.Integer({ description: "Bytes of data that volumes and snapshots refer to." }),
    segments: Type.Integer(),
    readOnly: Type.Boolean({ description: "True after a failed write or sync, until the pool is reopened." }),
    sequence: Type.Integer({ description: "Position of the last record in the log." }),
    durableSequence: Type.Integer(),
    checkpoint: Type.Integer(),
    cachedNodeBytes: Type.Integer(),
    dirtyNodes: Type.Integer(),
  },
  { $id: "Pool", additionalProperties: false },
);

export type PoolJson = Static<typeof PoolSchema>;

export const PoolReference = Type.Unsafe<PoolJson>({ $ref: "Pool#" });

export const StatusSchema = Type.Object(
  {
    pool: PoolReference,
    volumes: Type.Integer({ description: "How many volumes there are." }),
    version: Type.String(),
    uptimeSeconds: Type.Integer(),
    rssBytes: Type.Integer({ description: "Resident memory of the daemon." }),
  },
  { $id: "Status", additionalProperties: false },
);

export type StatusJson = Static<typeof StatusSchema>;

export const ChangePoolSchema = Type.Object(
  {
    sizeBytes: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
    collectAboveRatio: Type.Optional(
      Type.Number({
        minimum: 1.05,
        maximum: 100,
        description: "Collection begins when used space exceeds this multiple of live data.",
      }),
    ),
    scrubBytesPerSecond: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 2 ** 40, description: "Pace of the background scrub; 0 is off." }),
    ),
  },
  { additionalProperties: false },
);

export type ChangePoolJson = Static<typeof ChangePoolSchema>;

export function poolJson({ volumes: _, ...pool }: PoolStatus): PoolJson {
  return pool;
}

export function statusJson({ pool, version, uptimeSeconds, rssBytes }: DaemonStatus): StatusJson {
  return { pool: poolJson(pool), volumes: pool.volumes, version, uptimeSeconds, rssBytes };
}
