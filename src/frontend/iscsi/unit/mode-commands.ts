/**
 * MODE SENSE and MODE SELECT (6) and (10) (SPC-4, 6.10 to 6.13).
 *
 * Always holds: a MODE SELECT is taken whole or not at all; the others are told of what it changed.
 */

import {
  blockDescriptor,
  encodeModeData,
  invalidCdbField,
  invalidParameter,
  type ModeForm,
  ModeParameter,
  Operation,
  parameterListLength,
  parseModeList,
  uint16,
} from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand } from "../scsi-target.ts";
import { Attention } from "./attentions.ts";
import { type Answer, type CommandEntry, dataReply, GOOD, usage } from "./command-entry.ts";
import type { LogicalUnit } from "./logical-unit.ts";
import { PAGE_CONTROLS } from "./mode-pages.ts";

const DBD = 0x08;
const LLBAA = 0x10;
const PF = 0x10;

export const MODE_COMMANDS: readonly CommandEntry[] = [
  {
    opcode: Operation.modeSense6,
    usage: usage("1a 08 ff ff ff 00"),
    access: "change",
    run: (unit, command) => modeSense(unit, command, 6),
  },
  {
    opcode: Operation.modeSense10,
    usage: usage("5a 18 ff ff 00 00 00 ff ff 00"),
    access: "change",
    run: (unit, command) => modeSense(unit, command, 10),
  },
  {
    opcode: Operation.modeSelect6,
    usage: usage("15 10 00 00 ff 00"),
    access: "change",
    dataOutBytes: (cdb) => cdb[4]!,
    run: (unit, command) => modeSelect(unit, command, 6),
  },
  {
    opcode: Operation.modeSelect10,
    usage: usage("55 10 00 00 00 00 00 ff ff 00"),
    access: "change",
    dataOutBytes: (cdb) => uint16(cdb, 7),
    run: (unit, command) => modeSelect(unit, command, 10),
  },
];

function modeSense(unit: LogicalUnit, { cdb }: ScsiCommand, form: ModeForm): Answer {
  const isLongDescriptor = form === 10 && (cdb[1]! & LLBAA) !== 0;
  const pages = unit.modes.select(cdb[2]! & 0x3f, cdb[3]!, PAGE_CONTROLS[cdb[2]! >> 6]!);
  const data = encodeModeData(form, {
    deviceParameter: ModeParameter.dpoFua | (unit.isWriteProtected ? ModeParameter.writeProtected : 0),
    blockDescriptor:
      (cdb[1]! & DBD) !== 0
        ? new Uint8Array(0)
        : blockDescriptor(unit.capacityBlocks, unit.blockBytes, isLongDescriptor ? "long" : "short"),
    isLongDescriptor,
    pages,
  });
  return dataReply(data, form === 6 ? cdb[4]! : uint16(cdb, 7));
}

function modeSelect(unit: LogicalUnit, { cdb, dataOut, nexus }: ScsiCommand, form: ModeForm): Answer {
  // Pages in a vendor's own format are not known.
  if ((cdb[1]! & PF) === 0) throw invalidCdbField(1, 4);
  const listBytes = form === 6 ? cdb[4]! : uint16(cdb, 7);
  if (listBytes === 0) return GOOD;
  if (dataOut.length < listBytes) throw parameterListLength();
  const { blockBytes, pages } = parseModeList(form, dataOut.subarray(0, listBytes));
  if (blockBytes !== undefined && blockBytes !== unit.blockBytes) throw invalidParameter(form === 6 ? 9 : 13);
  if (unit.modes.change(pages)) unit.attentions.raiseForAll(Attention.modesChanged, nexus.number);
  return GOOD;
}
