/**
 * Attributes of files as bytes: the 40 that every operation and listing carries, the hashes and numbers beside them.
 *
 * | offset | size | field |
 * | ------ | ---- | ----- |
 * | 0      | 1    | kind: 1 file, 2 directory, 3 symlink, 4 fifo, 5 socket, 6 character device, 7 block device |
 * | 1      | 1    | zero |
 * | 2      | 2    | mode, the lower 12 bits |
 * | 4      | 4    | user id |
 * | 8      | 4    | group id |
 * | 12     | 4    | nanoseconds of the modification time |
 * | 16     | 8    | its seconds, signed |
 * | 24     | 8    | size |
 * | 32     | 8    | device node: major * 2^32 + minor, of devices; else 0 |
 */
import type { FileAttributes, FileKind } from "../../ports/mod.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";

/** What of the attributes goes over the wire with an operation. */
export type WireAttributes = Pick<
  FileAttributes,
  | "kind"
  | "mode"
  | "userId"
  | "groupId"
  | "sizeBytes"
  | "modifiedSeconds"
  | "modifiedNanoseconds"
  | "deviceNode"
>;

export const WIRE_ATTRIBUTES_BYTES = 40;
/** The part of a listing that is not compared: times of change, inode, device, links. */
export const OWN_ATTRIBUTES_BYTES = 32;

const SECOND = 1_000_000_000;
const NANOSECONDS_MAX = SECOND - 1;

const KIND_NUMBERS: Readonly<Record<FileKind, number>> = {
  file: 1,
  directory: 2,
  symlink: 3,
  fifo: 4,
  socket: 5,
  character: 6,
  block: 7,
};
const KINDS: readonly (FileKind | undefined)[] = [undefined, ...(Object.keys(KIND_NUMBERS) as FileKind[])];

export function writeWireAttributes(writer: ByteWriter, attributes: WireAttributes, sizeBytes: number): void {
  writer.u8(KIND_NUMBERS[attributes.kind]);
  writer.u8(0);
  writer.u16(attributes.mode & 0o7777);
  writer.u32(attributes.userId);
  writer.u32(attributes.groupId);
  writer.u32(Math.min(attributes.modifiedNanoseconds, NANOSECONDS_MAX));
  writer.u64(attributes.modifiedSeconds);
  writer.u64(sizeBytes);
  writer.u64(isDeviceNode(attributes.kind) ? attributes.deviceNode : 0);
}

export function readWireAttributes(reader: ByteReader): WireAttributes {
  const kindNumber = reader.u8();
  const kind = KINDS[kindNumber];
  if (kind === undefined) throw reader.wrong(`there is no kind of file ${kindNumber}`);
  reader.zero(1);
  const mode = reader.u16();
  if (mode > 0o7777) throw reader.wrong(`a mode is 0${mode.toString(8)}, more than 07777`);
  const userId = reader.u32();
  const groupId = reader.u32();
  const modifiedNanoseconds = readNanoseconds(reader);
  const modifiedSeconds = reader.i64();
  const sizeBytes = reader.u64();
  const deviceNode = reader.u64();
  if (deviceNode !== 0 && !isDeviceNode(kind)) throw reader.wrong(`a ${kind} has a device's number`);
  return { kind, mode, userId, groupId, sizeBytes, modifiedSeconds, modifiedNanoseconds, deviceNode };
}

export function writeOwnAttributes(writer: ByteWriter, attributes: FileAttributes): void {
  writer.u64(attributes.changedSeconds);
  writer.u32(Math.min(attributes.changedNanoseconds, NANOSECONDS_MAX));
  writer.u32(attributes.links);
  writer.word64(attributes.inode);
  writer.word64(attributes.device);
}

/** Puts what `readWireAttributes` read, the hash, and the own part, which is read now, together. */
export function readOwnAttributes(
  reader: ByteReader,
  attributes: WireAttributes,
  extendedHash: number,
): FileAttributes {
  const changedSeconds = reader.i64();
  const changedNanoseconds = readNanoseconds(reader);
  const links = reader.u32();
  const inode = reader.word64();
  const device = reader.word64();
  // Field by field: a spread costs several times as much, and a listing has hundreds of thousands of these.
  return {
    kind: attributes.kind,
    mode: attributes.mode,
    userId: attributes.userId,
    groupId: attributes.groupId,
    sizeBytes: attributes.sizeBytes,
    modifiedSeconds: attributes.modifiedSeconds,
    modifiedNanoseconds: attributes.modifiedNanoseconds,
    changedSeconds,
    changedNanoseconds,
    links,
    inode,
    device,
    deviceNode: attributes.deviceNode,
    extendedHash,
  };
}

/** All attributes, one part behind the other. */
export function writeFileAttributes(writer: ByteWriter, attributes: FileAttributes): void {
  writeWireAttributes(writer, attributes, comparedSize(attributes));
  writer.u32(attributes.extendedHash);
  writeOwnAttributes(writer, attributes);
}

export function readFileAttributes(reader: ByteReader): FileAttributes {
  const attributes = readWireAttributes(reader);
  return readOwnAttributes(reader, attributes, reader.u32());
}

/** The size where it says something; of a directory it says how the file system keeps it. */
export function comparedSize(attributes: WireAttributes): number {
  return attributes.kind === "file" || attributes.kind === "symlink" ? attributes.sizeBytes : 0;
}

function isDeviceNode(kind: FileKind): boolean {
  return kind === "character" || kind === "block";
}

function readNanoseconds(reader: ByteReader): number {
  const nanoseconds = reader.u32();
  if (nanoseconds > NANOSECONDS_MAX) throw reader.wrong(`${nanoseconds} nanoseconds are a second or more`);
  return nanoseconds;
}

type ModifiedTime = Pick<WireAttributes, "modifiedSeconds" | "modifiedNanoseconds">;

/** Whether a target that keeps times in such steps (`TIME_STEPS`) has the same for both. */
export function isSameTime(one: ModifiedTime, other: ModifiedTime, stepNanoseconds: number): boolean {
  if (stepNanoseconds > SECOND) {
    const seconds = stepNanoseconds / SECOND;
    return Math.floor(one.modifiedSeconds / seconds) === Math.floor(other.modifiedSeconds / seconds);
  }
  if (one.modifiedSeconds !== other.modifiedSeconds) return false;
  if (one.modifiedNanoseconds === other.modifiedNanoseconds) return true;
  const steps = (nanoseconds: number) => Math.floor(nanoseconds / stepNanoseconds);
  return steps(one.modifiedNanoseconds) === steps(other.modifiedNanoseconds);
}

/**
 * As far as attributes tell: a file of this size that was last written then (F9). `stepNanoseconds`: in which the one of
 * them that keeps less keeps times.
 */
export function isSameContent(one: WireAttributes, other: WireAttributes, stepNanoseconds = 1): boolean {
  return (
    one.kind === other.kind && one.sizeBytes === other.sizeBytes && isSameTime(one, other, stepNanoseconds)
  );
}
