/**
 * REPORT LUNS, REPORT SUPPORTED OPERATION CODES and REPORT TARGET PORT GROUPS (SPC-4, 6.33, 6.35 and 6.37).
 *
 * Always holds: all port groups are active and optimized; they lead to the same daemon.
 */

import {
  allCommandsReport,
  invalidCdbField,
  MaintenanceIn,
  Operation,
  oneCommandReport,
  portGroupsReport,
  uint16,
  uint32,
} from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand, ScsiReply } from "../scsi-target.ts";
import { type Answer, type CommandEntry, dataReply, usage } from "./command-entry.ts";
import type { LogicalUnit } from "./logical-unit.ts";

const RCTD = 0x80;
const LUN_LIST_BYTES_MIN = 16;
const WELL_KNOWN_ONLY = 0x01;
const SELECT_REPORT_MAX = 0x02;

export const REPORT_COMMANDS: readonly CommandEntry[] = [
  {
    opcode: Operation.reportLuns,
    usage: usage("a0 00 ff 00 00 00 ff ff ff ff 00 00"),
    access: "free",
    ignoresAttentions: true,
    ignoresReadiness: true,
    run: (_unit, { cdb }) => reportLuns(cdb),
  },
  {
    opcode: Operation.maintenanceIn,
    serviceAction: MaintenanceIn.reportSupportedOperationCodes,
    usage: usage("a3 0c 87 ff ff ff ff ff ff ff 00 00"),
    access: "status",
    ignoresReadiness: true,
    run: reportSupportedOperationCodes,
  },
  {
    opcode: Operation.maintenanceIn,
    serviceAction: MaintenanceIn.reportTargetPortGroups,
    usage: usage("a3 ea 00 00 00 00 ff ff ff ff 00 00"),
    access: "free",
    run: reportTargetPortGroups,
  },
];

/** LUN 0 is there and no other; also what LUNs without a unit answer. */
export function reportLuns(cdb: Uint8Array): ScsiReply {
  const allocationBytes = uint32(cdb, 6);
  if (cdb[2]! > SELECT_REPORT_MAX) throw invalidCdbField(2, 7);
  if (allocationBytes < LUN_LIST_BYTES_MIN) throw invalidCdbField(6, 7);
  const luns = cdb[2] === WELL_KNOWN_ONLY ? 0 : 1;
  const data = new Uint8Array(8 + 8 * luns);
  data[3] = 8 * luns;
  return dataReply(data, allocationBytes);
}

function reportSupportedOperationCodes(unit: LogicalUnit, { cdb }: ScsiCommand): Answer {
  const timeouts = (cdb[2]! & RCTD) !== 0 ? "with timeouts" : "without timeouts";
  const opcode = cdb[3]!;
  const serviceAction = uint16(cdb, 4);
  const allocationBytes = uint32(cdb, 6);
  const hasActions = unit.commands.hasServiceActions(opcode);
  const found = unit.commands.all.find(
    (entry) => entry.opcode === opcode && (!hasActions || entry.serviceAction === serviceAction),
  );
  switch (cdb[2]! & 0x07) {
    case 0:
      return dataReply(allCommandsReport(unit.commands.all, timeouts), allocationBytes);
    case 1:
      if (hasActions) throw invalidCdbField(2, 2);
      return dataReply(oneCommandReport(found, timeouts), allocationBytes);
    case 2:
      if (found !== undefined && !hasActions) throw invalidCdbField(2, 2);
      return dataReply(oneCommandReport(found, timeouts), allocationBytes);
    case 3: {
      const isAnswer = hasActions || serviceAction === 0;
      return dataReply(oneCommandReport(isAnswer ? found : undefined, timeouts), allocationBytes);
    }
    default:
      throw invalidCdbField(2, 2);
  }
}

function reportTargetPortGroups(unit: LogicalUnit, { cdb }: ScsiCommand): Answer {
  const format = cdb[1]! >> 5;
  if (format > 1) throw invalidCdbField(1, 7);
  const tags = [...new Set(unit.ports.map((port) => port.portalGroupTag))].sort((a, b) => a - b);
  const groups = tags.map((tag) => ({
    tag,
    relativePorts: unit.ports.filter((port) => port.portalGroupTag === tag).map((port) => port.relativePort),
  }));
  return dataReply(portGroupsReport(groups, format === 0 ? "short" : "extended"), uint32(cdb, 6));
}
