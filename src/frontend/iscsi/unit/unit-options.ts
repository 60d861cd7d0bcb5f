/**
 * What a SCSI target of one logical unit is made of.
 *
 * Always holds: the device and the store belong to whoever made them; the unit closes neither.
 */

import type { BlockDevice } from "../../../device/mod.ts";
import type { Clock } from "../../../ports/clock.ts";
import type { ThirdPartyCopy } from "./third-party-copy.ts";

/** Who the logical unit is, for ever: the designators of VPD page 83h come from it. */
export interface UnitIdentity {
  /** The volume. */
  readonly name: string;
  /** The volume's, never another's. */
  readonly uuid: string;
}

export interface TargetPort {
  /** `TARGET,t,0xTAG`. */
  readonly name: string;
  readonly portalGroupTag: number;
  /** Relative target port identifier, from 1. */
  readonly relativePort: number;
}

/** Where a unit's persistent reservations with APTPL, and an unfinished SANITIZE, outlive the daemon. */
export interface UnitStore {
  /** What was saved last; undefined: nothing. */
  load(): Promise<string | undefined>;
  /** Durable at resolution. */
  save(text: string): Promise<void>;
}

export interface ScsiUnitOptions {
  readonly device: BlockDevice;
  readonly blockBytes: 512 | 4096;
  readonly identity: UnitIdentity;
  readonly ports: readonly TargetPort[];
  readonly store: UnitStore;
  readonly clock: Clock;
  /** False: writes end with DATA PROTECT, whatever the device could. */
  readonly isWritable: boolean;
  /** Trimmed ranges of the device read as zeros, as those of a pool volume do. Default false: UNMAP zeroes. */
  readonly trimReadsZeros?: boolean;
  /** How fast SANITIZE OVERWRITE goes, so that it leaves the pool's other volumes their share. Default 64 MiB. */
  readonly sanitizeBytesPerSecond?: number;
  /** Undefined: the unit knows neither EXTENDED COPY nor token copies. */
  readonly thirdPartyCopy?: ThirdPartyCopy | undefined;
}
