/**
 * INQUIRY, TEST UNIT READY and REQUEST SENSE (SPC-4, 6.6, 6.47 and 6.39).
 *
 * Always holds: the pages of VPD page 00h stand there in ascending order, and each of them is answered.
 */

import {
  blockCharacteristicsPage,
  blockLimitsPage,
  encodeSense,
  extendedInquiryPage,
  invalidCdbField,
  Operation,
  PERIPHERAL_DISK,
  provisioningPage,
  SenseKey,
  standardInquiry,
  uint16,
  VitalPage,
  vitalPage,
} from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand, ScsiReply } from "../scsi-target.ts";
import { type CommandEntry, dataReply, GOOD, usage } from "./command-entry.ts";
import type { LogicalUnit } from "./logical-unit.ts";
import { portDesignators, unitSerialNumber } from "./unit-designators.ts";

export const PRODUCT = "VOLUME";
export const PRODUCT_REVISION = "0001";

const EVPD = 0x01;
const DESCRIPTOR_FORMAT = 0x01;

export const INQUIRY_COMMANDS: readonly CommandEntry[] = [
  {
    opcode: Operation.inquiry,
    usage: usage("12 01 ff ff ff 00"),
    access: "free",
    ignoresAttentions: true,
    ignoresReadiness: true,
    run: inquiry,
  },
  {
    opcode: Operation.testUnitReady,
    usage: usage("00 00 00 00 00 00"),
    access: "status",
    run: () => GOOD,
  },
  {
    opcode: Operation.requestSense,
    usage: usage("03 01 00 00 ff 00"),
    access: "free",
    ignoresAttentions: true,
    ignoresReadiness: true,
    run: requestSense,
  },
];

function inquiry(unit: LogicalUnit, { cdb, nexus }: ScsiCommand): ScsiReply {
  const page = cdb[2]!;
  const allocationBytes = uint16(cdb, 3);
  if ((cdb[1]! & EVPD) === 0) {
    if (page !== 0) throw invalidCdbField(2, 7);
    const copiesForOthers = unit.thirdPartyCopy !== undefined;
    const data = {
      peripheral: PERIPHERAL_DISK,
      product: PRODUCT,
      revision: PRODUCT_REVISION,
      copiesForOthers,
    };
    return dataReply(standardInquiry(data), allocationBytes);
  }
  switch (page) {
    case VitalPage.supported:
      return dataReply(vitalPage(page, Uint8Array.from(supportedPages(unit))), allocationBytes);
    case VitalPage.serialNumber:
      return dataReply(vitalPage(page, unitSerialNumber(unit.identity)), allocationBytes);
    case VitalPage.identification: {
      const designators = [...unit.designators, ...portDesignators(nexus)];
      return dataReply(
        vitalPage(page, Uint8Array.from(designators.flatMap((each) => [...each]))),
        allocationBytes,
      );
    }
    case VitalPage.extendedInquiry:
      return dataReply(extendedInquiryPage(), allocationBytes);
    case VitalPage.thirdPartyCopy:
      if (unit.thirdPartyCopy === undefined) throw invalidCdbField(2, 7);
      return dataReply(unit.thirdPartyCopy.vpdPage8F(), allocationBytes);
    case VitalPage.blockLimits:
      return dataReply(blockLimitsPage(unit.limits), allocationBytes);
    case VitalPage.blockCharacteristics:
      return dataReply(
        blockCharacteristicsPage({ isRotational: unit.device.capabilities.rotational }),
        allocationBytes,
      );
    case VitalPage.provisioning:
      return dataReply(provisioningPage(unit.access.provisioning), allocationBytes);
    default:
      throw invalidCdbField(2, 7);
  }
}

function supportedPages(unit: LogicalUnit): number[] {
  const pages = Object.values(VitalPage).filter(
    (page) => page !== VitalPage.thirdPartyCopy || unit.thirdPartyCopy !== undefined,
  );
  return pages.sort((a, b) => a - b);
}

function requestSense(unit: LogicalUnit, { cdb, nexus }: ScsiCommand): ScsiReply {
  const format = (cdb[1]! & DESCRIPTOR_FORMAT) === 0 ? "fixed" : "descriptor";
  const { progress } = unit.sanitize;
  // LOGICAL UNIT NOT READY, SANITIZE IN PROGRESS goes before what can be told later.
  const data =
    progress !== undefined
      ? { key: SenseKey.notReady, asc: 0x04, ascq: 0x1b, progress }
      : (unit.attentions.take(nexus.number) ?? { key: SenseKey.noSense, asc: 0, ascq: 0 });
  return dataReply(encodeSense(data, format), cdb[4]!);
}
