/** The part of the pool that the use cases need: everything that it says and does, nothing of how. */
import type { Pool } from "../pool/mod.ts";

export type ControlledPool = Pick<
  Pool,
  | "volumes"
  | "volume"
  | "snapshots"
  | "snapshot"
  | "createVolume"
  | "deleteVolume"
  | "resizeVolume"
  | "cloneVolume"
  | "detachVolume"
  | "createSnapshot"
  | "deleteSnapshot"
  | "rollback"
  | "openVolume"
  | "openSnapshot"
  | "difference"
  | "allocationDepth"
  | "status"
  | "counters"
  | "set"
  | "collect"
  | "scrub"
>;
