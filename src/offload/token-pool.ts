/** What the token room needs of a pool. */
import type { Pool } from "../pool/mod.ts";

export type TokenPool = Pick<
  Pool,
  | "pin"
  | "pins"
  | "unpin"
  | "openPin"
  | "graft"
  | "difference"
  | "volume"
  | "volumes"
  | "snapshot"
  | "snapshots"
  | "status"
  | "checkpoint"
>;
