/**
 * Reads answered in several chunks: the holes and known zeros of the range are named, not sent.
 *
 * Always holds: the ranges cover the read exactly, in order, without overlap; nothing is sent before all data
 * is there, so that no chunk can fail once another is on its way.
 */
import type { BlockDevice, Extent } from "../../device/mod.ts";
import { CHUNK_DONE } from "../../wire/nbd/mod.ts";
import type { ReplyQueue, ReplyRegion } from "../stream/mod.ts";
import type { PendingRequest } from "./pending-request.ts";
import type { ReplyWriter } from "./reply-writer.ts";

export interface ReadRange {
  readonly offset: number;
  readonly length: number;
  readonly kind: "data" | "hole";
}

/** Shorter reads are sent as they are: looking for holes costs more than a page of zeros does. */
export const SPARSE_READ_BYTES_MIN = 8 * 1024;
/** Ranges of one read; what is behind is sent as data. */
const RANGES_MAX = 64;

/** The ranges of a read, or undefined when all of it is data. */
export function sparseRanges(
  device: BlockDevice,
  offset: number,
  length: number,
): readonly ReadRange[] | undefined | Promise<readonly ReadRange[] | undefined> {
  const extents = device.extents(offset, length, RANGES_MAX);
  if (extents instanceof Promise) return extents.then((known) => rangesOf(known, offset, length));
  return rangesOf(extents, offset, length);
}

function rangesOf(
  extents: readonly Extent[],
  offset: number,
  length: number,
): readonly ReadRange[] | undefined {
  const end = offset + length;
  const ranges: { offset: number; length: number; kind: "data" | "hole" }[] = [];
  let position = offset;
  const add = (kind: "data" | "hole", until: number) => {
    const last = ranges.at(-1);
    if (last?.kind === kind) last.length = until - last.offset;
    else ranges.push({ offset: position, length: until - position, kind });
    position = until;
  };
  for (const extent of extents) {
    const until = Math.min(extent.offsetBytes + extent.lengthBytes, end);
    if (until > position) add(extent.kind === "data" ? "data" : "hole", until);
  }
  if (position < end) add("data", end);
  return ranges.length === 1 && ranges[0]!.kind === "data" ? undefined : ranges;
}

/** One read in several ranges: `begin` reads the data into the queue's memory, `answer` or `drop` ends it. */
export class SparseRead {
  readonly #ranges: readonly ReadRange[];
  readonly #regions: (ReplyRegion | undefined)[];
  readonly #queue: ReplyQueue;
  readonly #writer: ReplyWriter;

  constructor(ranges: readonly ReadRange[], queue: ReplyQueue, writer: ReplyWriter) {
    this.#ranges = ranges;
    this.#queue = queue;
    this.#writer = writer;
    this.#regions = ranges.map((range) => {
      if (range.kind === "hole") return undefined;
      const bytes = writer.readHeadBytes + range.length;
      queue.reserve(bytes);
      return queue.detach(bytes);
    });
  }

  /** Undefined: all data is there. Rejects or throws only when the device uses none of the memory any more. */
  begin(device: BlockDevice): Promise<void> | undefined {
    const waiting: Promise<void>[] = [];
    try {
      this.#ranges.forEach((range, index) => {
        const region = this.#regions[index];
        if (region === undefined) return;
        const start = region.start + this.#writer.readHeadBytes;
        const target = region.chunk.bytes.subarray(start, start + range.length);
        const completion = device.read(range.offset, target);
        if (completion !== undefined) waiting.push(completion);
      });
    } catch (error) {
      if (waiting.length === 0) throw error;
      waiting.push(Promise.reject(error));
    }
    return waiting.length === 0 ? undefined : allEnded(waiting);
  }

  answer(request: PendingRequest): void {
    const last = this.#ranges.length - 1;
    this.#ranges.forEach((range, index) => {
      const flags = index === last ? CHUNK_DONE : 0;
      const charge = index === last ? request.charge : 0;
      const region = this.#regions[index];
      if (region === undefined) {
        this.#writer.readHole(request, range, flags, charge);
      } else {
        this.#writer.readHead(region.chunk.view, region.start, request, range, flags);
        this.#queue.attach(region, charge);
      }
    });
  }

  drop(): void {
    for (const region of this.#regions) if (region !== undefined) this.#queue.drop(region);
  }
}

async function allEnded(promises: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises))
    if (result.status === "rejected") throw result.reason;
}
