// Third-party copy as an initiator sends it: CDBs and parameter lists, and answers read back. Written from the
// standard's tables, so that it shares no reading of them with the target.

export interface Blocks {
  readonly lba: number | bigint;
  readonly blocks: number;
}

export interface PopulateTokenList {
  readonly ranges: readonly Blocks[];
  readonly immediate?: boolean;
  readonly inactivitySeconds?: number;
  readonly rodType?: number;
}

export interface WriteUsingTokenList {
  readonly token: Uint8Array;
  readonly ranges: readonly Blocks[];
  readonly offsetBlocks?: number | bigint;
  readonly immediate?: boolean;
  readonly deleteToken?: boolean;
}

/** A CDB of opcode 83h; `listId` stands at 6–9. */
export function tokenCdb(serviceAction: 0x10 | 0x11, listId: number, listBytes: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = 0x83;
  cdb[1] = serviceAction;
  cdb.writeUInt32BE(listId, 6);
  cdb.writeUInt32BE(listBytes, 10);
  return cdb;
}

export function extendedCopyCdb(serviceAction: 0x00 | 0x01, listBytes: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = 0x83;
  cdb[1] = serviceAction;
  cdb.writeUInt32BE(listBytes, 10);
  return cdb;
}

export function abortCdb(listId: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = 0x83;
  cdb[1] = 0x1c;
  cdb.writeUInt32BE(listId, 2);
  return cdb;
}

/** A CDB of opcode 84h: the list identifier is one byte for LID1, four for LID4. */
export function receiveCdb(serviceAction: number, listId: number, allocationBytes: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = 0x84;
  cdb[1] = serviceAction;
  if (serviceAction === 0x05 || serviceAction === 0x07) cdb.writeUInt32BE(listId, 2);
  else cdb[2] = listId;
  cdb.writeUInt32BE(allocationBytes, 10);
  return cdb;
}

function rangeList(ranges: readonly Blocks[]): Buffer {
  const list = Buffer.alloc(ranges.length * 16);
  ranges.forEach(({ lba, blocks }, index) => {
    list.writeBigUInt64BE(BigInt(lba), index * 16);
    list.writeUInt32BE(blocks, index * 16 + 8);
  });
  return list;
}

export function populateTokenList(fields: PopulateTokenList): Buffer {
  const ranges = rangeList(fields.ranges);
  const list = Buffer.concat([Buffer.alloc(16), ranges]);
  list.writeUInt16BE(list.length - 2, 0);
  list[2] = (fields.rodType === undefined ? 0 : 2) | (fields.immediate === true ? 1 : 0);
  list.writeUInt32BE(fields.inactivitySeconds ?? 0, 4);
  list.writeUInt32BE(fields.rodType ?? 0, 8);
  list.writeUInt16BE(ranges.length, 14);
  return list;
}

export function writeUsingTokenList(fields: WriteUsingTokenList): Buffer {
  const ranges = rangeList(fields.ranges);
  const list = Buffer.concat([Buffer.alloc(536), ranges]);
  list.writeUInt16BE(list.length - 2, 0);
  list[2] = (fields.deleteToken === true ? 2 : 0) | (fields.immediate === true ? 1 : 0);
  list.writeBigUInt64BE(BigInt(fields.offsetBlocks ?? 0), 8);
  list.set(fields.token, 16);
  list.writeUInt16BE(ranges.length, 534);
  return list;
}

export interface TokenInformation {
  readonly availableBytes: number;
  readonly serviceAction: number;
  readonly status: number;
  readonly counter: number;
  readonly delayMs: number;
  readonly completionStatus: number;
  readonly sense: Buffer;
  readonly units: number;
  readonly blocks: number;
  readonly segments: number;
  readonly descriptorBytes: number;
  readonly token: Buffer | undefined;
}

/** The answer of RECEIVE ROD TOKEN INFORMATION, taken apart as an initiator does it. */
export function readTokenInformation(data: Uint8Array): TokenInformation {
  const bytes = Buffer.from(data);
  const senseFieldBytes = bytes[13]!;
  const at = 32 + senseFieldBytes;
  const descriptorBytes = bytes.readUInt32BE(at);
  return {
    availableBytes: bytes.readUInt32BE(0),
    serviceAction: bytes[4]!,
    status: bytes[5]! & 0x7f,
    counter: bytes.readUInt16BE(6),
    delayMs: bytes.readUInt32BE(8),
    completionStatus: bytes[12]!,
    sense: bytes.subarray(32, 32 + bytes[14]!),
    units: bytes[15]!,
    blocks: Number(bytes.readBigUInt64BE(16)),
    segments: bytes.readUInt16BE(24),
    descriptorBytes,
    token: descriptorBytes === 0 ? undefined : bytes.subarray(at + 6, at + 6 + 512),
  };
}

export interface ExtendedCopyList {
  readonly listId?: number;
  /** Priority 1 and a list identifier that results can be asked for with. */
  readonly flags?: number;
  readonly cscds: readonly Uint8Array[];
  readonly segments: readonly Uint8Array[];
  readonly immediate?: boolean;
}

export function extendedCopyLid1List(fields: ExtendedCopyList): Buffer {
  const header = Buffer.alloc(16);
  header[0] = fields.listId ?? 0;
  header[1] = fields.flags ?? 1;
  header.writeUInt16BE(fields.cscds.length * 32, 2);
  header.writeUInt32BE(Buffer.concat(fields.segments).length, 8);
  return Buffer.concat([header, ...fields.cscds, ...fields.segments]);
}

export function extendedCopyLid4List(fields: ExtendedCopyList): Buffer {
  const header = Buffer.alloc(48);
  header[0] = 1;
  header[1] = fields.flags ?? 1;
  header.writeUInt16BE(0x20, 2);
  header[15] = fields.immediate === true ? 1 : 0;
  header[16] = 0xff;
  header.writeUInt32BE(fields.listId ?? 0, 20);
  header.writeUInt16BE(fields.cscds.length * 32, 42);
  header.writeUInt16BE(Buffer.concat(fields.segments).length, 44);
  return Buffer.concat([header, ...fields.cscds, ...fields.segments]);
}

/** `designator`: a designation descriptor of VPD page 83h. */
export function identificationCscd(designator: Uint8Array, blockBytes = 0): Buffer {
  const cscd = Buffer.alloc(32);
  cscd[0] = 0xe4;
  cscd.set(designator, 4);
  cscd.writeUIntBE(blockBytes, 29, 3);
  return cscd;
}

export interface BlockSegment {
  readonly source: number;
  readonly destination: number;
  readonly blocks: number;
  readonly sourceLba: number;
  readonly destinationLba: number;
  readonly countDestination?: boolean;
}

export function blockSegment(fields: BlockSegment): Buffer {
  const segment = Buffer.alloc(28);
  segment[0] = 0x02;
  segment[1] = fields.countDestination === true ? 2 : 0;
  segment.writeUInt16BE(24, 2);
  segment.writeUInt16BE(fields.source, 4);
  segment.writeUInt16BE(fields.destination, 6);
  segment.writeUInt16BE(fields.blocks, 10);
  segment.writeBigUInt64BE(BigInt(fields.sourceLba), 12);
  segment.writeBigUInt64BE(BigInt(fields.destinationLba), 20);
  return segment;
}

export interface OffsetSegment extends Omit<BlockSegment, "blocks" | "countDestination"> {
  readonly bytes: number;
  readonly sourceOffset: number;
  readonly destinationOffset: number;
}

export function offsetSegment(fields: OffsetSegment): Buffer {
  const segment = Buffer.alloc(32);
  segment[0] = 0x0a;
  segment.writeUInt16BE(28, 2);
  segment.writeUInt16BE(fields.source, 4);
  segment.writeUInt16BE(fields.destination, 6);
  segment.writeUInt32BE(fields.bytes, 8);
  segment.writeBigUInt64BE(BigInt(fields.sourceLba), 12);
  segment.writeBigUInt64BE(BigInt(fields.destinationLba), 20);
  segment.writeUInt16BE(fields.sourceOffset, 28);
  segment.writeUInt16BE(fields.destinationOffset, 30);
  return segment;
}

/** Key, code and qualifier of sense in either format, as `5/26/00`. */
export function senseText(sense: Uint8Array): string {
  const isFixed = (sense[0]! & 0x7f) < 0x72;
  const [key, asc, ascq] = isFixed ? [sense[2], sense[12], sense[13]] : [sense[1], sense[2], sense[3]];
  const digits = (value: number | undefined) => (value ?? 0).toString(16).padStart(2, "0");
  return `${((key ?? 0) & 0xf).toString(16)}/${digits(asc)}/${digits(ascq)}`;
}
