/**
 * The node table: for each node of every map its place on disk, checksum, reference count and the XOR of its
 * referrers (F2FS's NAT, with counts). In memory whole: 32 bytes a node, some 16 MiB per TiB of mapped data.
 *
 * Always holds: ids are never reused: an index that is given out again carries a higher generation. A count
 * is the number of references: slots of parents, distinct leaves with runs of this leaf, holders of maps.
 */
import { assert } from "../../base/assert.ts";
import { RopewalkError } from "../../base/errors.ts";
import { highWord, joinWords, TWO_32 } from "../../base/words.ts";
import { NODE_GENERATION_BITS, NODE_INDEX_BITS, NODE_INDEX_FIRST } from "../format/layout.ts";
import { PagedTable } from "./paged-table.ts";

const INDEX_SPAN = 2 ** NODE_INDEX_BITS;
const INDEX_MASK = INDEX_SPAN - 1;
const GENERATION_MAX = 2 ** NODE_GENERATION_BITS - 1;

/**
 * Words of an entry.
 *
 * | word | bits | is |
 * | --- | --- | --- |
 * | 0 | 0-21 / 22-24 / 31 | generation / level (0 leaf) / in use |
 * | 1 | | place: segment (0: not on disk yet) |
 * | 2 | | place: offset in bytes |
 * | 3 | 0-19 / 20-29 | place: length in bytes / data pages of a leaf |
 * | 4 | | checksum |
 * | 5 | | reference count |
 * | 6, 7 | | XOR of the referrers' ids, low and high word |
 */
const ENTRY_WORDS = 8;
const IN_USE = 0x8000_0000;
const LENGTH_MASK = 0xfffff;

export interface NodePlace {
  readonly segment: number;
  readonly offset: number;
  readonly length: number;
  readonly checksum: number;
}

export function nodeIndex(id: number): number {
  return (id >>> 0) & INDEX_MASK;
}

export class NodeTable {
  readonly table = new PagedTable(ENTRY_WORDS);
  readonly #free: number[] = [];
  /** Nodes in use. */
  live = 0;

  constructor() {
    while (this.table.length < NODE_INDEX_FIRST) this.table.append();
  }

  /** Table index bound: indexes are below it. */
  get bound(): number {
    return this.table.length;
  }

  /** A new node's id, with count 0. */
  allocate(level: number): number {
    let index = this.#free.pop();
    if (index === undefined) {
      if (this.table.length >= INDEX_SPAN)
        throw new RopewalkError("TOO_MANY", "the pool has no node ids left");
      index = this.table.append();
    }
    const page = this.table.edit(index);
    const at = this.table.offsetOf(index);
    const generation = (page[at]! & GENERATION_MAX) + 1;
    page[at] = (IN_USE | (level << NODE_GENERATION_BITS) | generation) >>> 0;
    page.fill(0, at + 1, at + ENTRY_WORDS);
    this.live += 1;
    return generation * INDEX_SPAN + index;
  }

  /** Ends a node whose count is zero; its index may be given out again under the next generation. */
  free(id: number): void {
    const index = nodeIndex(id);
    const page = this.table.edit(index);
    const at = this.table.offsetOf(index);
    assert(this.has(id) && page[at + 5] === 0, "only an unreferenced node is freed");
    const generation = page[at]! & GENERATION_MAX;
    page.fill(0, at, at + ENTRY_WORDS);
    page[at] = generation;
    this.live -= 1;
    if (generation < GENERATION_MAX) this.#free.push(index);
  }

  has(id: number): boolean {
    const index = nodeIndex(id);
    if (index < NODE_INDEX_FIRST || index >= this.table.length) return false;
    return this.idAt(index) === id;
  }

  /** Id of the node at an index, 0 when the index is free. */
  idAt(index: number): number {
    const word = this.table.page(index)[this.table.offsetOf(index)]!;
    return (word & IN_USE) === 0 ? 0 : (word & GENERATION_MAX) * INDEX_SPAN + index;
  }

  level(id: number): number {
    const index = nodeIndex(id);
    return (this.table.page(index)[this.table.offsetOf(index)]! >>> NODE_GENERATION_BITS) & 7;
  }

  count(id: number): number {
    const index = nodeIndex(id);
    return this.table.page(index)[this.table.offsetOf(index) + 5]!;
  }

  /** XOR of all referrers; with count one it is the referrer. */
  referrers(id: number): number {
    const index = nodeIndex(id);
    const page = this.table.page(index);
    const at = this.table.offsetOf(index);
    return joinWords(page[at + 6]!, page[at + 7]!);
  }

  addReference(id: number, referrer: number): void {
    const index = nodeIndex(id);
    const page = this.table.edit(index);
    const at = this.table.offsetOf(index);
    page[at + 5]! += 1;
    page[at + 6]! ^= referrer >>> 0;
    page[at + 7]! ^= highWord(referrer);
  }

  /** Returns the count that remains. */
  removeReference(id: number, referrer: number): number {
    const index = nodeIndex(id);
    const page = this.table.edit(index);
    const at = this.table.offsetOf(index);
    const count = page[at + 5]! - 1;
    assert(count >= 0, "a reference that is removed was counted");
    page[at + 5] = count;
    page[at + 6]! ^= referrer >>> 0;
    page[at + 7]! ^= highWord(referrer);
    return count;
  }

  /** Data pages of a leaf, for the used size of maps. */
  dataPages(id: number): number {
    const index = nodeIndex(id);
    return this.table.page(index)[this.table.offsetOf(index) + 3]! >>> 20;
  }

  setDataPages(id: number, pages: number): void {
    const index = nodeIndex(id);
    const page = this.table.edit(index);
    const at = this.table.offsetOf(index) + 3;
    page[at] = ((page[at]! & LENGTH_MASK) | (pages << 20)) >>> 0;
  }

  place(id: number): NodePlace {
    const index = nodeIndex(id);
    const page = this.table.page(index);
    const at = this.table.offsetOf(index);
    return {
      segment: page[at + 1]!,
      offset: page[at + 2]!,
      length: page[at + 3]! & LENGTH_MASK,
      checksum: page[at + 4]!,
    };
  }

  /** Segment in which a node's stored form stands, 0 when it was never written. */
  placeSegment(id: number): number {
    const index = nodeIndex(id);
    return this.table.page(index)[this.table.offsetOf(index) + 1]!;
  }

  /** The node at this index was written by the running checkpoint: into the frozen state and, if it still lives, the live one. */
  setPlaceLate(id: number, place: NodePlace): void {
    assert(place.length <= LENGTH_MASK, "a node is shorter than 1 MiB");
    const index = nodeIndex(id);
    const at = this.table.offsetOf(index);
    const copy = this.table.frozenCopy(index);
    if (copy !== undefined) writePlace(copy, at, place);
    if (this.idAt(index) === id) writePlace(this.table.late(index), at, place);
  }

  /** The node's stored form was moved. */
  setPlace(id: number, place: NodePlace): void {
    const index = nodeIndex(id);
    writePlace(this.table.edit(index), this.table.offsetOf(index), place);
  }

  /** A node will be written by the next checkpoint, so its entry will change. */
  touch(id: number): void {
    this.table.edit(nodeIndex(id));
  }

  /** After the pages were restored: finds free indexes and counts the nodes. */
  restored(): void {
    this.#free.length = 0;
    this.live = 0;
    for (let index = this.table.length - 1; index >= NODE_INDEX_FIRST; index -= 1) {
      const word = this.table.page(index)[this.table.offsetOf(index)]!;
      if ((word & IN_USE) !== 0) this.live += 1;
      else if ((word & GENERATION_MAX) < GENERATION_MAX) this.#free.push(index);
    }
  }
}

function writePlace(page: Uint32Array, at: number, place: NodePlace): void {
  page[at + 1] = place.segment;
  page[at + 2] = place.offset;
  page[at + 3] = ((page[at + 3]! & ~LENGTH_MASK) | place.length) >>> 0;
  page[at + 4] = place.checksum;
}

assert(TWO_32 > INDEX_SPAN, "an index is in the low word of an id");
