/**
 * What the unit knows of a command before it runs it.
 *
 * Always holds: `usage` says which bits of the CDB the unit looks at; a command with any other bit set is refused
 * before it runs, but for the vendor's bits of the control byte.
 */

import { Buffer } from "node:buffer";
import { illegal, type SupportedCommand } from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand, ScsiReply } from "../scsi-target.ts";
import { ScsiStatus } from "../scsi-target.ts";
import type { LogicalUnit } from "./logical-unit.ts";
import type { Access } from "./reservations.ts";

export type Answer = ScsiReply | Promise<ScsiReply>;

export interface CommandEntry extends SupportedCommand {
  readonly access: Access | ((cdb: Uint8Array) => Access);
  /** Runs whatever is to be told first (SAM-5, 5.14). */
  readonly ignoresAttentions?: boolean;
  /** Runs while the unit is not ready. */
  readonly ignoresReadiness?: boolean;
  /** How many bytes of data-out it takes; left out: none. */
  readonly dataOutBytes?: (cdb: Uint8Array, unit: LogicalUnit) => number;
  /** May throw check conditions and RopewalkErrors. */
  readonly run: (unit: LogicalUnit, command: ScsiCommand) => Answer;
}

export const GOOD: ScsiReply = { status: ScsiStatus.good };
export const RESERVATION_CONFLICT: ScsiReply = { status: ScsiStatus.reservationConflict };

/** Data, cut to the command's allocation length. */
export function dataReply(data: Uint8Array, allocationBytes: number): ScsiReply {
  return { status: ScsiStatus.good, dataIn: data.subarray(0, allocationBytes) };
}

/** GOOD, once it is done. */
export function goodAfter(done: Promise<unknown> | undefined): Answer {
  return done === undefined ? GOOD : done.then(() => GOOD);
}

/**
 * Refuses data that is not as long as the command takes it: for commands that change other blocks, or compare with
 * others, when one side counts them differently than the other.
 */
export function checkDataOutBytes(command: ScsiCommand, takenBytes: number): void {
  const { dataOut, expectedOutBytes = dataOut.length } = command;
  if (expectedOutBytes !== takenBytes || dataOut.length < takenBytes) throw illegal(0x24, 0x00);
}

/** A CDB's usage data, from hexadecimal digits with spaces. */
export function usage(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits.replaceAll(" ", ""), "hex"));
}
