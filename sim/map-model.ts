/**
 * A volume's content as it should be: for every 512-byte unit its stamp, for every 4 KiB page the name of the
 * block that holds it. Sparse, and cheap to freeze.
 *
 * Always holds: units past the size have stamp 0; a frozen copy and its original never see each other's
 * changes; block 0 means that no block is needed.
 */
import {
  pageBytes,
  stampHole,
  stampZero,
  type UnitContent,
  unitBytes,
  unitsPerPage,
} from "./unit-content.ts";

export const chunkUnits = 128;
export const chunkBytes = chunkUnits * unitBytes;
const chunkPages = chunkUnits / unitsPerPage;

interface Chunk {
  readonly stamps: Uint32Array;
  readonly blocks: Uint32Array;
  readonly owner: object;
}

/** The names that one modifying request brings along: one stamp per unit and one block per page that it touches. */
export interface Marks {
  /** Where the request began; a record may be a later part of it. */
  readonly requestOffset: number;
  readonly firstStamp: number;
  readonly firstBlock: number;
}

export type PageKind = "data" | "either" | "empty";

export class MapModel {
  readonly #content: UnitContent;
  readonly #chunks: Map<number, Chunk>;
  #owner: object = {};
  sizeBytes: number;

  constructor(content: UnitContent, sizeBytes: number, chunks = new Map<number, Chunk>()) {
    this.#content = content;
    this.sizeBytes = sizeBytes;
    this.#chunks = chunks;
  }

  freeze(): MapModel {
    this.#owner = {};
    return new MapModel(this.#content, this.sizeBytes, new Map(this.#chunks));
  }

  write(offset: number, length: number, marks: Marks): void {
    this.#eachUnit(offset, length, marks, (chunk, unit, from, to, stamp) => {
      if (to - from < unitBytes) {
        const bytes = this.#content.bytes(chunk.stamps[unit]!);
        bytes.set(this.#content.bytes(stamp).subarray(from, to), from);
        this.#content.setMixed(stamp, bytes);
      }
      chunk.stamps[unit] = stamp;
    });
    this.#eachPage(offset, length, marks, (chunk, page, block) => {
      chunk.blocks[page] = block;
    });
  }

  /** Zero and trim alike: whole pages are given back, the rest becomes zeros. */
  clear(offset: number, length: number, marks: Marks): void {
    const end = Math.min(offset + length, this.sizeBytes);
    const wholeFrom = Math.min(end, Math.ceil(offset / pageBytes) * pageBytes);
    const wholeTo = Math.max(wholeFrom, Math.floor(end / pageBytes) * pageBytes);
    this.#clearPart(offset, wholeFrom, marks);
    this.#clearPages(wholeFrom, wholeTo);
    this.#clearPart(wholeTo, end, marks);
  }

  #clearPart(from: number, to: number, marks: Marks): void {
    if (from >= to) return;
    this.#eachUnit(from, to - from, marks, (chunk, unit, unitFrom, unitTo, stamp) => {
      if (chunk.stamps[unit]! <= stampZero || unitTo - unitFrom === unitBytes) {
        chunk.stamps[unit] = stampZero;
        return;
      }
      const bytes = this.#content.bytes(chunk.stamps[unit]!);
      bytes.fill(0, unitFrom, unitTo);
      const empty = bytes.every((byte) => byte === 0);
      if (!empty) this.#content.setMixed(stamp, bytes);
      chunk.stamps[unit] = empty ? stampZero : stamp;
    });
    this.#eachPage(from, to - from, marks, (chunk, page, block) => {
      chunk.blocks[page] = block;
    });
  }

  #clearPages(from: number, to: number): void {
    for (let at = from; at < to; ) {
      const index = Math.floor(at / chunkBytes);
      const end = Math.min(to, (index + 1) * chunkBytes);
      if (end - at === chunkBytes) this.#chunks.delete(index);
      else if (this.#chunks.has(index)) {
        const chunk = this.#own(index);
        const first = (at - index * chunkBytes) / pageBytes;
        const last = (end - index * chunkBytes) / pageBytes;
        chunk.stamps.fill(stampHole, first * unitsPerPage, last * unitsPerPage);
        chunk.blocks.fill(0, first, last);
      }
      at = end;
    }
  }

  resize(sizeBytes: number, marks: Marks): void {
    const old = this.sizeBytes;
    if (sizeBytes < old) {
      const end = Math.min(old, Math.ceil(sizeBytes / pageBytes) * pageBytes);
      if (end > sizeBytes) this.clear(sizeBytes, end - sizeBytes, marks);
      this.#dropFrom(Math.ceil(sizeBytes / pageBytes) * pageBytes);
    }
    this.sizeBytes = sizeBytes;
  }

  /** Makes whole pages refer to what another map (or this one, as it was) holds. */
  graft(source: MapModel, sourceOffset: number, offset: number, length: number): void {
    const from = source === this ? source.freeze() : source;
    for (let done = 0; done < length; done += pageBytes) {
      const index = Math.floor((offset + done) / chunkBytes);
      const chunk = from.#chunks.get(Math.floor((sourceOffset + done) / chunkBytes));
      if (chunk === undefined && !this.#chunks.has(index)) continue;
      const target = this.#own(index);
      const page = ((offset + done) / pageBytes) % chunkPages;
      const sourcePage = ((sourceOffset + done) / pageBytes) % chunkPages;
      for (let unit = 0; unit < unitsPerPage; unit++)
        target.stamps[page * unitsPerPage + unit] =
          chunk?.stamps[sourcePage * unitsPerPage + unit] ?? stampHole;
      target.blocks[page] = chunk?.blocks[sourcePage] ?? 0;
    }
  }

  /** Stamps of the units from `firstUnit` on. */
  stamps(firstUnit: number, count: number): Uint32Array {
    const stamps = new Uint32Array(count);
    for (let done = 0; done < count; ) {
      const from = (firstUnit + done) % chunkUnits;
      const part = Math.min(count - done, chunkUnits - from);
      const chunk = this.#chunks.get(Math.floor((firstUnit + done) / chunkUnits));
      if (chunk !== undefined) stamps.set(chunk.stamps.subarray(from, from + part), done);
      done += part;
    }
    return stamps;
  }

  /** The offsets of 64 KiB pieces that were ever written to, ascending. */
  chunkOffsets(): number[] {
    return [...this.#chunks.keys()].sort((one, other) => one - other).map((index) => index * chunkBytes);
  }

  block(page: number): number {
    return this.#chunks.get(Math.floor(page / chunkPages))?.blocks[page % chunkPages] ?? 0;
  }

  pageKind(page: number): PageKind {
    const chunk = this.#chunks.get(Math.floor(page / chunkPages));
    return chunk === undefined ? "empty" : kindOf(chunk, page % chunkPages);
  }

  /** Adds the blocks that this map needs for certain to `certain`, and those that it may hold to `possible`. */
  addBlocks(certain: Set<number>, possible: Set<number>): void {
    for (const chunk of this.#chunks.values()) {
      for (let page = 0; page < chunkPages; page++) {
        const block = chunk.blocks[page]!;
        if (block === 0) continue;
        possible.add(block);
        if (kindOf(chunk, page) === "data") certain.add(block);
      }
    }
  }

  /** How many pages hold data: at least, and at most. */
  countPages(): { least: number; most: number } {
    let least = 0;
    let most = 0;
    for (const chunk of this.#chunks.values()) {
      for (let page = 0; page < chunkPages; page++) {
        const kind = kindOf(chunk, page);
        if (kind !== "empty") most++;
        if (kind === "data") least++;
      }
    }
    return { least, most };
  }

  #own(index: number): Chunk {
    const chunk = this.#chunks.get(index);
    if (chunk?.owner === this.#owner) return chunk;
    const own: Chunk = {
      stamps: chunk?.stamps.slice() ?? new Uint32Array(chunkUnits),
      blocks: chunk?.blocks.slice() ?? new Uint32Array(chunkPages),
      owner: this.#owner,
    };
    this.#chunks.set(index, own);
    return own;
  }

  #dropFrom(end: number): void {
    for (const index of [...this.#chunks.keys()]) {
      if (index * chunkBytes >= end) this.#chunks.delete(index);
      else if ((index + 1) * chunkBytes > end) {
        const chunk = this.#own(index);
        const page = (end - index * chunkBytes) / pageBytes;
        chunk.stamps.fill(stampHole, page * unitsPerPage);
        chunk.blocks.fill(0, page);
      }
    }
  }

  /** `visit(chunk, unit in chunk, first byte in unit, end byte in unit, the request's stamp)` */
  #eachUnit(
    offset: number,
    length: number,
    marks: Marks,
    visit: (chunk: Chunk, unit: number, from: number, to: number, stamp: number) => void,
  ): void {
    const firstOfRequest = Math.floor(marks.requestOffset / unitBytes);
    const end = offset + length;
    for (let unit = Math.floor(offset / unitBytes); unit * unitBytes < end; unit++) {
      const from = Math.max(offset - unit * unitBytes, 0);
      const to = Math.min(end - unit * unitBytes, unitBytes);
      const chunk = this.#own(Math.floor(unit / chunkUnits));
      visit(chunk, unit % chunkUnits, from, to, marks.firstStamp + unit - firstOfRequest);
    }
  }

  #eachPage(
    offset: number,
    length: number,
    marks: Marks,
    visit: (chunk: Chunk, page: number, block: number) => void,
  ): void {
    const firstOfRequest = Math.floor(marks.requestOffset / pageBytes);
    for (let page = Math.floor(offset / pageBytes); page * pageBytes < offset + length; page++)
      visit(
        this.#own(Math.floor(page / chunkPages)),
        page % chunkPages,
        marks.firstBlock + page - firstOfRequest,
      );
  }
}

function kindOf(chunk: Chunk, page: number): PageKind {
  if (chunk.blocks[page] === 0) return "empty";
  for (let unit = page * unitsPerPage; unit < (page + 1) * unitsPerPage; unit++)
    if (chunk.stamps[unit]! > stampZero) return "data";
  return "either";
}
