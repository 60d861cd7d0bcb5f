/**
 * The entries of a directory as the kernel tells them: its records of names, and a statx of each, in memory that the next
 * directory uses again. No string and no object is made of an entry before somebody asks: of most nobody does.
 *
 * Always holds: what is here is the directory's that was read last; the room for a very long one is given back. A name
 * that went before it was looked at is no entry.
 */
import { digest128, writeDigest128 } from "../../base/digest.ts";
import { ENOENT } from "./errno-names.ts";
import { addressOf, kernelMemory } from "./kernel-memory.ts";
import { FileStatus, lastStatus, STATUS_BYTES, STATUS_KNOWN_BYTES } from "./last-status.ts";
import { treeCalls } from "./tree-calls.ts";

const RECORDS_BYTES = 64 * 1024;
const STATUSES = 1024;
/** One call is offered at least so much: more than the longest record has. */
const CALL_BYTES_MIN = 4096;
/** linux_dirent64: inode u64, offset s64, length of the record u16, type u8, name with a NUL. */
const LENGTH_AT = 16;
const TYPE_AT = 18;
const NAME_AT = 19;
/** Types: DT_UNKNOWN, DT_DIR. */
const Type = { unknown: 0, directory: 4 } as const;
const DOT = 46;
/** Before the statuses: digests of the records, and of what else counts. */
const HEAD_BYTES = 32;
const DIGEST_BYTES = 16;

export interface PassingOver {
  readonly isPassedOver: (name: string) => boolean;
  /** Only names that begin with a dot may be passed over: the others need not become strings. */
  readonly isDottedOnly: boolean;
}

/** Records and statuses with their addresses, which are asked for once. */
class Room {
  readonly bytes: Buffer;
  readonly address: number;

  constructor(lengthBytes: number) {
    this.bytes = kernelMemory(lengthBytes);
    this.address = addressOf(this.bytes);
  }
}

/** statx writes beyond the part that counts, over which the next one goes. */
function statusBytes(statuses: number): number {
  return HEAD_BYTES + STATUS_KNOWN_BYTES * statuses + STATUS_BYTES;
}

export class DirectoryEntries {
  #records = new Room(RECORDS_BYTES);
  #recordBytes = 0;
  #room = new Room(statusBytes(STATUSES));
  #status = new FileStatus(this.#room.bytes.buffer);
  /** Where in the records the names of the entries are. */
  #names: number[] = [];
  /** Sizes of the files, added up. */
  fileBytes = 0;
  /** Names, sorted by bytes. */
  directories: string[] = [];
  /** The last change of any. */
  changedSeconds = Number.NEGATIVE_INFINITY;
  /** The file system of all; undefined where they are of several. */
  device: number | undefined;

  get count(): number {
    return this.#names.length;
  }

  /** Reads the names of a directory that was just opened. 0, or the negated errno. */
  readNames(fd: number): number {
    // The kernel leaves what was there between two names.
    if (this.#records.bytes.length > RECORDS_BYTES) this.#records = new Room(RECORDS_BYTES);
    else this.#records.bytes.fill(0, 0, this.#recordBytes);
    this.#recordBytes = 0;
    for (;;) {
      const { bytes, address } = this.#records;
      const count = treeCalls.readRecords(fd, address + this.#recordBytes, bytes.length - this.#recordBytes);
      if (count <= 0) return count;
      this.#recordBytes += count;
      if (bytes.length - this.#recordBytes < CALL_BYTES_MIN)
        this.#records = longer(this.#records, 2 * bytes.length);
    }
  }

  /**
   * Looks at each of the names that is not passed over, in the directory of which `device` is the file system. 0, or the
   * negated errno of one that is there and cannot be looked at.
   */
  look(fd: number, device: number, passing: PassingOver): number {
    this.#clear(device);
    const { isDottedOnly } = passing;
    const { bytes, address } = this.#records;
    for (let record = 0; record < this.#recordBytes; ) {
      const at = record + NAME_AT;
      record += bytes[record + LENGTH_AT]! + 256 * bytes[record + LENGTH_AT + 1]!;
      const isDotted = bytes[at] === DOT;
      if (isDotted && (bytes[at + 1] === 0 || (bytes[at + 1] === DOT && bytes[at + 2] === 0))) continue;
      if ((isDotted || !isDottedOnly) && passing.isPassedOver(this.#nameAt(at))) continue;
      const offset = this.#offset(this.count);
      if (this.#room.bytes.length < offset + STATUS_BYTES) this.#moreRoom();
      const result = treeCalls.statInto(fd, address + at, this.#room.address + offset);
      if (result === -ENOENT) continue;
      if (result < 0) return result;
      this.#take(at, offset);
    }
    this.directories.sort();
    return 0;
  }

  /**
   * Of the names that were read and are not passed over, those of directories, sorted by bytes; or the negated errno of one
   * that is there and cannot be looked at.
   */
  subdirectories(fd: number, passing: PassingOver): string[] | number {
    const { bytes } = this.#records;
    const found: string[] = [];
    for (let record = 0; record < this.#recordBytes; ) {
      const type = bytes[record + TYPE_AT];
      const at = record + NAME_AT;
      record += bytes[record + LENGTH_AT]! + 256 * bytes[record + LENGTH_AT + 1]!;
      if (type !== Type.directory && type !== Type.unknown) continue;
      const name = this.#nameAt(at);
      if (name === "." || name === ".." || passing.isPassedOver(name)) continue;
      const isDirectory = type === Type.directory || isDirectoryAt(fd, name);
      if (typeof isDirectory === "number") return isDirectory;
      if (isDirectory) found.push(name);
    }
    return found.sort();
  }

  name(entry: number): string {
    return this.#nameAt(this.#names[entry]!);
  }

  /** Good until the next one is asked for. */
  status(entry: number): FileStatus {
    this.#status.offset = this.#offset(entry);
    return this.#status;
  }

  /** Of all that is known of the entries, in the order of the file system, and of the 16 bytes given. */
  digest(of: Uint8Array): Uint8Array {
    const { bytes } = this.#room;
    const records = new Uint8Array(this.#records.bytes.buffer, 0, this.#recordBytes);
    writeDigest128(records, { into: bytes, at: 0, seed: 0 });
    bytes.set(of, DIGEST_BYTES);
    return digest128(new Uint8Array(bytes.buffer, 0, this.#offset(this.count)));
  }

  #clear(device: number): void {
    if (this.#room.bytes.length > statusBytes(STATUSES)) this.#resize(new Room(statusBytes(STATUSES)));
    this.#names = [];
    this.fileBytes = 0;
    this.directories = [];
    this.changedSeconds = Number.NEGATIVE_INFINITY;
    this.device = device;
  }

  #take(at: number, offset: number): void {
    const status = this.#status;
    status.offset = offset;
    status.forgetAccess();
    const { kind } = status;
    if (kind === "file") this.fileBytes += status.sizeBytes;
    else if (kind === "directory") this.directories.push(this.#nameAt(at));
    if (status.device !== this.device) this.device = undefined;
    this.changedSeconds = Math.max(this.changedSeconds, status.changedSeconds);
    this.#names.push(at);
  }

  #nameAt(at: number): string {
    const { bytes } = this.#records;
    return bytes.toString("latin1", at, bytes.indexOf(0, at));
  }

  #offset(entry: number): number {
    return HEAD_BYTES + STATUS_KNOWN_BYTES * entry;
  }

  #moreRoom(): void {
    this.#resize(longer(this.#room, 2 * this.#room.bytes.length));
  }

  #resize(room: Room): void {
    this.#room = room;
    this.#status = new FileStatus(room.bytes.buffer);
  }
}

/** Where the file system tells no kinds with the names. Negated errno. */
function isDirectoryAt(fd: number, name: string): boolean | number {
  const result = treeCalls.statat(fd, name);
  if (result === -ENOENT) return false;
  return result < 0 ? result : lastStatus.kind === "directory";
}

function longer(room: Room, lengthBytes: number): Room {
  const more = new Room(lengthBytes);
  more.bytes.set(room.bytes);
  return more;
}
