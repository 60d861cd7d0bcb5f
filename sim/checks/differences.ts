/**
 * Holds the difference of two maps against the model. `difference` fails when a page that differs is not
 * named, when a page that both share is named, or when a range is out of order or called what it is not.
 */
import { CheckFailed } from "../check-failed.ts";
import type { Life } from "../machine.ts";
import { chunkBytes, type MapModel } from "../map-model.ts";
import type { MapKey } from "../pool-model.ts";
import { pageBytes, stampZero, unitBytes, unitsPerPage } from "../unit-content.ts";

export async function checkDifference(life: Life, from: MapKey, to: MapKey): Promise<void> {
  const model = life.machine.history.current;
  const older = model.map(from);
  const newer = model.map(to);
  const fail = (sentence: string): never => {
    throw new CheckFailed("difference", `from ${JSON.stringify(from)} to ${JSON.stringify(to)}: ${sentence}`);
  };
  const named = new Set<number>();
  let end = 0;
  const ranges = life.pool.difference({ from: model.ref(from), to: model.ref(to) })[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await life.answer(ranges.next(), "difference");
    if (done) break;
    const { offsetBytes, lengthBytes, kind } = value;
    if (offsetBytes < end || lengthBytes <= 0) fail(`a range at ${offsetBytes}+${lengthBytes} behind ${end}`);
    end = offsetBytes + lengthBytes;
    if (end > Math.max(older.sizeBytes, newer.sizeBytes)) fail(`a range ends at ${end}, behind the end`);
    // What lies behind the older map's end was never there: it may be named as one range, however large.
    for (
      let page = Math.floor(offsetBytes / pageBytes);
      page * pageBytes < Math.min(end, older.sizeBytes);
      page++
    ) {
      named.add(page);
      if (sharedPage(older, newer, page)) fail(`the page at ${page * pageBytes} is named, but both share it`);
    }
    checkKind(newer, offsetBytes, end, kind, fail);
  }
  const pages = new Set([...older.chunkOffsets(), ...newer.chunkOffsets()].flatMap(pagesOfChunk));
  for (const page of pages) {
    if (page * pageBytes >= Math.min(older.sizeBytes, newer.sizeBytes)) continue;
    if (!named.has(page) && differs(older, newer, page))
      fail(`the page at ${page * pageBytes} differs, but is not named`);
  }
}

function pagesOfChunk(offset: number): number[] {
  return Array.from({ length: chunkBytes / pageBytes }, (_, page) => offset / pageBytes + page);
}

/** Both maps refer to the same block, or to none: nothing that a difference should name. */
function sharedPage(older: MapModel, newer: MapModel, page: number): boolean {
  if (page * pageBytes >= newer.sizeBytes) return false;
  return older.block(page) === newer.block(page) && older.block(page) !== 0;
}

function differs(older: MapModel, newer: MapModel, page: number): boolean {
  const before = older.stamps(page * unitsPerPage, unitsPerPage);
  const after = newer.stamps(page * unitsPerPage, unitsPerPage);
  return before.some((stamp, unit) =>
    stamp <= stampZero ? after[unit]! > stampZero : stamp !== after[unit],
  );
}

function checkKind(
  map: MapModel,
  from: number,
  to: number,
  kind: string,
  fail: (sentence: string) => never,
): void {
  for (const chunk of map.chunkOffsets()) {
    const start = Math.max(from, chunk);
    const end = Math.min(to, chunk + chunkBytes, map.sizeBytes);
    if (start >= end) continue;
    const stamps = map.stamps(Math.floor(start / unitBytes), Math.ceil((end - start) / unitBytes));
    if (kind !== "data" && stamps.some((stamp) => stamp > stampZero))
      fail(`${start} to ${end} is not ${kind}`);
  }
}
