/** The iSCSI front end's public door: a server, and what it is handed. */

export { IscsiCounters } from "./counters.ts";
export { DEFAULT_ISCSI_LIMITS, type IscsiLimits } from "./limits.ts";
export * from "./scsi-target.ts";
export { IscsiServer, type IscsiServerOptions } from "./server.ts";
export {
  type ChapAccount,
  type ChapAccounts,
  checkAuthentication,
  type IscsiPortal,
  type IscsiTargetTable,
  type OpenedTarget,
  type TargetAuthentication,
  type TargetEntry,
} from "./target-table.ts";
export {
  type ServedTarget,
  type ServedTargets,
  UnitTargets,
  type UnitTargetsOptions,
} from "./unit-targets.ts";
