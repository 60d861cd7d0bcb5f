/**
 * Sense data (SPC-4, 4.5): why a command ended with a check condition, as a value and in both formats.
 *
 * Always holds: what `encodeSense` makes, `parseSense` reads back; the fixed format leaves out an information
 * field that does not fit into its 32 bits. `sense` is the short way to the fixed format, which every initiator
 * takes; the unit turns it into the descriptor format for those that asked for it (D_SENSE).
 */

export const SenseKey = {
  noSense: 0x0,
  recoveredError: 0x1,
  notReady: 0x2,
  mediumError: 0x3,
  hardwareError: 0x4,
  illegalRequest: 0x5,
  unitAttention: 0x6,
  dataProtect: 0x7,
  blankCheck: 0x8,
  copyAborted: 0xa,
  abortedCommand: 0xb,
  miscompare: 0xe,
  completed: 0xf,
} as const;

/** Where the wrong field is (SPC-4, 4.5.2.4.2): a byte of the CDB, or of the parameter list, and the field's highest bit. */
export interface FieldPointer {
  readonly byte: number;
  readonly bit?: number;
  readonly isInParameterList?: boolean;
}

export interface SenseDetails {
  /** Mostly a logical block address, or how far a comparison got. */
  readonly information?: number;
  readonly commandInformation?: number;
  readonly fieldPointer?: FieldPointer;
  /** How far a long operation is, from 0 to 1. */
  readonly progress?: number;
}

export interface SenseData extends SenseDetails {
  readonly key: number;
  readonly asc: number;
  readonly ascq: number;
}

export type SenseFormat = "fixed" | "descriptor";

/** Sense in the fixed format. */
export function sense(key: number, asc: number, ascq: number, details?: SenseDetails): Uint8Array {
  return encodeSense({ ...details, key, asc, ascq }, "fixed");
}

export function encodeSense(data: SenseData, format: SenseFormat): Uint8Array {
  return format === "fixed" ? encodeFixed(data) : encodeDescriptors(data);
}

/** Sense as a value; undefined when the bytes are of no format that is known here. */
export function parseSense(bytes: Uint8Array): SenseData | undefined {
  const responseCode = (bytes[0] ?? 0) & 0x7f;
  if ((responseCode === 0x70 || responseCode === 0x71) && bytes.length >= 14) return parseFixed(bytes);
  if ((responseCode === 0x72 || responseCode === 0x73) && bytes.length >= 8) return parseDescriptors(bytes);
  return undefined;
}

const FIXED_BYTES = 18;
const INFORMATION_MAX = 0xffffffff;
const PROGRESS_UNITS = 0x10000;

function encodeFixed(data: SenseData): Uint8Array {
  const bytes = new Uint8Array(FIXED_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x70;
  bytes[2] = data.key;
  bytes[7] = FIXED_BYTES - 8;
  bytes[12] = data.asc;
  bytes[13] = data.ascq;
  if (data.information !== undefined && data.information <= INFORMATION_MAX) {
    bytes[0] |= 0x80;
    view.setUint32(3, data.information);
  }
  if (data.commandInformation !== undefined && data.commandInformation <= INFORMATION_MAX) {
    view.setUint32(8, data.commandInformation);
  }
  writeKeySpecific(bytes, 15, data);
  return bytes;
}

function parseFixed(bytes: Uint8Array): SenseData {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const commandInformation = view.getUint32(8);
  const key = byteAt(bytes, 2) & 0xf;
  return {
    key,
    asc: byteAt(bytes, 12),
    ascq: byteAt(bytes, 13),
    ...((byteAt(bytes, 0) & 0x80) !== 0 ? { information: view.getUint32(3) } : {}),
    ...(commandInformation !== 0 ? { commandInformation } : {}),
    ...(bytes.length >= FIXED_BYTES ? parseKeySpecific(bytes, 15, key) : {}),
  };
}

const DescriptorType = { information: 0x00, commandInformation: 0x01, keySpecific: 0x02 } as const;

function encodeDescriptors(data: SenseData): Uint8Array {
  const descriptors: Uint8Array[] = [];
  if (data.information !== undefined) {
    const descriptor = new Uint8Array(12);
    descriptor.set([DescriptorType.information, 10, 0x80]);
    new DataView(descriptor.buffer).setBigUint64(4, BigInt(data.information));
    descriptors.push(descriptor);
  }
  if (data.commandInformation !== undefined) {
    const descriptor = new Uint8Array(12);
    descriptor.set([DescriptorType.commandInformation, 10]);
    new DataView(descriptor.buffer).setBigUint64(4, BigInt(data.commandInformation));
    descriptors.push(descriptor);
  }
  if (data.fieldPointer !== undefined || data.progress !== undefined) {
    const descriptor = new Uint8Array(8);
    descriptor.set([DescriptorType.keySpecific, 6]);
    writeKeySpecific(descriptor, 4, data);
    descriptors.push(descriptor);
  }
  const lengthBytes = descriptors.reduce((sum, descriptor) => sum + descriptor.length, 0);
  const bytes = new Uint8Array(8 + lengthBytes);
  bytes.set([0x72, data.key, data.asc, data.ascq, 0, 0, 0, lengthBytes]);
  let at = 8;
  for (const descriptor of descriptors) {
    bytes.set(descriptor, at);
    at += descriptor.length;
  }
  return bytes;
}

function parseDescriptors(bytes: Uint8Array): SenseData {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const key = byteAt(bytes, 1) & 0xf;
  let details: SenseDetails = {};
  const end = Math.min(bytes.length, 8 + byteAt(bytes, 7));
  for (let at = 8; at + 2 <= end; ) {
    const lengthBytes = 2 + byteAt(bytes, at + 1);
    if (at + lengthBytes > end) break;
    const type = byteAt(bytes, at);
    if (type === DescriptorType.information && lengthBytes === 12) {
      details = { ...details, information: Number(view.getBigUint64(at + 4)) };
    } else if (type === DescriptorType.commandInformation && lengthBytes === 12) {
      details = { ...details, commandInformation: Number(view.getBigUint64(at + 4)) };
    } else if (type === DescriptorType.keySpecific && lengthBytes === 8) {
      details = { ...details, ...parseKeySpecific(bytes, at + 4, key) };
    }
    at += lengthBytes;
  }
  return { ...details, key, asc: byteAt(bytes, 2), ascq: byteAt(bytes, 3) };
}

/** The three bytes of SKSV and what is sense key specific (SPC-4, 4.5.2.4). */
function writeKeySpecific(bytes: Uint8Array, at: number, details: SenseDetails): void {
  const pointer = details.fieldPointer;
  if (pointer !== undefined) {
    const inCommand = pointer.isInParameterList === true ? 0 : 0x40;
    const bit = pointer.bit === undefined ? 0 : 0x08 | (pointer.bit & 7);
    bytes.set([0x80 | inCommand | bit, (pointer.byte >> 8) & 0xff, pointer.byte & 0xff], at);
  } else if (details.progress !== undefined) {
    const progress = Math.min(PROGRESS_UNITS - 1, Math.max(0, Math.floor(details.progress * PROGRESS_UNITS)));
    bytes.set([0x80, progress >> 8, progress & 0xff], at);
  }
}

function parseKeySpecific(bytes: Uint8Array, at: number, key: number): SenseDetails {
  const flags = byteAt(bytes, at);
  if ((flags & 0x80) === 0) return {};
  const value = byteAt(bytes, at + 1) * 0x100 + byteAt(bytes, at + 2);
  if (key === SenseKey.noSense || key === SenseKey.notReady) return { progress: value / PROGRESS_UNITS };
  if (key !== SenseKey.illegalRequest) return {};
  return {
    fieldPointer: {
      byte: value,
      ...((flags & 0x08) !== 0 ? { bit: flags & 7 } : {}),
      ...((flags & 0x40) === 0 ? { isInParameterList: true } : {}),
    },
  };
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}
