/** The control room's public door. */
export type { Difference, PoolCounters, PoolStatus, SnapshotInfo, VolumeInfo } from "../pool/mod.ts";
export { COLLECT_RATIO_MAX, COLLECT_RATIO_MIN, type CollectionProgress } from "./collection.ts";
export { Control } from "./control.ts";
export type { ControlledPool } from "./controlled-pool.ts";
export { type ExportSummary, Exports, type MapQuery, type Stack, type Stretch } from "./exports.ts";
export type { WorkReport, WorkState } from "./long-work.ts";
export { NbdExportTable } from "./nbd-exports.ts";
export { newPoolBytes, type OpenedPool, openPool, type PoolMaker, type PoolPlace } from "./pool-opening.ts";
export type { PoolChange } from "./pool-settings.ts";
export type { ScrubOutcome, ScrubProgress } from "./scrub.ts";
export { type Address, formatAddress, isLoopbackHost, parseAddress } from "./settings/address.ts";
export { parseConfigFile } from "./settings/config-file.ts";
export { configSchema, LOG_LEVELS, type LogLevel } from "./settings/config-schema.ts";
export {
  CONFIG_FILE_ENVIRONMENT,
  type GivenSettings,
  SETTING_NAMES,
  settingsOfEnvironment,
  settingsOfFlags,
} from "./settings/given-settings.ts";
export { buildLayerStacks } from "./settings/layer-stacks.ts";
export {
  parseFirstVolume,
  resolveSettings,
  SETTINGS_DEFAULT,
  type Settings,
  type TlsFileNames,
} from "./settings/settings.ts";
export type { DifferenceQuery } from "./snapshots.ts";
export type { DaemonStatus, Machine } from "./status.ts";
export { LATENCY_BUCKETS, METERED_REQUESTS, VolumeMeter } from "./volume-meter.ts";
