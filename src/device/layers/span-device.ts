/**
 * Several members one behind the other as one device.
 * Always holds: a member's bytes are those from its start to its last whole block (the largest smallest block of
 * all members); a request is cut where one member ends and the next begins.
 */
import type { BlockDevice, Extent } from "../block-device.ts";
import type { ByteRange } from "../offload.ts";
import { ExtentList } from "./extent-list.ts";
import { SplitDevice } from "./split-device.ts";
import type { Piece } from "./split-offload.ts";

export class SpanDevice extends SplitDevice {
  readonly sizeBytes: number;
  /** Where each member begins, and behind them where the last one ends. */
  readonly #starts: readonly number[];

  constructor(members: readonly BlockDevice[]) {
    super(members);
    const starts = [0];
    for (const { sizeBytes } of members)
      starts.push(starts.at(-1)! + sizeBytes - (sizeBytes % this.geometry.minimumBlockBytes));
    this.#starts = starts;
    this.sizeBytes = starts.at(-1)!;
  }

  async extents(offset: number, length: number, extentsMax: number): Promise<Extent[]> {
    const list = new ExtentList(offset, extentsMax);
    for (const { member, offsetBytes, lengthBytes } of this.pieces({
      offsetBytes: offset,
      lengthBytes: length,
    })) {
      const pieceEnd = list.endBytes + lengthBytes;
      const memberEnd = this.#starts[member + 1]!;
      for (const extent of await this.members[member]!.extents(offsetBytes, lengthBytes, extentsMax))
        if (!list.add(Math.min(extent.lengthBytes, memberEnd - list.endBytes), extent.kind))
          return list.extents;
      // Less: the member had more to tell than fits. More: it was the last piece.
      if (list.endBytes !== pieceEnd) break;
    }
    return list.extents;
  }

  protected *pieces({ offsetBytes, lengthBytes }: ByteRange): Generator<Piece> {
    const end = offsetBytes + lengthBytes;
    let at = offsetBytes;
    for (let member = this.#memberAt(offsetBytes); at < end; member++) {
      const start = this.#starts[member]!;
      const next = Math.min(end, this.#starts[member + 1]!);
      if (next > at) yield { member, offsetBytes: at - start, lengthBytes: next - at };
      at = next;
    }
  }

  protected memberRanges(range: ByteRange): Piece[] {
    return [...this.pieces(range)];
  }

  #memberAt(offset: number): number {
    let member = 0;
    while (offset >= this.#starts[member + 1]! && member < this.members.length - 1) member++;
    return member;
  }
}
