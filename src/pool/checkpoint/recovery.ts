/**
 * Opening: the newest checkpoint that is whole, and replay of the log behind it.
 *
 * Always holds: nothing is written before the state is rebuilt; the log's tail is synced and then read past the
 * page cache, because a failed fsync may have left pages that only the cache knows. Appending goes on in a new
 * segment under a new incarnation, one more than the highest found anywhere.
 */
import { RopewalkError } from "../../base/errors.ts";
import { bytesOfWords } from "../../base/words.ts";
import { Engine } from "../engine.ts";
import { NODE_INDEX_FIRST, SEGMENT_HEADER_BYTES } from "../format/layout.ts";
import { RECORD_HEADER_BYTES, recordBytes } from "../format/record.ts";
import { decodeSegmentHeader, type SegmentHeader, SegmentKind, segmentNumberOf } from "../format/segment.ts";
import {
  decodeSuperblock,
  type Place,
  SLOT_BYTES,
  SLOT_NAMES,
  type Superblock,
} from "../format/superblock.ts";
import { readChain } from "../log/log-chain.ts";
import { OWNER_WORDS, Owners } from "../log/owners.ts";
import { Segment } from "../log/segment.ts";
import { SegmentScanner } from "../log/segment-scanner.ts";
import type { Segments } from "../log/segments.ts";
import { PAGE_WORDS, type PagedTable } from "../map/paged-table.ts";
import type { PoolSettings } from "../pool-api.ts";
import { Catalogue } from "../volume/catalogue.ts";
import { replayRecord } from "../volume/replay.ts";
import type { PoolWorld } from "../world.ts";
import { decodeRoot } from "./checkpoint-root.ts";

export interface Slots {
  readonly blocks: (Superblock | undefined)[];
  /** Which slots were never written. */
  readonly blanks: boolean[];
  /** Nothing was ever written to either slot. */
  readonly blank: boolean;
}

export async function readSlots(world: PoolWorld): Promise<Slots | undefined> {
  const names = new Set((await world.disk.list()).map((entry) => entry.name));
  if (!SLOT_NAMES.some((name) => names.has(name))) return undefined;
  const blocks: (Superblock | undefined)[] = [];
  const blanks: boolean[] = [];
  for (const name of SLOT_NAMES) {
    if (!names.has(name)) {
      blocks.push(undefined);
      blanks.push(true);
      continue;
    }
    const file = await world.disk.open(name);
    try {
      const bytes = new Uint8Array(SLOT_BYTES);
      await file.sync();
      await file.dropCache();
      await file.read(0, bytes, 0, SLOT_BYTES);
      blanks.push(bytes.every((byte) => byte === 0));
      blocks.push(decodeSuperblock(bytes));
    } finally {
      await file.close();
    }
  }
  return { blocks, blanks, blank: blanks.every((each) => each) };
}

export interface Recovered {
  readonly engine: Engine;
  readonly slot: number;
  readonly superblock: Superblock;
  readonly previous: Place[];
  /** Segments that nothing refers to. */
  readonly unknown: Segment[];
  readonly lastSequence: number;
  readonly incarnation: number;
}

/** Rebuilds the state; POOL_DAMAGED, POOL_NEWER. The caller starts the log. */
export async function recover(world: PoolWorld, settings: PoolSettings, slots: Slots): Promise<Recovered> {
  const order = [0, 1].filter((slot) => slots.blocks[slot] !== undefined);
  order.sort((a, b) => slots.blocks[b]!.checkpoint - slots.blocks[a]!.checkpoint);
  if (order.length === 0) throw new RopewalkError("POOL_DAMAGED", "both superblock slots are damaged");
  let first: unknown;
  for (const slot of order) {
    const engine = new Engine(world, { ...settings, segmentBytes: slots.blocks[slot]!.segmentBytes });
    try {
      return await rebuild(engine, slots, slot);
    } catch (error) {
      await engine.segments.closeAll();
      const recoverable =
        error instanceof RopewalkError &&
        (error.code === "POOL_DAMAGED" || error.code === "CHECKSUM_MISMATCH");
      if (!recoverable) throw error;
      first ??= error;
    }
  }
  if (first instanceof RopewalkError && first.code === "CHECKSUM_MISMATCH") {
    throw new RopewalkError("POOL_DAMAGED", `the pool's metadata is damaged: ${first.message}`, {
      cause: first,
    });
  }
  throw first;
}

async function rebuild(engine: Engine, slots: Slots, slot: number): Promise<Recovered> {
  const { segments, store, nodes, world } = engine;
  const superblock = slots.blocks[slot]!;
  segments.poolLow = superblock.poolLow;
  segments.poolHigh = superblock.poolHigh;
  const spares: string[] = [];
  let nextSegment = superblock.nextSegment;
  for (const { name, sizeBytes } of await world.disk.list()) {
    if (/^spare-[0-9a-f]{8}$/.test(name)) {
      if (sizeBytes === segments.segmentBytes) spares.push(name);
      else await world.disk.remove(name);
    }
    const number = segmentNumberOf(name);
    if (number === undefined) continue;
    nextSegment = Math.max(nextSegment, number + 1);
    segments.all.set(number, new Segment(number, SegmentKind.metadata));
  }
  segments.spares.adopt(spares);
  segments.nextNumber = nextSegment;
  segments.age = superblock.checkpoint + 1;

  // The checkpoint.
  const root = decodeRoot(await store.read(superblock.root));
  if (root.checkpoint !== superblock.checkpoint)
    throw new RopewalkError("POOL_DAMAGED", "the slot points to another checkpoint");
  await restoreTable(engine, nodes.table, root.nodeDirectory, root.nodeBound);
  await restoreTable(engine, segments.table, root.segmentDirectory, root.segmentRows);
  if (root.nodeBound < NODE_INDEX_FIRST)
    throw new RopewalkError("POOL_DAMAGED", "the node table is too short");
  nodes.restored();
  for (let row = 0; row < segments.table.length; row += 1) {
    const segment = segments.restoreRow(row);
    if (segment === undefined) continue;
    if (!segments.all.has(segment.number))
      throw new RopewalkError("POOL_DAMAGED", `segment ${segment.number} is missing`);
    segments.all.set(segment.number, segment);
  }
  const catalogueBytes = bytesOfWords(await store.read(root.catalogue)).subarray(0, root.catalogueBytes);
  engine.catalogue = Catalogue.decode(Buffer.from(catalogueBytes).toString("utf8"));
  engine.reclaim.restore(await store.read(root.reclaim));
  const previous = [superblock.root, root.nodeDirectory, root.segmentDirectory, root.catalogue, root.reclaim];
  const used = countMetadata(engine, previous);

  // The log behind it.
  const headers = new Map<number, SegmentHeader>();
  let incarnation = Math.max(...slots.blocks.map((block) => block?.incarnation ?? 0));
  const unknown: Segment[] = [];
  // What records in files with a damaged header tell of the log's durable end.
  let told = 0;
  for (const segment of [...segments.all.values()]) {
    if (used.has(segment.number)) continue;
    const inTail = segment.kind !== SegmentKind.metadata && segment.number === superblock.cutSegment;
    if (segment.row >= 0 && !inTail) continue;
    const file = await segments.open(segment);
    await file.sync();
    await file.dropCache();
    const header = await readHeader(engine, segment);
    if (header === undefined && inTail)
      throw new RopewalkError(
        "POOL_DAMAGED",
        `the header of segment ${segment.number} in the log's tail is damaged`,
      );
    if (header === undefined) told = Math.max(told, await orphanDurable(segments, segment.number));
    if (header !== undefined) incarnation = Math.max(incarnation, header.incarnation);
    if (header?.kind === SegmentKind.log && (inTail || header.firstSequence > superblock.cutSequence)) {
      segment.header = header;
      headers.set(segment.number, header);
    }
    if (segment.row < 0) unknown.push(segment);
  }
  const others = slots.blocks.map((block) => Math.max(block?.durable ?? 0, block?.cutSequence ?? 0));
  const cutHeader = headers.get(superblock.cutSegment);
  const chain = await readChain({
    segments,
    headers,
    start: {
      sequence: superblock.cutSequence,
      segment: superblock.cutSegment,
      position: superblock.cutPosition,
      incarnation: cutHeader?.incarnation ?? superblock.incarnation,
    },
    durable: Math.max(told, ...others),
    plants: world.plants,
  });

  // Replay.
  let segment: Segment | undefined;
  let replayedBytes = 0;
  for (const record of chain.records) {
    if (segment?.number !== record.segment) {
      if (segment !== undefined) segments.sealWithoutFooter(segment);
      segment = await enterSegment(engine, record.segment, unknown);
    }
    await replayRecord(engine, segment, record.header);
    segment.end = record.header.position + record.header.headerBytes + record.header.dataPages * 4096;
    replayedBytes += recordBytes(record.header);
    engine.planEviction();
  }
  engine.cutBytes = -replayedBytes;
  if (segment !== undefined) segments.sealWithoutFooter(segment);
  for (const each of segments.all.values()) {
    if (each.row >= 0 && !each.sealed) segments.sealWithoutFooter(each);
    each.sealed = true;
  }
  return { engine, slot, superblock, previous, unknown, lastSequence: chain.lastSequence, incarnation };
}

/** A log segment in which records are replayed: it gets its row if the checkpoint has none, and its owner page. */
async function enterSegment(engine: Engine, number: number, unknown: Segment[]): Promise<Segment> {
  const { segments, store } = engine;
  const known = segments.get(number);
  if (known.row >= 0) {
    if (known.owners === undefined) {
      const place = segments.ownersPlace(known);
      known.owners = place === undefined ? new Owners() : Owners.restore(await store.read(place));
    }
    return known;
  }
  const segment = new Segment(number, SegmentKind.log);
  segment.file = known.file;
  segment.header = known.header;
  segment.end = SEGMENT_HEADER_BYTES;
  segment.owners = new Owners();
  segments.all.set(number, segment);
  unknown.splice(unknown.indexOf(known), 1);
  segments.addRow(segment);
  return segment;
}

/**
 * Highest durable sequence told by the records of a file whose header cannot be read. Their key is taken from
 * where only a first record's header can stand. What a recycled file still holds tells no more than the cut.
 */
async function orphanDurable(segments: Segments, number: number): Promise<number> {
  const fixed = new Uint8Array(RECORD_HEADER_BYTES);
  await segments.read(number, SEGMENT_HEADER_BYTES, fixed, 0, RECORD_HEADER_BYTES);
  const view = new DataView(fixed.buffer);
  const key = { keyLow: view.getUint32(16, true), keyHigh: view.getUint32(20, true) };
  const scanner = new SegmentScanner(segments, number, key);
  if ((await scanner.recordAt(SEGMENT_HEADER_BYTES)) === undefined) return 0;
  return scanner.highestDurable(SEGMENT_HEADER_BYTES);
}

async function readHeader(engine: Engine, segment: Segment): Promise<SegmentHeader | undefined> {
  const { segments } = engine;
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  await segments.read(segment.number, 0, bytes, 0, SEGMENT_HEADER_BYTES);
  const header = decodeSegmentHeader(bytes);
  if (header === undefined || header.number !== segment.number) return undefined;
  if (header.poolLow !== segments.poolLow || header.poolHigh !== segments.poolHigh) return undefined;
  return header.segmentBytes === segments.segmentBytes ? header : undefined;
}

async function restoreTable(
  engine: Engine,
  table: PagedTable,
  directory: Place,
  entries: number,
): Promise<void> {
  const { store } = engine;
  const pages = Math.ceil(entries / (PAGE_WORDS / table.entryWords));
  const words = await store.read(directory);
  if (words.length !== Math.max(1, pages * 3))
    throw new RopewalkError("POOL_DAMAGED", "a table's directory is malformed");
  table.clear();
  const window = 64;
  for (let from = 0; from < pages; from += window) {
    const batch = [];
    for (let page = from; page < Math.min(pages, from + window); page += 1) {
      const place = {
        segment: words[page * 3]!,
        offset: words[page * 3 + 1]!,
        checksum: words[page * 3 + 2]!,
      };
      batch.push(store.read({ ...place, length: PAGE_WORDS * 4 }).then((restored) => ({ restored, place })));
    }
    for (const { restored, place } of await Promise.all(batch)) table.restorePage(restored, place);
  }
  table.restoreLength(entries);
}

/** Counts what the checkpoint refers to in each metadata segment; returns the segments that hold something. */
function countMetadata(engine: Engine, previous: Place[]): Set<number> {
  const { nodes, segments } = engine;
  const used = new Set<number>();
  const count = (segment: number, length: number) => {
    used.add(segment);
    const metadata = segments.get(segment);
    if (metadata.row >= 0)
      throw new RopewalkError("POOL_DAMAGED", `metadata is said to stand in data segment ${segment}`);
    metadata.metadataLive += Math.ceil(length / 8) * 8;
    metadata.sealed = true;
  };
  for (let index = NODE_INDEX_FIRST; index < nodes.bound; index += 1) {
    const id = nodes.idAt(index);
    if (id === 0) continue;
    const place = nodes.place(id);
    count(place.segment, place.length);
  }
  for (const table of [nodes.table, segments.table])
    for (const place of table.places) if (place !== undefined) count(place.segment, PAGE_WORDS * 4);
  for (const segment of [...segments.all.values()]) {
    if (segment.row < 0) continue;
    const place = segments.ownersPlace(segment);
    if (place === undefined) continue;
    if (place.length % (OWNER_WORDS * 4) !== 0)
      throw new RopewalkError("POOL_DAMAGED", "an owner page is malformed");
    count(place.segment, place.length);
  }
  for (const place of previous) count(place.segment, place.length);
  return used;
}
