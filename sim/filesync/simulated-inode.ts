/**
 * A file of a simulated tree: what an inode is on Linux, as far as replication sees it.
 * Always holds: `content` is never changed in place, so that whoever keeps it keeps one moment of the file.
 */
import type { FileAttributes, FileKind } from "../../src/ports/mod.ts";
import { type ExtendedAttribute, extendedHash, packExtended } from "../../src/wire/filesync/mod.ts";

export interface FileTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

const none = new Uint8Array(0);

export class SimulatedInode {
  readonly number: number;
  readonly kind: FileKind;
  mode: number;
  userId = 0;
  groupId = 0;
  content: Uint8Array = none;
  /** Of a symbolic link. */
  target = "";
  deviceNode = 0;
  extended: readonly ExtendedAttribute[] = [];
  modified: FileTime;
  changed: FileTime;
  /** Names; 1 of a directory that has a name. */
  links = 0;
  /** Of a directory. */
  readonly entries = new Map<string, SimulatedInode>();
  /** Of a directory: the one that it stands in. */
  parent: SimulatedInode | undefined;
  /** Names (number of the directory, name) through which it was changed while it had others. */
  readonly changedThrough = new Set<string>();
  /**
   * It was changed through a name that is gone, before anybody may have looked: the kernel tells of names only, so that
   * nothing was told of those that are left.
   */
  isUnheard = false;
  /** Changes of the content, and of the entries. */
  version = 0;

  constructor(number: number, kind: FileKind, mode: number, now: FileTime) {
    this.number = number;
    this.kind = kind;
    this.mode = mode;
    this.modified = now;
    this.changed = now;
  }

  get isDirectory(): boolean {
    return this.kind === "directory";
  }

  get sizeBytes(): number {
    if (this.kind === "file") return this.content.length;
    if (this.kind === "symlink") return this.target.length;
    // As a file system has it: it says nothing, and must not be compared.
    return this.isDirectory ? 4096 + 32 * (this.number % 7) : 0;
  }

  get packedExtended(): Uint8Array {
    return packExtended(this.extended);
  }

  attributes(device: number): FileAttributes {
    return {
      kind: this.kind,
      mode: this.mode,
      userId: this.userId,
      groupId: this.groupId,
      sizeBytes: this.sizeBytes,
      modifiedSeconds: this.modified.seconds,
      modifiedNanoseconds: this.modified.nanoseconds,
      changedSeconds: this.changed.seconds,
      changedNanoseconds: this.changed.nanoseconds,
      links: this.isDirectory ? 1 : this.links,
      inode: this.number,
      device,
      deviceNode: this.deviceNode,
      extendedHash: extendedHash(this.packedExtended),
    };
  }

  /** Without names and entries. */
  copy(): SimulatedInode {
    const copy = new SimulatedInode(this.number, this.kind, this.mode, this.modified);
    copy.userId = this.userId;
    copy.groupId = this.groupId;
    copy.content = this.content;
    copy.target = this.target;
    copy.deviceNode = this.deviceNode;
    copy.extended = this.extended;
    copy.changed = this.changed;
    copy.links = this.links;
    copy.version = this.version;
    return copy;
  }
}
