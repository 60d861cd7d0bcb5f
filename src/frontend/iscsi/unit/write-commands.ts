/**
 * WRITE (6) to (16), WRITE ATOMIC (16) and WRITE AND VERIFY (SBC-3, 5.32 to 5.42; SBC-4 for the atomic one).
 *
 * Always holds: a command whose initiator sends less than its CDB says writes the whole blocks that came, and the
 * transport reports the rest as residual.
 */

import {
  BlockFlag,
  blockRange,
  byteCheck,
  invalidCdbField,
  Operation,
  uint16,
} from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand } from "../scsi-target.ts";
import { type Answer, type CommandEntry, GOOD, goodAfter, usage } from "./command-entry.ts";
import { compareWithDevice } from "./compare-commands.ts";
import type { LogicalUnit } from "./logical-unit.ts";
import { lengthByte } from "./read-commands.ts";

const writing = {
  access: "change",
  changesMedium: true,
  dataOutBytes: transferBytes,
} as const;

export const WRITE_COMMANDS: readonly CommandEntry[] = [
  { ...writing, opcode: Operation.write6, usage: usage("0a 1f ff ff ff 00"), run: write },
  { ...writing, opcode: Operation.write10, usage: usage("2a 18 ff ff ff ff 1f ff ff 00"), run: write },
  { ...writing, opcode: Operation.write12, usage: usage("aa 18 ff ff ff ff ff ff ff ff 1f 00"), run: write },
  {
    ...writing,
    opcode: Operation.write16,
    usage: usage("8a 18 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00"),
    run: write,
  },
  {
    ...writing,
    opcode: Operation.writeAtomic16,
    usage: usage("9c 18 ff ff ff ff ff ff ff ff 00 00 ff ff 1f 00"),
    run: writeAtomic,
  },
  {
    ...writing,
    opcode: Operation.writeAndVerify10,
    usage: usage("2e 12 ff ff ff ff 1f ff ff 00"),
    run: writeAndVerify,
  },
  {
    ...writing,
    opcode: Operation.writeAndVerify12,
    usage: usage("ae 12 ff ff ff ff ff ff ff ff 1f 00"),
    run: writeAndVerify,
  },
  {
    ...writing,
    opcode: Operation.writeAndVerify16,
    usage: usage("8e 12 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00"),
    run: writeAndVerify,
  },
];

/** The data of a command that transfers its blocks; none for one that is refused anyway. */
export function transferBytes(cdb: Uint8Array, unit: LogicalUnit): number {
  const { blocks } = blockRange(cdb);
  return blocks > unit.limits.transferBlocksMax ? 0 : blocks * unit.blockBytes;
}

/** FUA, which the six byte form does not have. */
function isForced(cdb: Uint8Array): boolean {
  return cdb[0] !== Operation.write6 && (cdb[1]! & BlockFlag.fua) !== 0;
}

function write(unit: LogicalUnit, { cdb, dataOut }: ScsiCommand): Answer {
  const range = blockRange(cdb);
  unit.checkTransfer(range, lengthByte(cdb));
  return writeWhole(unit, range.lba, wholeBlocks(unit, dataOut, range.blocks), isForced(cdb));
}

function writeAtomic(unit: LogicalUnit, { cdb, dataOut }: ScsiCommand): Answer {
  const range = blockRange(cdb);
  unit.checkRange(range);
  if (range.blocks > unit.limits.atomicBlocksMax) throw invalidCdbField(12, 7);
  const data = wholeBlocks(unit, dataOut, range.blocks);
  // A part of it would be no atomic write of what was asked for.
  if (data.length < range.blocks * unit.blockBytes) throw invalidCdbField(12, 7);
  return writeWhole(unit, range.lba, data, isForced(cdb));
}

function writeAndVerify(unit: LogicalUnit, { cdb, dataOut }: ScsiCommand): Answer {
  const range = blockRange(cdb);
  if (byteCheck(cdb) > 1) throw invalidCdbField(1, 2);
  unit.checkTransfer(range, lengthByte(cdb));
  const data = wholeBlocks(unit, dataOut, range.blocks);
  const span = { offsetBytes: range.lba * unit.blockBytes, lengthBytes: data.length };
  if (data.length === 0) return GOOD;
  const work = async () => {
    await unit.access.write(span.offsetBytes, data, "durable");
    if (byteCheck(cdb) === 0) await unit.access.read(span);
    else await compareWithDevice(unit, span, (at, length) => data.subarray(at, at + length));
    return GOOD;
  };
  return unit.locks.run(span, "exclusive", work);
}

function writeWhole(unit: LogicalUnit, lba: number, data: Uint8Array, forced: boolean): Answer {
  if (data.length === 0) return GOOD;
  const offsetBytes = lba * unit.blockBytes;
  return unit.locks.run({ offsetBytes, lengthBytes: data.length }, "shared", () =>
    goodAfter(unit.access.write(offsetBytes, data, unit.durability(forced))),
  );
}

/** The blocks that came whole, and no more than were asked for. */
export function wholeBlocks(unit: LogicalUnit, dataOut: Uint8Array, blocks: number): Uint8Array {
  const lengthBytes = Math.min(dataOut.length - (dataOut.length % unit.blockBytes), blocks * unit.blockBytes);
  return dataOut.subarray(0, lengthBytes);
}

/** The parameter list's length of a command that has it at bytes 7 and 8. */
export function listBytesAt7(cdb: Uint8Array): number {
  return uint16(cdb, 7);
}
