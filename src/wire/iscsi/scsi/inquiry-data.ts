/**
 * INQUIRY data (SPC-4, 6.6) and the vital product data pages (SPC-4, 7.8; SBC-3, 6.6).
 *
 * Always holds: every function gives the whole answer; the allocation length is cut where it is sent. Text is ASCII,
 * filled up with spaces to its field.
 */

export const VENDOR = "ROPEWALK";
/** A disk that is connected, and what answers for LUNs that are not there (SPC-4, 6.6.2). */
export const PERIPHERAL_DISK = 0x00;
export const PERIPHERAL_NONE = 0x7f;

export interface StandardInquiry {
  readonly peripheral: number;
  readonly product: string;
  readonly revision: string;
  /** Knows third-party copy commands (3PC). */
  readonly copiesForOthers: boolean;
}

/** SPC-4, SBC-3, SAM-5, iSCSI (SPC-4, 6.6.2, table of version descriptors: without a version claimed). */
const VERSION_DESCRIPTORS = [0x00a0, 0x0960, 0x0460, 0x04c0];

export function standardInquiry(inquiry: StandardInquiry): Uint8Array {
  const bytes = new Uint8Array(96);
  const view = new DataView(bytes.buffer);
  bytes[0] = inquiry.peripheral;
  bytes[2] = 0x06; // SPC-4.
  bytes[3] = 0x12; // HISUP, and data of this format.
  bytes[4] = bytes.length - 5;
  bytes[5] = 0x10 | (inquiry.copiesForOthers ? 0x08 : 0); // TPGS: implicit.
  bytes[7] = 0x02; // CMDQUE.
  writeText(bytes, 8, 8, VENDOR);
  writeText(bytes, 16, 16, inquiry.product);
  writeText(bytes, 32, 4, inquiry.revision);
  VERSION_DESCRIPTORS.forEach((descriptor, index) => {
    view.setUint16(58 + 2 * index, descriptor);
  });
  return bytes;
}

export const VitalPage = {
  supported: 0x00,
  serialNumber: 0x80,
  identification: 0x83,
  extendedInquiry: 0x86,
  thirdPartyCopy: 0x8f,
  blockLimits: 0xb0,
  blockCharacteristics: 0xb1,
  provisioning: 0xb2,
} as const;

/** A vital product data page of a disk: its header of four bytes and its body. */
export function vitalPage(page: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + body.length);
  bytes.set([PERIPHERAL_DISK, page, body.length >> 8, body.length & 0xff]);
  bytes.set(body, 4);
  return bytes;
}

/** 86h (SPC-4, 7.8.7): what tasks may ask for. */
export function extendedInquiryPage(): Uint8Array {
  const body = new Uint8Array(60);
  body[1] = 0x01; // SIMPSUP.
  body[2] = 0x01; // V_SUP: there is a volatile cache.
  body[3] = 0x01; // LUICLR: the end of a nexus clears its unit attentions.
  return vitalPage(VitalPage.extendedInquiry, body);
}

/** Lengths in blocks; 0 where nothing is said. */
export interface BlockLimits {
  readonly compareBlocksMax: number;
  readonly granularityBlocks: number;
  readonly transferBlocksMax: number;
  readonly transferBlocksBest: number;
  readonly unmapBlocksMax: number;
  readonly unmapDescriptorsMax: number;
  readonly writeSameBlocksMax: number;
  readonly atomicBlocksMax: number;
}

/** B0h (SBC-3, 6.6.4), 60 bytes behind the header. */
export function blockLimitsPage(limits: BlockLimits): Uint8Array {
  const page = vitalPage(VitalPage.blockLimits, new Uint8Array(60));
  const view = new DataView(page.buffer);
  page[4] = 0x01; // WSNZ: WRITE SAME of no blocks does not mean all of them.
  page[5] = limits.compareBlocksMax;
  view.setUint16(6, limits.granularityBlocks);
  view.setUint32(8, limits.transferBlocksMax);
  view.setUint32(12, limits.transferBlocksBest);
  view.setUint32(20, limits.unmapBlocksMax);
  view.setUint32(24, limits.unmapDescriptorsMax);
  if (limits.unmapBlocksMax > 0) {
    view.setUint32(28, limits.granularityBlocks);
    view.setUint32(32, 0x8000_0000); // UGAVALID: aligned to block 0.
  }
  view.setBigUint64(36, BigInt(limits.writeSameBlocksMax));
  view.setUint32(44, limits.atomicBlocksMax);
  return page;
}

/** B1h (SBC-3, 6.6.3): how it turns, and that reads after a sanitize operation give data. */
export function blockCharacteristicsPage(medium: { readonly isRotational: boolean }): Uint8Array {
  const page = vitalPage(VitalPage.blockCharacteristics, new Uint8Array(60));
  page[5] = medium.isRotational ? 0 : 1;
  page[7] = 0x50; // WABEREQ and WACEREQ: reads after an erase succeed.
  return page;
}

export interface Provisioning {
  readonly isThin: boolean;
  /** Unmapped blocks read as zeros. */
  readonly readsZeros: boolean;
}

/** B2h (SBC-3, 6.6.6). */
export function provisioningPage({ isThin, readsZeros }: Provisioning): Uint8Array {
  const page = vitalPage(VitalPage.provisioning, new Uint8Array(4));
  if (isThin) {
    page[5] = 0xe0 | (readsZeros ? 0x04 : 0); // LBPU, LBPWS, LBPWS10, LBPRZ.
    page[6] = 0x02;
  }
  return page;
}

export const DesignatorType = { t10Vendor: 1, naa: 3, relativePort: 4, portGroup: 5, scsiName: 8 } as const;
export const Association = { logicalUnit: 0, targetPort: 1, targetDevice: 2 } as const;

export interface Designator {
  readonly type: number;
  readonly association: number;
  readonly bytes: Uint8Array;
}

/** A designation descriptor (SPC-4, 7.8.6.1). */
export function designationDescriptor({ type, association, bytes }: Designator): Uint8Array {
  const isText = type === DesignatorType.t10Vendor || type === DesignatorType.scsiName;
  const codeSet = isText ? (type === DesignatorType.scsiName ? 3 : 2) : 1;
  const isPort = association !== Association.logicalUnit;
  const descriptor = new Uint8Array(4 + bytes.length);
  // Protocol identifier 5 (iSCSI) with PIV, where the association is not the logical unit.
  descriptor.set([
    (isPort ? 0x50 : 0) | codeSet,
    (isPort ? 0x80 : 0) | (association << 4) | type,
    0,
    bytes.length,
  ]);
  descriptor.set(bytes, 4);
  return descriptor;
}

/** A SCSI name string: UTF-8, ended by zeros and filled up to four bytes. */
export function scsiName(name: string): Uint8Array {
  const text = new TextEncoder().encode(name).subarray(0, 251);
  const bytes = new Uint8Array((text.length + 4) & ~3);
  bytes.set(text);
  return bytes;
}

export function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0) & 0x7f);
}

function writeText(bytes: Uint8Array, at: number, lengthBytes: number, text: string): void {
  bytes.set(asciiBytes(text.padEnd(lengthBytes).slice(0, lengthBytes)), at);
}
