/** The control room's public door. */
export type { Difference, PoolCounters, PoolStatus, SnapshotInfo, VolumeInfo } from "../pool/mod.ts";
export { COLLECT_RATIO_MAX, COLLECT_RATIO_MIN, type CollectionProgress } from "./collection.ts";
export { Control } from "./control.ts";
export type { ControlledPool } from "./controlled-pool.ts";
export { type ExportSummary, Exports, type MapQuery, type Stack, type Stretch } from "./exports.ts";
export type { WorkReport, WorkState } from "./long-work.ts";
export { checkPoolSize, POOL_SIZE_BYTES_MIN, type PoolChange } from "./pool-settings.ts";
export type { ScrubOutcome, ScrubProgress } from "./scrub.ts";
export type { DifferenceQuery } from "./snapshots.ts";
export type { DaemonStatus, Machine } from "./status.ts";
export { LATENCY_BUCKETS, METERED_REQUESTS, VolumeMeter } from "./volume-meter.ts";
