/** The control room's public door. */
export type { SynchronizationFigures as FilesyncFigures } from "../filesync/mod.ts";
export { TOKEN_BYTES, type TokenInfo } from "../offload/mod.ts";
export type { Difference, PoolCounters, PoolStatus, SnapshotInfo, VolumeInfo } from "../pool/mod.ts";
export { COLLECT_RATIO_MAX, COLLECT_RATIO_MIN } from "./collection.ts";
export { Control, type ControlOptions } from "./control.ts";
export type { ControlledTokens } from "./controlled-tokens.ts";
export type { Copy, CopyCounters, CopyOutcome } from "./copies.ts";
export type { CopyProgress, CopyWish } from "./copy-work.ts";
export type { Stack, Stretch } from "./exports.ts";
export {
  FILESYNC_BANDWIDTH_MAX,
  FILESYNC_BARRIERS,
  FILESYNC_DELETES,
  FILESYNC_EXCLUDES_MAX,
  FILESYNC_MODES,
  FILESYNC_TARGETS_MAX,
  FILESYNC_THREADS_MAX,
} from "./filesync-definition.ts";
export { FILESYNC_KEY_PATTERN } from "./filesync-key.ts";
export { FilesyncReceiver } from "./filesync-receiver.ts";
export { FilesyncService, receiveAlone } from "./filesync-service.ts";
export { type FilesyncTargetInfo, FilesyncTargets } from "./filesync-targets.ts";
export type { FilesyncWish } from "./filesync-wish.ts";
export type { FilesyncMachine, FilesyncWorld, RunningSynchronization } from "./filesync-world.ts";
export { type FilesyncInfo, Filesyncs } from "./filesyncs.ts";
export { IscsiRules, type IscsiTargetRules } from "./iscsi-rules.ts";
export { ISCSI_NAME_PREFIX, type IscsiTargetEntry, IscsiTargets } from "./iscsi-targets.ts";
export type { WorkReport, WorkState } from "./long-work.ts";
export { NbdExportTable } from "./nbd-exports.ts";
export { type OpenedPool, openPool } from "./pool-opening.ts";
export { type Address, formatAddress, isLoopbackHost } from "./settings/address.ts";
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
export { makeStackBuilder } from "./stack-builder.ts";
export { type StackBuilder, StackedVolumes } from "./stacked-volumes.ts";
export type { DaemonStatus, Machine } from "./status.ts";
export { decodeTokenFile, TOKEN_FILE_BYTES_MAX, TOKENS_IN_FILE_MAX, type TokenPiece } from "./token-file.ts";
export { TOKEN_WRITE_PIECES_MAX, type TokenWritePiece } from "./token-write-pieces.ts";
export type {
  Channel,
  MadeTokens,
  ShownToken,
  TokenWish,
  WrittenTokens,
} from "./tokens.ts";
export { LATENCY_BUCKETS, METERED_REQUESTS, VolumeMeter } from "./volume-meter.ts";
export type { AnyVolumeInfo } from "./volumes.ts";
export type { Zeroed } from "./zeroing.ts";
