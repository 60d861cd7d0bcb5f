/**
 * Where third-party copy (SPC-4, 5.17; opcodes 83h and 84h) is plugged into a logical unit.
 *
 * Always holds: the unit has already checked the reservations, unit attentions and that it is ready; whatever the
 * copy manager throws becomes a check condition: `CheckCondition` as it is, RopewalkErrors by the unit's table.
 */

import type { BlockDevice } from "../../../device/mod.ts";
import type { SupportedCommand } from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand, ScsiReply } from "../scsi-target.ts";

/** The logical unit as the copy manager sees it. */
export interface CopyUnit {
  readonly device: BlockDevice;
  readonly blockBytes: number;
  /** The whole blocks of the device now. */
  readonly capacityBlocks: number;
  /** The designation descriptors of VPD page 83h that name the logical unit (not its ports): how EXTENDED COPY names it. */
  readonly designators: readonly Uint8Array[];
  /** Throws the check condition of a unit that takes no writes now: write protected, or by a reservation of another nexus. */
  checkWritable(command: ScsiCommand): void;
  /** Throws the check condition of a unit that may not be read now: reserved by another nexus, or under SANITIZE. */
  checkReadable(command: ScsiCommand): void;
  /** Runs a change of the range while nothing else changes any of it (COMPARE AND WRITE and the like wait for it). */
  change<Result>(
    range: { readonly offsetBytes: number; readonly lengthBytes: number },
    work: () => Promise<Result>,
  ): Promise<Result>;
}

export interface ThirdPartyCopy {
  /** A command with opcode 83h or 84h. */
  execute(command: ScsiCommand, unit: CopyUnit): ScsiReply | Promise<ScsiReply>;
  /** How many bytes of data-out it takes, as its CDB says; 0 for none. */
  dataOutBytes(cdb: Uint8Array): number;
  /** VPD page 8Fh, with its header of four bytes. */
  vpdPage8F(): Uint8Array;
  /** For REPORT SUPPORTED OPERATION CODES. */
  readonly supportedCommands: readonly SupportedCommand[];
}
