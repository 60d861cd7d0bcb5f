/** The control room's public door. */
export type { Difference, PoolCounters, PoolStatus, SnapshotInfo, VolumeInfo } from "../pool/mod.ts";
export { COLLECT_RATIO_MAX, COLLECT_RATIO_MIN } from "./collection.ts";
export { Control } from "./control.ts";
export type { Stack, Stretch } from "./exports.ts";
export type { WorkReport, WorkState } from "./long-work.ts";
export { NbdExportTable } from "./nbd-exports.ts";
export { type OpenedPool, openPool } from "./pool-opening.ts";
export { type Address, formatAddress } from "./settings/address.ts";
export { parseConfigFile } from "./settings/config-file.ts";
export { configSchema } from "./settings/config-schema.ts";
export {
  CONFIG_FILE_ENVIRONMENT,
  settingsOfEnvironment,
  settingsOfFlags,
} from "./settings/given-settings.ts";
export { buildLayerStacks } from "./settings/layer-stacks.ts";
export {
  parseFirstVolume,
  resolveSettings,
  type Settings,
  type TlsFileNames,
} from "./settings/settings.ts";
export type { DaemonStatus, Machine } from "./status.ts";
export { LATENCY_BUCKETS, METERED_REQUESTS, VolumeMeter } from "./volume-meter.ts";
