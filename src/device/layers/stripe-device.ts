/**
 * Chunks of one device dealt out to several members in turn (RAID-0).
 *
 * Always holds: chunk `n` is chunk `n / members` of member `n % members`; every member gives as many whole chunks as
 * the smallest has; a range without gaps is one range without gaps on each member that has a part of it.
 */
import type { BlockDevice, Extent } from "../block-device.ts";
import type { ByteRange } from "../offload.ts";
import { ExtentList } from "./extent-list.ts";
import { SplitDevice } from "./split-device.ts";
import type { Piece } from "./split-offload.ts";

export class StripeDevice extends SplitDevice {
  readonly sizeBytes: number;
  readonly #chunkBytes: number;

  constructor(members: readonly BlockDevice[], { chunkBytes }: { chunkBytes: number }) {
    super(members);
    this.#chunkBytes = chunkBytes;
    const chunks = Math.floor(Math.min(...members.map(({ sizeBytes }) => sizeBytes)) / chunkBytes);
    this.sizeBytes = chunks * chunkBytes * members.length;
  }

  async extents(offset: number, length: number, extentsMax: number): Promise<Extent[]> {
    const ranges = this.memberRanges({ offsetBytes: offset, lengthBytes: length });
    const cursors: (ExtentCursor | undefined)[] = this.members.map(() => undefined);
    for (const { member, offsetBytes, lengthBytes } of ranges) {
      const extents = await this.members[member]!.extents(offsetBytes, lengthBytes, extentsMax);
      cursors[member] = new ExtentCursor(extents, offsetBytes + lengthBytes);
    }
    const list = new ExtentList(offset, extentsMax);
    const end = offset + length;
    while (list.endBytes < end) {
      const rowsBytes = this.#uniformRowsBytes(list.endBytes, end, cursors);
      const piece = this.#pieceAt(list.endBytes, end);
      const found = cursors[piece.member]!.at(piece.offsetBytes);
      if (found === undefined) break;
      const restBytes = found.offsetBytes + found.lengthBytes - piece.offsetBytes;
      if (!list.add(Math.max(rowsBytes, Math.min(piece.lengthBytes, restBytes)), found.kind)) break;
    }
    return list.extents;
  }

  protected *pieces({ offsetBytes, lengthBytes }: ByteRange): Generator<Piece> {
    const end = offsetBytes + lengthBytes;
    for (let at = offsetBytes; at < end; ) {
      const piece = this.#pieceAt(at, end);
      yield piece;
      at += piece.lengthBytes;
    }
  }

  protected memberRanges({ offsetBytes, lengthBytes }: ByteRange): Piece[] {
    const ranges: Piece[] = [];
    for (let member = 0; member < this.members.length; member++) {
      const start = this.#memberOffset(member, offsetBytes);
      const end = this.#memberOffset(member, offsetBytes + lengthBytes);
      if (end > start) ranges.push({ member, offsetBytes: start, lengthBytes: end - start });
    }
    return ranges;
  }

  #pieceAt(offset: number, end: number): Piece {
    const chunk = Math.floor(offset / this.#chunkBytes);
    const within = offset - chunk * this.#chunkBytes;
    return {
      member: chunk % this.members.length,
      offsetBytes: Math.floor(chunk / this.members.length) * this.#chunkBytes + within,
      lengthBytes: Math.min(this.#chunkBytes - within, end - offset),
    };
  }

  /** How many of the member's bytes lie before `offset`. */
  #memberOffset(member: number, offset: number): number {
    const rowBytes = this.#chunkBytes * this.members.length;
    const row = Math.floor(offset / rowBytes);
    const within = offset - row * rowBytes - member * this.#chunkBytes;
    return row * this.#chunkBytes + Math.max(0, Math.min(this.#chunkBytes, within));
  }

  /**
   * Bytes of the whole rows from `offset` on that are of one kind on all members, so that a wide hole is told
   * without a look at each of its chunks; 0 when `offset` is not where a row begins.
   */
  #uniformRowsBytes(offset: number, end: number, cursors: readonly (ExtentCursor | undefined)[]): number {
    const rowBytes = this.#chunkBytes * this.members.length;
    if (offset % rowBytes !== 0 || end - offset < rowBytes) return 0;
    const memberOffset = (offset / rowBytes) * this.#chunkBytes;
    let rows = Math.floor((end - offset) / rowBytes);
    let kind: string | undefined;
    for (const cursor of cursors) {
      const found = cursor!.at(memberOffset);
      if (found === undefined || (kind !== undefined && found.kind !== kind)) return 0;
      kind = found.kind;
      const restBytes = found.offsetBytes + found.lengthBytes - memberOffset;
      rows = Math.min(rows, Math.floor(restBytes / this.#chunkBytes));
    }
    return rows * rowBytes;
  }
}

/** A member's extents, looked at from front to back. */
class ExtentCursor {
  readonly #extents: readonly Extent[];
  readonly #endBytes: number;
  #index = 0;

  constructor(extents: readonly Extent[], endBytes: number) {
    this.#extents = extents;
    this.#endBytes = endBytes;
  }

  /** The extent that holds `offset`, cut at the end of what was asked for; undefined where it was not told. */
  at(offset: number): Extent | undefined {
    for (; this.#index < this.#extents.length; this.#index++) {
      const extent = this.#extents[this.#index]!;
      const end = Math.min(extent.offsetBytes + extent.lengthBytes, this.#endBytes);
      if (offset < end) return { ...extent, lengthBytes: end - extent.offsetBytes };
    }
    return undefined;
  }
}
