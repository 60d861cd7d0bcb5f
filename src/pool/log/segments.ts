/**
 * All segments of the pool: their files, the table row of each, and the reads.
 *
 * Always holds: files exist with all blocks allocated before anything is appended, so ENOSPC strikes only in
 * `take`; numbers are never reused; at most `sizeBytes` of files exist. Clients may take a segment only while the
 * reserve is whole; the log's small records, checkpoints and the collector may use the reserve.
 */
import { assert } from "../../base/assert.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { Disk, DiskFile, Random } from "../../ports/mod.ts";
import { SEGMENT_HEADER_BYTES, SEGMENT_NUMBER_MAX } from "../format/layout.ts";
import { encodeSegmentHeader, type SegmentHeader, SegmentKind, segmentName } from "../format/segment.ts";
import type { Place } from "../format/superblock.ts";
import { PagedTable } from "../map/paged-table.ts";
import type { PoolSettings } from "../pool-api.ts";
import type { PoolWorld } from "../world.ts";
import { Segment } from "./segment.ts";
import { Spares } from "./spares.ts";

/**
 * Words of a segment table row.
 *
 * | word | is |
 * | --- | --- |
 * | 0 | number, 0 for a free row |
 * | 1 | kind, bit 8 sealed, bit 9 without a footer |
 * | 2 | end of what was appended, in bytes |
 * | 3 | live blocks |
 * | 4 | blocks that were ever appended |
 * | 5-8 | owner page: segment, offset, length, checksum |
 * | 9 | checkpoint in which the segment was sealed: its age |
 */
const ROW_WORDS = 16;
const SEALED = 0x100;
const FOOTERLESS = 0x200;
const HANDLES_MAX = 4096;
const SCARCE_SEGMENTS = 3;

export class Segments {
  readonly table = new PagedTable(ROW_WORDS);
  readonly all = new Map<number, Segment>();
  readonly #disk: Disk;
  readonly #random: Random;
  readonly #settings: PoolSettings;
  readonly #handlesMax: number;
  readonly spares: Spares;
  readonly #freeRows: number[] = [];
  nextNumber = 1;
  /** Whether the collector has a segment to fill. */
  collectorOpen = false;
  incarnation = 0;
  poolLow = 0;
  poolHigh = 0;
  /** Live blocks of all segments. */
  liveBlocks = 0;
  /** Number of the checkpoint that will be made next, for ages. */
  age = 0;
  #handles = 0;
  /** Takings happen one behind the other, so that the reserve's count stays true over their waits. */
  #taking: Promise<unknown> = Promise.resolve();
  /** Called with a segment number whenever its live count falls to zero. */
  onEmpty: ((segment: number) => void) | undefined;

  constructor(
    { disk, random, clock }: Pick<PoolWorld, "disk" | "random" | "clock">,
    settings: PoolSettings,
    options: { handlesMax?: number } = {},
  ) {
    this.#disk = disk;
    this.#random = random;
    this.#settings = settings;
    this.#handlesMax = options.handlesMax ?? HANDLES_MAX;
    this.spares = new Spares({ disk, clock, settings, segments: () => this.all.size });
  }

  get segmentBytes(): number {
    return this.#settings.segmentBytes;
  }

  get files(): number {
    return this.all.size + this.spares.count;
  }

  get filesMax(): number {
    return Math.floor(this.#settings.sizeBytes / this.#settings.segmentBytes);
  }

  /** Segments that clients may still take. */
  get freeForClients(): number {
    // The segment that the collector will fill is set aside from the start: else the first thing that a full
    // pool collects would free no more than it takes.
    const forCollector = this.collectorOpen ? 0 : 1;
    return Math.max(0, this.filesMax - this.all.size - forCollector - this.#settings.reserveSegments);
  }

  /** Whether clients will soon wait for room. */
  get isScarce(): boolean {
    return this.freeForClients < SCARCE_SEGMENTS;
  }

  get(number: number): Segment {
    const segment = this.all.get(number);
    if (segment === undefined)
      throw new RopewalkError("POOL_DAMAGED", `segment ${number} is referred to but not there`);
    return segment;
  }

  /**
   * A new segment, durable in the directory, with no header yet. NO_SPACE when the pool is full: for clients
   * when only the reserve is left, for small records and the collector when half of it is, for checkpoints at the very end.
   */
  take(kind: number, purpose: "client" | "upkeep" | "checkpoint"): Promise<Segment> {
    const taken = this.#taking.then(() => this.#take(kind, purpose));
    this.#taking = taken.catch(() => undefined);
    return taken;
  }

  async #take(kind: number, purpose: "client" | "upkeep" | "checkpoint"): Promise<Segment> {
    if (purpose === "client" && this.freeForClients === 0) throw full();
    const { reserveSegments } = this.#settings;
    const keep =
      purpose === "client" ? reserveSegments : purpose === "upkeep" ? Math.ceil(reserveSegments / 2) : 0;
    let segment!: Segment;
    const spare = await this.spares.take(keep, () => {
      assert(this.nextNumber < SEGMENT_NUMBER_MAX, "segment numbers last for the pool's life");
      segment = new Segment(this.nextNumber++, kind);
      this.all.set(segment.number, segment);
    });
    if (spare === undefined) throw full();
    try {
      await this.#disk.rename(spare, segmentName(segment.number));
      await this.#disk.syncDirectory();
      segment.file = await this.#disk.open(segmentName(segment.number));
    } catch (error) {
      this.all.delete(segment.number);
      throw error;
    }
    this.#handles += 1;
    return segment;
  }

  /** Writes a segment's header and gives it its row; what is appended counts from now on. */
  begin(segment: Segment, log?: { firstSequence: number; begins: boolean; durable: number }): void {
    const key = this.#random.bytes(8);
    const view = new DataView(key.buffer, key.byteOffset, 8);
    const header: SegmentHeader = {
      kind: segment.kind,
      number: segment.number,
      segmentBytes: this.segmentBytes,
      poolLow: this.poolLow,
      poolHigh: this.poolHigh,
      incarnation: this.incarnation,
      firstSequence: log?.firstSequence ?? 0,
      begins: log?.begins ?? false,
      durable: log?.durable ?? 0,
      keyLow: view.getUint32(0, true),
      keyHigh: view.getUint32(4, true),
    };
    segment.file!.write(0, [encodeSegmentHeader(header)]);
    segment.header = header;
    segment.end = SEGMENT_HEADER_BYTES;
    if (segment.kind !== SegmentKind.metadata) this.addRow(segment);
  }

  addRow(segment: Segment): void {
    const row = this.#freeRows.pop() ?? this.table.append();
    segment.row = row;
    const page = this.table.edit(row);
    const at = this.table.offsetOf(row);
    page.fill(0, at, at + ROW_WORDS);
    page[at] = segment.number;
    page[at + 1] = segment.kind;
    page[at + 2] = segment.end;
    page[at + 9] = this.age;
  }

  removeRow(segment: Segment): void {
    const page = this.table.edit(segment.row);
    const at = this.table.offsetOf(segment.row);
    page.fill(0, at, at + ROW_WORDS);
    this.#freeRows.push(segment.row);
    segment.row = -1;
  }

  /** A row as restored from a checkpoint, or undefined for a free one. */
  restoreRow(row: number): Segment | undefined {
    const page = this.table.page(row);
    const at = this.table.offsetOf(row);
    if (page[at] === 0) {
      this.#freeRows.push(row);
      return undefined;
    }
    const segment = new Segment(page[at]!, page[at + 1]! & 0xff);
    segment.row = row;
    segment.end = page[at + 2]!;
    segment.sealed = (page[at + 1]! & SEALED) !== 0;
    this.liveBlocks += page[at + 3]!;
    return segment;
  }

  setEnd(segment: Segment, options: { sealed: boolean }): void {
    segment.sealed = options.sealed;
    const page = this.table.edit(segment.row);
    const at = this.table.offsetOf(segment.row);
    page[at + 2] = segment.end;
    if (options.sealed) {
      page[at + 1]! |= SEALED;
      page[at + 9] = this.age;
    }
  }

  /** A segment in which a process died is appended to no more and never gets a footer. */
  sealWithoutFooter(segment: Segment): void {
    this.setEnd(segment, { sealed: true });
    this.table.edit(segment.row)[this.table.offsetOf(segment.row) + 1]! |= FOOTERLESS;
  }

  hasFooter(segment: Segment): boolean {
    const word = this.table.page(segment.row)[this.table.offsetOf(segment.row) + 1]!;
    return (word & (SEALED | FOOTERLESS)) === SEALED;
  }

  live(segment: Segment): number {
    return this.table.page(segment.row)[this.table.offsetOf(segment.row) + 3]!;
  }

  ageOf(segment: Segment): number {
    return this.table.page(segment.row)[this.table.offsetOf(segment.row) + 9]!;
  }

  blocks(segment: Segment): number {
    return this.table.page(segment.row)[this.table.offsetOf(segment.row) + 4]!;
  }

  /** Blocks were appended and mapped. */
  addLive(segment: Segment, blocks: number): void {
    const page = this.table.edit(segment.row);
    const at = this.table.offsetOf(segment.row);
    page[at + 3]! += blocks;
    page[at + 4]! += blocks;
    this.liveBlocks += blocks;
  }

  /** A block is no longer mapped. */
  dropLive(number: number): void {
    const segment = this.get(number);
    const page = this.table.edit(segment.row);
    const at = this.table.offsetOf(segment.row) + 3;
    assert(page[at]! > 0, "a block that is freed was live");
    page[at]! -= 1;
    this.liveBlocks -= 1;
    if (page[at] === 0) this.onEmpty?.(number);
  }

  ownersPlace(segment: Segment): Place | undefined {
    const page = this.table.page(segment.row);
    const at = this.table.offsetOf(segment.row) + 5;
    if (page[at] === 0) return undefined;
    return { segment: page[at]!, offset: page[at + 1]!, length: page[at + 2]!, checksum: page[at + 3]! };
  }

  /** The checkpoint wrote the owner page: into the frozen state and the live one. */
  setOwnersPlaceLate(row: number, number: number, place: Place): void {
    const at = this.table.offsetOf(row);
    const copy = this.table.frozenCopy(row);
    if (copy !== undefined && copy[at] === number) writePlace(copy, at + 5, place);
    const live = this.table.late(row);
    if (live[at] === number) writePlace(live, at + 5, place);
  }

  setOwnersPlace(segment: Segment, place: Place): void {
    writePlace(this.table.edit(segment.row), this.table.offsetOf(segment.row) + 5, place);
  }

  /** Reads from a segment without waiting; false when that cannot be done. */
  readNow(
    number: number,
    position: number,
    target: Uint8Array,
    targetOffset: number,
    length: number,
  ): boolean {
    const file = this.get(number).file;
    return file?.readNow(position, target, targetOffset, length) ?? false;
  }

  async read(
    number: number,
    position: number,
    target: Uint8Array,
    targetOffset: number,
    length: number,
  ): Promise<void> {
    const segment = this.get(number);
    segment.readers += 1;
    try {
      const file = segment.file ?? (await this.open(segment));
      await file.read(position, target, targetOffset, length);
    } finally {
      segment.readers -= 1;
    }
  }

  /** Like the file's `readPages`; the segment stays until it resolves. */
  readPages(
    number: number,
    position: number,
    target: Uint8Array,
    sums: Uint32Array,
  ): Promise<boolean> | undefined {
    const segment = this.get(number);
    const reading = segment.file?.readPages(position, target, sums);
    if (reading === undefined) return undefined;
    segment.readers += 1;
    return reading.finally(() => {
      segment.readers -= 1;
    });
  }

  /**
   * Makes durable what was written to a segment, also through a handle that was closed since: a sync is about the
   * file, and an error that no sync has told yet is told to a new handle too.
   */
  async sync(segment: Segment): Promise<void> {
    segment.readers += 1;
    try {
      const file = segment.file ?? (await this.open(segment));
      await file.sync();
    } finally {
      segment.readers -= 1;
    }
  }

  async open(segment: Segment): Promise<DiskFile> {
    if (this.#handles >= this.#handlesMax) await this.#closeIdle();
    const file = await this.#disk.open(segmentName(segment.number));
    if (segment.file !== undefined) {
      await file.close();
      return segment.file;
    }
    segment.file = file;
    this.#handles += 1;
    return file;
  }

  async #closeIdle(): Promise<void> {
    for (const segment of this.all.values()) {
      if (this.#handles < this.#handlesMax * 0.9) return;
      // Recent ones may be written still; their handles stay.
      if (
        segment.file === undefined ||
        segment.readers > 0 ||
        !segment.sealed ||
        segment.number > this.nextNumber - 64
      )
        continue;
      const { file } = segment;
      segment.file = undefined;
      this.#handles -= 1;
      await file.close();
    }
  }

  /** The segment's bytes are needed no more: its file becomes part of the reserve, or goes. */
  async discard(segment: Segment): Promise<void> {
    assert(segment.row === -1 && segment.readers === 0, "nothing refers to a segment that is discarded");
    this.all.delete(segment.number);
    if (segment.file !== undefined) {
      const { file } = segment;
      segment.file = undefined;
      this.#handles -= 1;
      await file.close();
    }
    await this.spares.put(segmentName(segment.number));
  }

  async closeAll(): Promise<void> {
    await this.spares.settle();
    for (const segment of this.all.values()) {
      await segment.file?.close();
      segment.file = undefined;
    }
    this.#handles = 0;
  }
}

function writePlace(page: Uint32Array, at: number, place: Place): void {
  page[at] = place.segment;
  page[at + 1] = place.offset;
  page[at + 2] = place.length;
  page[at + 3] = place.checksum;
}

function full(): RopewalkError {
  return new RopewalkError(
    "NO_SPACE",
    "the pool is full: delete volumes or snapshots, trim, or grow the pool",
  );
}
