/**
 * The device of the layer `cache`: blocks in memory, changed there first, written below when room or a flush wants it.
 *
 * Always holds: a block is alone in the hands of whoever fills, changes or writes it out (the gate), and nobody waits
 * for room while holding any; a dirty block leaves memory only after it was written below, so a failure below loses
 * nothing that was acknowledged; a flush writes out what was acknowledged before it, then flushes below.
 * Errors: those of the device below; a write may fail because an older one could not be written out for it.
 */
import {
  type BlockDevice,
  type Capabilities,
  type Completion,
  type Extent,
  type Geometry,
  RequestFlag,
} from "../block-device.ts";
import type { ByteRange, DeviceOffload } from "../offload.ts";
import { type CachedBlock, CachedBlocks } from "./cached-blocks.ts";
import { RangeGate } from "./range-gate.ts";
import { together } from "./together.ts";

/** Neighbouring dirty blocks that are written out as one request, at most. */
const RUN_BYTES_MAX = 1024 * 1024;
/** Runs of a flush that are under way together. */
const RUNS_UNDER_WAY_MAX = 4;

export interface CacheOptions {
  /** Memory for blocks; at least a few. */
  readonly bytesMax: number;
  readonly blockBytes: number;
}

export class CacheDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #inner: BlockDevice;
  readonly #options: CacheOptions;
  readonly #blocks = new CachedBlocks();
  readonly #gate: RangeGate;
  /** Longest part of a request that is done at once, in whole blocks. */
  readonly #stepBytes: number;
  /** Room for blocks that requests under way are going to add. */
  #reservedBytes = 0;

  constructor(inner: BlockDevice, options: CacheOptions) {
    this.#inner = inner;
    this.#options = options;
    this.#gate = new RangeGate(options.blockBytes);
    const { blockBytes, bytesMax } = options;
    const quarter = Math.min(RUN_BYTES_MAX, bytesMax / 4);
    this.#stepBytes = Math.max(blockBytes, quarter - (quarter % blockBytes));
    this.geometry = inner.geometry;
    this.capabilities = inner.capabilities;
    this.offload = inner.offload && this.#cachedOffload(inner.offload);
  }

  get sizeBytes(): number {
    return this.#inner.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    const hold = this.#gate.enter([{ offsetBytes: offset, lengthBytes: target.length }], "shared");
    if (hold instanceof Promise) {
      return hold.then((held) => {
        this.#gate.leave(held);
        return this.#readSteps(offset, target);
      });
    }
    const isThere = this.#readPresent(offset, target);
    this.#gate.leave(hold);
    return isThere ? undefined : this.#readSteps(offset, target);
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    return this.#steps(offset, source.length, async (from, length) => {
      const filled = await this.#fill(from, length, "but-overwritten");
      for (const part of this.#parts(from, length)) {
        const block =
          this.#blocks.use(part.number) ?? this.#blocks.add(part.number, filled.get(part.number)!);
        const at = from - offset + part.done;
        block.bytes.set(source.subarray(at, at + part.length), part.within);
        this.#blocks.mark(block, "dirty");
      }
      if (flags & RequestFlag.fua)
        await this.#writeOutHeld({ offsetBytes: from, lengthBytes: length }, flags);
    });
  }

  zero(offset: number, length: number, flags: number): Completion {
    const range = { offsetBytes: offset, lengthBytes: length };
    return this.#gate.during([range], "exclusive", async () => {
      await this.#inner.zero(offset, length, flags);
      this.#forget(range);
    });
  }

  trim(offset: number, length: number, flags: number): Completion {
    const range = { offsetBytes: offset, lengthBytes: length };
    return this.#gate.during([range], "exclusive", async () => {
      await this.#inner.trim(offset, length, flags);
      this.#forget(range);
    });
  }

  async flush(): Promise<void> {
    await this.#writeOutAll();
    await this.#inner.flush();
  }

  extents(offset: number, length: number, extentsMax: number): Promise<Extent[]> {
    const range = { offsetBytes: offset, lengthBytes: length };
    return this.#gate.during([range], "exclusive", async () => {
      await this.#writeOutHeld(range, RequestFlag.none);
      const extents = await this.#inner.extents(offset, length, extentsMax);
      // Behind the range, blocks may be dirty that the device below knows nothing of.
      return extents.map((extent) => ({
        ...extent,
        lengthBytes: Math.min(extent.lengthBytes, offset + length - extent.offsetBytes),
      }));
    });
  }

  async close(): Promise<void> {
    try {
      await this.#writeOutAll();
    } finally {
      await this.#inner.close();
    }
  }

  #cachedOffload(inner: DeviceOffload): DeviceOffload {
    // The ranges are held while a token is made, so that nothing is written out to them in part meanwhile.
    const writtenOut = <Result>(ranges: readonly ByteRange[], work: () => Promise<Result>): Promise<Result> =>
      this.#gate.during(ranges, "exclusive", async () => {
        for (const range of ranges) await this.#writeOutHeld(range, RequestFlag.none);
        return await work();
      });
    return {
      providers: inner.providers,
      read: (request) => writtenOut(request.ranges, () => inner.read(request)),
      // Written out first too: whatever is dropped then is below, however much of the ranges the copy covers.
      write: (request) =>
        writtenOut(request.ranges, async () => {
          try {
            return await inner.write(request);
          } finally {
            for (const range of request.ranges) this.#drop(range);
          }
        }),
    };
  }

  #readSteps(offset: number, target: Uint8Array): Promise<void> {
    return this.#steps(offset, target.length, async (from, length) => {
      const filled = await this.#fill(from, length, "all");
      for (const part of this.#parts(from, length)) {
        const block =
          this.#blocks.use(part.number) ?? this.#blocks.add(part.number, filled.get(part.number)!);
        target.set(block.bytes.subarray(part.within, part.within + part.length), from - offset + part.done);
      }
    });
  }

  /** False when a block is missing. */
  #readPresent(offset: number, target: Uint8Array): boolean {
    for (const { number } of this.#parts(offset, target.length))
      if (this.#blocks.peek(number) === undefined) return false;
    for (const part of this.#parts(offset, target.length)) {
      const { bytes } = this.#blocks.use(part.number)!;
      target.set(bytes.subarray(part.within, part.within + part.length), part.done);
    }
    return true;
  }

  /** Does a long request step by step, each with room for its blocks and alone on them. */
  async #steps(
    offset: number,
    length: number,
    work: (offset: number, length: number) => Promise<void>,
  ): Promise<void> {
    const { blockBytes } = this.#options;
    for (let from = offset; from < offset + length; ) {
      const stepEnd = Math.min(offset + length, from - (from % blockBytes) + this.#stepBytes);
      const blocks = Math.ceil(stepEnd / blockBytes) - Math.floor(from / blockBytes);
      const reservedBytes = blocks * blockBytes;
      await this.#makeRoom(reservedBytes);
      this.#reservedBytes += reservedBytes;
      const range = { offsetBytes: from, lengthBytes: stepEnd - from };
      try {
        await this.#gate.during([range], "exclusive", () => work(range.offsetBytes, range.lengthBytes));
      } finally {
        this.#reservedBytes -= reservedBytes;
      }
      from = stepEnd;
    }
  }

  /**
   * Bytes for the blocks of the held range that are not there: read from below, or fresh where all is overwritten.
   * A block that was there may be dropped while others are read, so it is looked for again.
   */
  async #fill(
    offset: number,
    length: number,
    what: "all" | "but-overwritten",
  ): Promise<ReadonlyMap<number, Uint8Array>> {
    const filled = new Map<number, Uint8Array>();
    for (;;) {
      const missing: number[] = [];
      for (const part of this.#parts(offset, length)) {
        if (this.#blocks.peek(part.number) !== undefined || filled.has(part.number)) continue;
        const lengthBytes = this.#lengthOf(part.number);
        if (what === "but-overwritten" && part.length === lengthBytes)
          filled.set(part.number, new Uint8Array(lengthBytes));
        else missing.push(part.number);
      }
      if (missing.length === 0) return filled;
      const bytes = missing.map((number) => new Uint8Array(this.#lengthOf(number)));
      await together(missing.length, (index) =>
        this.#inner.read(missing[index]! * this.#options.blockBytes, bytes[index]!),
      );
      for (const [index, number] of missing.entries()) filled.set(number, bytes[index]!);
    }
  }

  /** Clean blocks go, the longest unused first; without any, dirty ones are written out. */
  async #makeRoom(bytes: number): Promise<void> {
    while (this.#blocks.usedBytes + this.#reservedBytes + bytes > this.#options.bytesMax) {
      const clean = this.#blocks.oldest("clean");
      if (clean !== undefined) {
        this.#blocks.drop(clean);
        continue;
      }
      const dirty = this.#blocks.oldest("dirty");
      // Nothing but what requests under way are about to add: they are few, and each is a step long.
      if (dirty === undefined) return;
      await this.#writeOutRun({ first: dirty.number, count: this.#dirtyFrom(dirty.number) });
    }
  }

  /** What is dirty at the call; neighbours together. */
  async #writeOutAll(): Promise<void> {
    const runs = this.#runsOf(this.#blocks.dirtyNumbers());
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < runs.length) await this.#writeOutRun(runs[next++]!);
    };
    const workers = Array.from({ length: RUNS_UNDER_WAY_MAX }, work);
    for (const outcome of await Promise.allSettled(workers))
      if (outcome.status === "rejected") throw outcome.reason;
  }

  #runsOf(numbers: readonly number[]): BlockRun[] {
    const runs: { first: number; count: number }[] = [];
    const countMax = Math.max(1, Math.floor(this.#runBytesMax() / this.#options.blockBytes));
    for (const number of numbers) {
      const run = runs.at(-1);
      if (run !== undefined && number === run.first + run.count && run.count < countMax) run.count++;
      else runs.push({ first: number, count: 1 });
    }
    return runs;
  }

  /** How many blocks from this one on are dirty, as far as one request goes. */
  #dirtyFrom(number: number): number {
    const countMax = Math.max(1, Math.floor(this.#runBytesMax() / this.#options.blockBytes));
    let count = 1;
    while (count < countMax && this.#blocks.peek(number + count)?.isDirty) count++;
    return count;
  }

  #runBytesMax(): number {
    return Math.min(RUN_BYTES_MAX, this.geometry.maximumRequestBytes);
  }

  #writeOutRun({ first, count }: BlockRun): Promise<void> {
    const { blockBytes } = this.#options;
    const offsetBytes = first * blockBytes;
    const range = { offsetBytes, lengthBytes: Math.min(count * blockBytes, this.sizeBytes - offsetBytes) };
    return this.#gate.during([range], "exclusive", () => this.#writeOutHeld(range, RequestFlag.none));
  }

  /** The dirty blocks that the held range has a byte in, neighbours as one request. */
  async #writeOutHeld({ offsetBytes, lengthBytes }: ByteRange, flags: number): Promise<void> {
    const { blockBytes } = this.#options;
    const dirty = this.#blocksIn({ offsetBytes, lengthBytes }).filter(({ isDirty }) => isDirty);
    for (const { first, count } of this.#runsOf(dirty.map(({ number }) => number))) {
      // Held, and dirty, so still there.
      const blocks = Array.from({ length: count }, (_, index) => this.#blocks.peek(first + index)!);
      const bytes = count === 1 ? blocks[0]!.bytes : Buffer.concat(blocks.map((block) => block.bytes));
      await this.#inner.write(first * blockBytes, bytes, flags);
      for (const block of blocks) this.#blocks.mark(block, "clean");
    }
  }

  /** The range is zeros below: whole blocks are dropped, and those that are there in part have zeros too. */
  #forget(range: ByteRange): void {
    const { blockBytes } = this.#options;
    for (const block of this.#blocksIn(range)) {
      const start = block.number * blockBytes;
      const from = Math.max(0, range.offsetBytes - start);
      const to = Math.min(block.bytes.length, range.offsetBytes + range.lengthBytes - start);
      if (block.isDirty && to - from < block.bytes.length) block.bytes.fill(0, from, to);
      else this.#blocks.drop(block);
    }
  }

  #drop(range: ByteRange): void {
    for (const block of this.#blocksIn(range)) this.#blocks.drop(block);
  }

  #blocksIn({ offsetBytes, lengthBytes }: ByteRange): CachedBlock[] {
    if (lengthBytes === 0) return [];
    const { blockBytes } = this.#options;
    return this.#blocks.between(
      Math.floor(offsetBytes / blockBytes),
      Math.floor((offsetBytes + lengthBytes - 1) / blockBytes),
    );
  }

  #lengthOf(number: number): number {
    const { blockBytes } = this.#options;
    return Math.min(blockBytes, this.sizeBytes - number * blockBytes);
  }

  /** The range, block by block. */
  *#parts(offset: number, length: number): Generator<BlockPart> {
    const { blockBytes } = this.#options;
    for (let done = 0; done < length; ) {
      const within = (offset + done) % blockBytes;
      const number = (offset + done - within) / blockBytes;
      const partLength = Math.min(blockBytes - within, length - done);
      yield { number, within, done, length: partLength };
      done += partLength;
    }
  }
}

interface BlockRun {
  readonly first: number;
  readonly count: number;
}

/** What a range has of one block. */
interface BlockPart {
  readonly number: number;
  /** Where in the block it begins, and where in the range. */
  readonly within: number;
  readonly done: number;
  readonly length: number;
}
