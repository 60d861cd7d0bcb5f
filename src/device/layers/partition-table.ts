/**
 * Partition tables, from a device's bytes to a list of partitions: MBR with logical partitions, and GPT (UEFI 2.10, 5).
 *
 * Always holds: of a GPT only a header and entries with right checksums are believed, the backup's where the
 * primary's are wrong; every partition lies inside the device; lengths and counts are limited, and a chain of logical
 * partitions that runs in a circle ends. Errors: a TableProblem says why there is no table to believe.
 */
import type { BlockDevice } from "../block-device.ts";
import type { ByteRange } from "../offload.ts";
import { crc32 } from "./crc32.ts";

/** Numbered as Linux does: 1 to 4 are an MBR's own, its logical ones begin at 5; a GPT's are its entries. */
export interface Partition extends ByteRange {
  readonly number: number;
}

export class TableProblem extends Error {}

const MBR_BYTES = 512;
const MBR_ENTRIES_AT = 446;
const MBR_ENTRY_BYTES = 16;
const MBR_SIGNATURE = 0xaa55;
const TYPE_PROTECTIVE = 0xee;
const TYPES_EXTENDED = [0x05, 0x0f, 0x85];
const LOGICAL_PARTITIONS_MAX = 128;

const GPT_SIGNATURE = 0x5452_4150_2049_4645n; // "EFI PART", little-endian
const GPT_REVISION = 0x0001_0000;
const GPT_HEADER_BYTES_MIN = 92;
const GPT_ENTRY_BYTES_MIN = 128;
const GPT_ENTRY_BYTES_MAX = 4096;
const GPT_ENTRIES_MAX = 4096;
const GPT_TABLE_BYTES_MAX = 1024 * 1024;
/** Disks with sectors of 4096 bytes have their header at another place. */
const SECTOR_BYTES = [512, 4096];

/** The partitions on `device`, by their numbers. Throws a TableProblem. */
export async function readPartitionTable(device: BlockDevice): Promise<Partition[]> {
  const mbr = await readRange(device, 0, MBR_BYTES);
  if (mbr === undefined || mbr.getUint16(510, true) !== MBR_SIGNATURE)
    throw new TableProblem("the device has no partition table");
  const entries = mbrEntries(mbr);
  if (entries.some(({ type }) => type === TYPE_PROTECTIVE)) return await readGpt(device);
  return await readMbr(device, entries);
}

interface MbrEntry {
  readonly type: number;
  readonly firstSector: number;
  readonly sectors: number;
}

function mbrEntries(sector: DataView): MbrEntry[] {
  return [0, 1, 2, 3].map((index) => {
    const at = MBR_ENTRIES_AT + index * MBR_ENTRY_BYTES;
    return {
      type: sector.getUint8(at + 4),
      firstSector: sector.getUint32(at + 8, true),
      sectors: sector.getUint32(at + 12, true),
    };
  });
}

async function readMbr(device: BlockDevice, entries: readonly MbrEntry[]): Promise<Partition[]> {
  const sectorBytes = Math.max(MBR_BYTES, device.geometry.minimumBlockBytes);
  const partitions: Partition[] = [];
  for (const [index, { type, firstSector, sectors }] of entries.entries()) {
    if (type === 0 || sectors === 0) continue;
    if (TYPES_EXTENDED.includes(type)) {
      partitions.push(...(await readLogical(device, firstSector, sectorBytes)));
      continue;
    }
    partitions.push(partitionOf(device, index + 1, { first: firstSector, sectors, sectorBytes }));
  }
  return partitions.sort((one, other) => one.number - other.number);
}

/** The chain of logical partitions: each record has one, and where the next record is, counted from the first. */
async function readLogical(
  device: BlockDevice,
  extendedSector: number,
  sectorBytes: number,
): Promise<Partition[]> {
  const partitions: Partition[] = [];
  let recordSector = extendedSector;
  for (let number = 5; ; number++) {
    if (number - 5 >= LOGICAL_PARTITIONS_MAX)
      throw new TableProblem(`there are more than ${LOGICAL_PARTITIONS_MAX} logical partitions`);
    const record = await readRange(device, recordSector * sectorBytes, MBR_BYTES);
    if (record === undefined || record.getUint16(510, true) !== MBR_SIGNATURE)
      throw new TableProblem("the chain of logical partitions is damaged");
    const [own, next] = mbrEntries(record) as [MbrEntry, MbrEntry];
    if (own.type !== 0 && own.sectors !== 0) {
      const first = recordSector + own.firstSector;
      partitions.push(partitionOf(device, number, { first, sectors: own.sectors, sectorBytes }));
    }
    if (!TYPES_EXTENDED.includes(next.type) || next.sectors === 0) return partitions;
    recordSector = extendedSector + next.firstSector;
  }
}

async function readGpt(device: BlockDevice): Promise<Partition[]> {
  let problem = "the MBR announces a GPT, but there is none";
  for (const sectorBytes of SECTOR_BYTES) {
    if (sectorBytes < device.geometry.minimumBlockBytes) continue;
    const lastSector = Math.floor(device.sizeBytes / sectorBytes) - 1;
    for (const headerSector of [1, lastSector]) {
      try {
        return await readGptAt(device, headerSector, sectorBytes);
      } catch (error) {
        if (!(error instanceof TableProblem)) throw error;
        // What is said of a header that is there says more than that at another place there is none.
        if (!(error instanceof NoHeader)) problem = error.message;
      }
    }
  }
  throw new TableProblem(problem);
}

class NoHeader extends TableProblem {}

/**
 * | at | bytes | field |
 * | -- | ----- | ----- |
 * | 0  | 8 | signature |
 * | 8  | 4 | revision |
 * | 12 | 4 | header size |
 * | 16 | 4 | CRC-32 of the header, this field as zeros |
 * | 24 | 8 | sector of this header |
 * | 40 | 8 | first usable sector |
 * | 48 | 8 | last usable sector |
 * | 72 | 8 | sector of the entries |
 * | 80 | 4 | number of entries |
 * | 84 | 4 | size of an entry |
 * | 88 | 4 | CRC-32 of the entries |
 */
async function readGptAt(
  device: BlockDevice,
  headerSector: number,
  sectorBytes: number,
): Promise<Partition[]> {
  const header = await readRange(device, headerSector * sectorBytes, sectorBytes);
  if (header === undefined || header.getBigUint64(0, true) !== GPT_SIGNATURE)
    throw new NoHeader("there is no GPT header");
  const headerBytes = header.getUint32(12, true);
  if (header.getUint32(8, true) !== GPT_REVISION) throw new TableProblem("the GPT is of an unknown revision");
  if (headerBytes < GPT_HEADER_BYTES_MIN || headerBytes > sectorBytes)
    throw new TableProblem(`a GPT header of ${headerBytes} bytes cannot be`);
  const given = header.getUint32(16, true);
  header.setUint32(16, 0, true);
  if (crc32(new Uint8Array(header.buffer, header.byteOffset, headerBytes)) !== given)
    throw new TableProblem("the checksum of the GPT header is wrong");
  if (sectorAt(header, 24) !== headerSector) throw new TableProblem("the GPT header is not at its place");
  const entries = header.getUint32(80, true);
  const entryBytes = header.getUint32(84, true);
  const isEntrySize = Number.isInteger(Math.log2(entryBytes)) && entryBytes >= GPT_ENTRY_BYTES_MIN;
  if (!isEntrySize || entryBytes > GPT_ENTRY_BYTES_MAX || entries > GPT_ENTRIES_MAX)
    throw new TableProblem(`a GPT of ${entries} entries of ${entryBytes} bytes is not taken`);
  const tableBytes = entries * entryBytes;
  if (tableBytes > GPT_TABLE_BYTES_MAX)
    throw new TableProblem(`a GPT of ${tableBytes} bytes is larger than the limit of ${GPT_TABLE_BYTES_MAX}`);
  const table = await readRange(device, sectorAt(header, 72) * sectorBytes, tableBytes);
  if (table === undefined) throw new TableProblem("the GPT's entries lie outside the device");
  if (crc32(new Uint8Array(table.buffer, table.byteOffset, tableBytes)) !== header.getUint32(88, true))
    throw new TableProblem("the checksum of the GPT's entries is wrong");
  const usable = { first: sectorAt(header, 40), last: sectorAt(header, 48) };
  const partitions: Partition[] = [];
  for (let index = 0; index < entries; index++) {
    const at = index * entryBytes;
    if (table.getBigUint64(at, true) === 0n && table.getBigUint64(at + 8, true) === 0n) continue;
    const [first, last] = [sectorAt(table, at + 32), sectorAt(table, at + 40)];
    if (first < usable.first || last > usable.last || last < first)
      throw new TableProblem(`partition ${index + 1} lies outside what the GPT says is usable`);
    partitions.push(partitionOf(device, index + 1, { first, sectors: last - first + 1, sectorBytes }));
  }
  return partitions;
}

function partitionOf(
  device: BlockDevice,
  number: number,
  { first, sectors, sectorBytes }: { first: number; sectors: number; sectorBytes: number },
): Partition {
  const offsetBytes = first * sectorBytes;
  const lengthBytes = sectors * sectorBytes;
  if (offsetBytes + lengthBytes > device.sizeBytes)
    throw new TableProblem(`partition ${number} ends past the device's end`);
  return { number, offsetBytes, lengthBytes };
}

/** A 64-bit sector number; what a number cannot carry exactly is beyond every device anyway. */
function sectorAt(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

/** The device's bytes, read in its blocks; undefined when they are not inside the device. */
async function readRange(device: BlockDevice, offset: number, length: number): Promise<DataView | undefined> {
  const { minimumBlockBytes, maximumRequestBytes } = device.geometry;
  const start = offset - (offset % minimumBlockBytes);
  const end = Math.ceil((offset + length) / minimumBlockBytes) * minimumBlockBytes;
  if (!Number.isSafeInteger(end) || offset < 0 || end > device.sizeBytes) return undefined;
  const bytes = new Uint8Array(end - start);
  for (let done = 0; done < bytes.length; done += maximumRequestBytes)
    await device.read(start + done, bytes.subarray(done, done + maximumRequestBytes));
  return new DataView(bytes.buffer, offset - start, length);
}
