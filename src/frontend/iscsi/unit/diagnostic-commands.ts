/**
 * SEND DIAGNOSTIC, RECEIVE DIAGNOSTIC RESULTS, LOG SENSE and READ DEFECT DATA (SPC-4, 6.8, 6.30 and 6.42; SBC-3,
 * 5.17 and 5.18).
 *
 * Always holds: a self-test reads, and changes nothing; the lists of pages name just themselves; there are no
 * defects, since what is damaged is told where it is read.
 */

import { invalidCdbField, Operation, uint16, uint32 } from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand } from "../scsi-target.ts";
import { type Answer, type CommandEntry, dataReply, GOOD, usage } from "./command-entry.ts";
import type { LogicalUnit } from "./logical-unit.ts";

const SELF_TEST = 0x04;
const PCV = 0x01;

export const DIAGNOSTIC_COMMANDS: readonly CommandEntry[] = [
  {
    opcode: Operation.sendDiagnostic,
    usage: usage("1d f7 00 ff ff 00"),
    access: "change",
    dataOutBytes: (cdb) => uint16(cdb, 3),
    run: sendDiagnostic,
  },
  {
    opcode: Operation.receiveDiagnosticResults,
    usage: usage("1c 01 ff ff ff 00"),
    access: "change",
    run: receiveDiagnosticResults,
  },
  {
    opcode: Operation.logSense,
    usage: usage("4d 00 ff ff 00 ff ff ff ff 00"),
    access: "free",
    run: logSense,
  },
  {
    opcode: Operation.readDefectData10,
    usage: usage("37 00 1f 00 00 00 00 ff ff 00"),
    access: "read",
    run: (_unit, { cdb }) => dataReply(Uint8Array.of(0, cdb[2]!, 0, 0), uint16(cdb, 7)),
  },
  {
    opcode: Operation.readDefectData12,
    usage: usage("b7 1f ff ff ff ff ff ff ff ff 00 00"),
    access: "read",
    run: (_unit, { cdb }) => dataReply(Uint8Array.of(0, cdb[1]!, 0, 0, 0, 0, 0, 0), uint32(cdb, 6)),
  },
];

/** Self-test codes: 0 none, 1 and 2 in the background, 4 ends one, 5 and 6 in the foreground. */
function sendDiagnostic(unit: LogicalUnit, { cdb }: ScsiCommand): Answer {
  const code = cdb[1]! >> 5;
  const isDefaultTest = (cdb[1]! & SELF_TEST) !== 0;
  if (uint16(cdb, 3) !== 0) throw invalidCdbField(3, 7);
  if (code === 3 || code === 7 || (isDefaultTest && code !== 0)) throw invalidCdbField(1, 7);
  if (!isDefaultTest && (code === 0 || code === 4)) return GOOD;
  if (unit.capacityBlocks === 0) return GOOD;
  const data = unit.access.read(unit.span({ lba: 0, blocks: 1 }));
  return data instanceof Promise ? data.then(() => GOOD) : GOOD;
}

function receiveDiagnosticResults(_unit: LogicalUnit, { cdb }: ScsiCommand): Answer {
  if ((cdb[1]! & PCV) !== 0 && cdb[2] !== 0) throw invalidCdbField(2, 7);
  return dataReply(Uint8Array.of(0, 0, 0, 1, 0), uint16(cdb, 3));
}

function logSense(_unit: LogicalUnit, { cdb }: ScsiCommand): Answer {
  if ((cdb[2]! & 0x3f) !== 0) throw invalidCdbField(2, 5);
  if (cdb[3] !== 0) throw invalidCdbField(3, 7);
  if (uint16(cdb, 5) !== 0) throw invalidCdbField(5, 7);
  return dataReply(Uint8Array.of(0, 0, 0, 1, 0), uint16(cdb, 7));
}
