/** A volume as a SCSI logical unit: the device server behind the iSCSI transport. */
export { ScsiUnitTarget } from "./scsi-unit-target.ts";
export type { CopyUnit, ThirdPartyCopy } from "./third-party-copy.ts";
export type { ScsiUnitOptions, TargetPort, UnitIdentity, UnitStore } from "./unit-options.ts";
