/**
 * READ (6) to (16), and READ CAPACITY (10) and (16) (SBC-3, 5.10 to 5.16).
 *
 * Always holds: data is filled whole, in memory of the transport's. DPO and FUA are taken and change nothing: a read sees all that
 * was acknowledged.
 */

import {
  blockRange,
  capacityLong,
  capacityShort,
  cdbBytes,
  Operation,
  ServiceActionIn16,
  uint32,
} from "../../../wire/iscsi/scsi/mod.ts";
import { type ScsiCommand, type ScsiReply, ScsiStatus } from "../scsi-target.ts";
import { type Answer, type CommandEntry, dataReply, GOOD, usage } from "./command-entry.ts";
import type { LogicalUnit } from "./logical-unit.ts";

export const READ_COMMANDS: readonly CommandEntry[] = [
  { opcode: Operation.read6, usage: usage("08 1f ff ff ff 00"), access: "read", run: read },
  { opcode: Operation.read10, usage: usage("28 18 ff ff ff ff 1f ff ff 00"), access: "read", run: read },
  {
    opcode: Operation.read12,
    usage: usage("a8 18 ff ff ff ff ff ff ff ff 1f 00"),
    access: "read",
    run: read,
  },
  {
    opcode: Operation.read16,
    usage: usage("88 18 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00"),
    access: "read",
    run: read,
  },
  {
    opcode: Operation.readCapacity10,
    usage: usage("25 00 00 00 00 00 00 00 00 00"),
    access: "free",
    run: (unit) => dataReply(capacityShort(capacityOf(unit)), 8),
  },
  {
    opcode: Operation.serviceActionIn16,
    serviceAction: ServiceActionIn16.readCapacity,
    usage: usage("9e 10 00 00 00 00 00 00 00 00 ff ff ff ff 00 00"),
    access: "free",
    run: (unit, { cdb }) => dataReply(capacityLong(capacityOf(unit)), uint32(cdb, 10)),
  },
];

function capacityOf(unit: LogicalUnit): Parameters<typeof capacityLong>[0] {
  return {
    blocks: unit.capacityBlocks,
    blockBytes: unit.blockBytes,
    provisioning: unit.access.provisioning,
  };
}

/** Where a CDB's length field begins, for the field pointer. */
export function lengthByte(cdb: Uint8Array): number {
  return { 6: 4, 10: 7, 12: 6 }[cdbBytes(cdb[0]!)] ?? 10;
}

function read(unit: LogicalUnit, command: ScsiCommand): Answer {
  const { cdb } = command;
  const range = blockRange(cdb);
  unit.checkTransfer(range, lengthByte(cdb));
  if (range.blocks === 0) return GOOD;
  const span = unit.span(range);
  const data = unit.access.read(span, command.dataInMemory?.(span.lengthBytes));
  return data instanceof Promise ? data.then(withData) : withData(data);
}

function withData(dataIn: Uint8Array): ScsiReply {
  return { status: ScsiStatus.good, dataIn };
}
