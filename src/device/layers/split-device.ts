/**
 * What span and stripe have in common: a device whose bytes lie on several members, piece by piece.
 *
 * Always holds: every byte lies on one member; a request that touches one member costs nothing besides it; a flush
 * reaches all. The sizes are those of the opening. Errors: none of its own; of several failures the first piece's.
 */
import type { BlockDevice, Capabilities, Completion, Extent, Geometry } from "../block-device.ts";
import type { ByteRange, DeviceOffload } from "../offload.ts";
import { combinedCapabilities, combinedGeometry, combinedOffloads } from "./combined.ts";
import { type Piece, SplitOffload } from "./split-offload.ts";
import { together } from "./together.ts";

export abstract class SplitDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  protected readonly members: readonly BlockDevice[];
  abstract readonly sizeBytes: number;

  constructor(members: readonly BlockDevice[]) {
    this.members = members;
    this.geometry = combinedGeometry(members);
    this.capabilities = combinedCapabilities(members);
    const offloads = combinedOffloads(members);
    this.offload = offloads && new SplitOffload(offloads, (range) => this.pieces(range));
  }

  /** The range's pieces, in the order of the range. */
  protected abstract pieces(range: ByteRange): Iterable<Piece>;

  /** The range as one range on each member that has a part of it, for requests without data. */
  protected abstract memberRanges(range: ByteRange): Piece[];

  abstract extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]>;

  read(offset: number, target: Uint8Array): Completion {
    return this.#moved(offset, target, (member, at, bytes) => member.read(at, bytes));
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    return this.#moved(offset, source, (member, at, bytes) => member.write(at, bytes, flags));
  }

  zero(offset: number, length: number, flags: number): Completion {
    return this.#ranged(offset, length, (member, at, bytes) => member.zero(at, bytes, flags));
  }

  trim(offset: number, length: number, flags: number): Completion {
    return this.#ranged(offset, length, (member, at, bytes) => member.trim(at, bytes, flags));
  }

  flush(): Completion {
    return together(this.members.length, (index) => this.members[index]!.flush());
  }

  async close(): Promise<void> {
    await together(this.members.length, (index) => this.members[index]!.close());
  }

  #moved(
    offset: number,
    bytes: Uint8Array,
    move: (member: BlockDevice, offset: number, bytes: Uint8Array) => Completion,
  ): Completion {
    const pieces = [...this.pieces({ offsetBytes: offset, lengthBytes: bytes.length })];
    if (pieces.length === 1) return move(this.members[pieces[0]!.member]!, pieces[0]!.offsetBytes, bytes);
    let done = 0;
    return together(pieces.length, (index) => {
      const { member, offsetBytes, lengthBytes } = pieces[index]!;
      const part = bytes.subarray(done, done + lengthBytes);
      done += lengthBytes;
      return move(this.members[member]!, offsetBytes, part);
    });
  }

  #ranged(
    offset: number,
    length: number,
    act: (member: BlockDevice, offset: number, length: number) => Completion,
  ): Completion {
    const ranges = this.memberRanges({ offsetBytes: offset, lengthBytes: length });
    return together(ranges.length, (index) => {
      const { member, offsetBytes, lengthBytes } = ranges[index]!;
      return act(this.members[member]!, offsetBytes, lengthBytes);
    });
  }
}
