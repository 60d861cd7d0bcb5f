/**
 * What a token's bytes are by the model: its ranges, one behind the other, in one of the maps that the token may
 * stand for.
 * Always holds: what was once read or copied through the token leaves only the maps that hold just that; all later uses
 * are held against these.
 */
import type { ByteRange } from "../src/device/mod.ts";
import { chunkBytes, type MapModel } from "./map-model.ts";
import { stampZero, type UnitContent, unitBytes } from "./unit-content.ts";

/** A place in a map. */
export interface MapPlace {
  readonly map: MapModel;
  readonly offset: number;
}

/** A map's bytes; zeros past its end. */
export function mapBytes(content: UnitContent, { map, offset }: MapPlace, length: number): Uint8Array {
  const firstUnit = Math.floor(offset / unitBytes);
  const stamps = map.stamps(firstUnit, Math.ceil((offset + length) / unitBytes) - firstUnit);
  const units = new Uint8Array(stamps.length * unitBytes);
  for (const [unit, stamp] of stamps.entries()) content.fill(stamp, units, unit * unitBytes);
  const bytes = units.subarray(offset - firstUnit * unitBytes, offset - firstUnit * unitBytes + length);
  const inside = Math.max(0, map.sizeBytes - offset);
  if (inside < length) bytes.fill(0, inside);
  return bytes;
}

/** Whether two places hold the same bytes; only what was ever written is looked at. */
export function haveSameBytes(content: UnitContent, one: MapPlace, other: MapPlace, length: number): boolean {
  const starts = new Set<number>();
  for (const { map, offset } of [one, other])
    for (const chunk of map.chunkOffsets())
      if (chunk < offset + length && chunk + chunkBytes > offset) starts.add(Math.max(0, chunk - offset));
  for (const start of starts) {
    const part = Math.min(chunkBytes, length - start);
    const [first, second] = [one, other].map(({ map, offset }) => ({ map, offset: offset + start }));
    if (!haveSamePart(content, first!, second!, part)) return false;
  }
  return true;
}

function haveSamePart(content: UnitContent, one: MapPlace, other: MapPlace, length: number): boolean {
  if (one.offset % unitBytes === other.offset % unitBytes) {
    const [first, second] = [one, other].map(({ map, offset }) => {
      const unit = Math.floor(offset / unitBytes);
      return map.stamps(unit, Math.ceil((offset + length) / unitBytes) - unit);
    });
    const isInside = [one, other].every(({ map, offset }) => offset + length <= map.sizeBytes);
    if (isInside && first!.every((stamp, unit) => stamp === second![unit])) return true;
  }
  return Buffer.compare(mapBytes(content, one, length), mapBytes(content, other, length)) === 0;
}

export class TokenContent {
  readonly #content: UnitContent;
  readonly #ranges: readonly ByteRange[];
  /** Maps that the token may stand for; grows while it is not settled which one was frozen. */
  #maps: MapModel[];

  constructor(content: UnitContent, ranges: readonly ByteRange[], maps: readonly MapModel[]) {
    this.#content = content;
    this.#ranges = ranges;
    this.#maps = [...maps];
  }

  /** The token's content from `offset` on is `bytes`; false when it cannot be. */
  holdsBytes(offset: number, bytes: Uint8Array): boolean {
    return this.#keep((map) =>
      this.#every(
        offset,
        bytes.length,
        (from, length, at) =>
          Buffer.compare(
            mapBytes(this.#content, { map, offset: from }, length),
            bytes.subarray(at, at + length),
          ) === 0,
      ),
    );
  }

  holdsZeros(offset: number, length: number): boolean {
    return this.#keep((map) =>
      this.#every(offset, length, (from, part) => this.#isZero({ map, offset: from }, part)),
    );
  }

  /** The token's content from `offset` on is what stands at a place of another map. */
  holdsPlace(offset: number, place: MapPlace, length: number): boolean {
    return this.#keep((map) =>
      this.#every(offset, length, (from, part, at) =>
        haveSameBytes(
          this.#content,
          { map, offset: from },
          { map: place.map, offset: place.offset + at },
          part,
        ),
      ),
    );
  }

  /** Whether `now` may hold something else in the token's ranges than the token does, and whether it must. */
  compare(now: MapModel): { mayDiffer: boolean; mustDiffer: boolean } {
    const differs = this.#maps.map((map) =>
      this.#ranges.some(
        ({ offsetBytes: offset, lengthBytes }) =>
          !haveSameBytes(this.#content, { map, offset }, { map: now, offset }, lengthBytes),
      ),
    );
    return { mayDiffer: differs.includes(true), mustDiffer: !differs.includes(false) };
  }

  #isZero({ map, offset }: MapPlace, length: number): boolean {
    for (const chunk of map.chunkOffsets()) {
      const from = Math.max(chunk, offset);
      const to = Math.min(chunk + chunkBytes, offset + length);
      if (from >= to) continue;
      const first = Math.floor(from / unitBytes);
      const stamps = map.stamps(first, Math.ceil(to / unitBytes) - first);
      if (stamps.every((stamp) => stamp <= stampZero)) continue;
      if (mapBytes(this.#content, { map, offset: from }, to - from).some((byte) => byte !== 0)) return false;
    }
    return true;
  }

  #keep(holds: (map: MapModel) => boolean): boolean {
    const kept = this.#maps.filter(holds);
    if (kept.length === 0) return false;
    this.#maps = kept;
    return true;
  }

  /** `test(offset in the map, length, offset in what is looked at)` for each part of the token's ranges. */
  #every(offset: number, length: number, test: (from: number, part: number, at: number) => boolean): boolean {
    let start = 0;
    for (const { offsetBytes, lengthBytes } of this.#ranges) {
      const from = Math.max(offset, start);
      const to = Math.min(offset + length, start + lengthBytes);
      if (from < to && !test(offsetBytes + from - start, to - from, from - offset)) return false;
      start += lengthBytes;
    }
    return offset + length <= start;
  }
}
