/**
 * The names of the unit, its ports and its device in VPD page 83h (SPC-4, 7.8.6), and its serial number.
 *
 * Always holds: the unit's own designators follow from the volume's UUID alone, so they outlive renaming, and the
 * unit is the same over every port.
 */

import { createHash } from "node:crypto";
import {
  Association,
  asciiBytes,
  DesignatorType,
  designationDescriptor,
  scsiName,
  VENDOR,
} from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiNexus } from "../scsi-target.ts";
import type { UnitIdentity } from "./unit-options.ts";

/** Locally assigned names have type 3 in their first four bits (SPC-4, 7.8.6.6.4). */
const NAA_LOCAL = 0x30;

export function unitSerialNumber({ uuid }: UnitIdentity): Uint8Array {
  return asciiBytes(uuid.replaceAll("-", ""));
}

/** The designation descriptors of the logical unit: a name of 60 bits, and the vendor's with the serial number. */
export function unitDesignators(identity: UnitIdentity): readonly Uint8Array[] {
  const name = new Uint8Array(createHash("sha256").update(identity.uuid).digest().subarray(0, 8));
  name[0] = NAA_LOCAL | (name[0]! & 0x0f);
  const vendorName = new Uint8Array([...asciiBytes(VENDOR.padEnd(8)), ...unitSerialNumber(identity)]);
  return [
    designationDescriptor({ type: DesignatorType.naa, association: Association.logicalUnit, bytes: name }),
    designationDescriptor({
      type: DesignatorType.t10Vendor,
      association: Association.logicalUnit,
      bytes: vendorName,
    }),
  ];
}

/** Those of the port that the command came through, and of the target. */
export function portDesignators(nexus: ScsiNexus): readonly Uint8Array[] {
  const port = (type: number, value: number) =>
    designationDescriptor({
      type,
      association: Association.targetPort,
      bytes: Uint8Array.of(0, 0, value >> 8, value & 0xff),
    });
  const name = (association: number, text: string) =>
    designationDescriptor({ type: DesignatorType.scsiName, association, bytes: scsiName(text) });
  return [
    port(DesignatorType.relativePort, nexus.relativePort),
    port(DesignatorType.portGroup, nexus.portalGroupTag),
    name(Association.targetPort, nexus.targetPort),
    name(Association.targetDevice, nexus.targetPort.replace(/,t,0x[0-9a-f]+$/i, "")),
  ];
}
