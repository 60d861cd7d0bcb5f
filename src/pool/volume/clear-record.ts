/**
 * What zero, trim and resize records do to a volume's map, live or replayed.
 *
 * Always holds: a record means the same when it is replayed as when it was appended; what it needs of the map is in
 * memory in the turn in which it is applied (`residentForClear`).
 */
import type { Engine } from "../engine.ts";
import { LEAF_PAGES, PAGE_BYTES } from "../format/layout.ts";
import { RecordFlag } from "../format/record.ts";
import type { Segment } from "../log/segment.ts";
import { clearPages, residentForClearPages } from "../map/clear-pages.ts";
import type { MapRoot } from "../map/map-root.ts";
import type { VolumeObject } from "./catalogue.ts";

/** What a zero, trim or resize record says, live or replayed. */
export interface ClearRecord {
  readonly flags: number;
  readonly offset: number;
  readonly length: number;
  /** Offset of its first data page in the segment. */
  readonly position: number;
  readonly sums: Uint32Array;
  readonly sumsAt: number;
}

/** Whether the nodes that clearing [offset, end) changes are in memory. */
export function residentForClear(engine: Engine, map: MapRoot, offset: number, end: number): boolean {
  const { tree } = engine;
  const { firstWhole, endWhole } = wholePages(map, offset, end);
  const page = (at: number) => tree.resident(map, Math.floor(at / LEAF_PAGES));
  if (firstWhole * PAGE_BYTES > offset && !page(firstWhole - 1)) return false;
  if (endWhole >= firstWhole && endWhole * PAGE_BYTES < end && !page(endWhole)) return false;
  return endWhole <= firstWhole || residentForClearPages(tree, map, firstWhole, endWhole);
}

/** The pages that lie whole in [offset, end). A volume's last page is whole when it is cleared up to the size. */
function wholePages(map: MapRoot, offset: number, end: number): { firstWhole: number; endWhole: number } {
  const endWhole = end === map.sizeBytes ? Math.ceil(end / PAGE_BYTES) : Math.floor(end / PAGE_BYTES);
  return { firstWhole: Math.ceil(offset / PAGE_BYTES), endWhole };
}

export function applyClear(
  engine: Engine,
  volume: VolumeObject,
  record: ClearRecord,
  segment: Segment,
): void {
  const { tree } = engine;
  const { map } = volume;
  const end = Math.min(record.offset + record.length, map.sizeBytes);
  const { firstWhole, endWhole } = wholePages(map, record.offset, end);
  let edge = 0;
  if ((record.flags & RecordFlag.headEdge) !== 0) {
    tree.mapData(
      map,
      Math.floor(record.offset / PAGE_BYTES),
      1,
      segment,
      record.position,
      record.sums,
      record.sumsAt,
    );
    edge = 1;
  }
  if (endWhole > firstWhole) {
    clearPages(tree, map, firstWhole, endWhole, (record.flags & RecordFlag.noHole) !== 0 ? "zero" : "hole");
  }
  if ((record.flags & RecordFlag.tailEdge) !== 0) {
    tree.mapData(
      map,
      Math.floor(end / PAGE_BYTES),
      1,
      segment,
      record.position + edge * PAGE_BYTES,
      record.sums,
      record.sumsAt + edge,
    );
  }
}

export function applyResize(
  engine: Engine,
  volume: VolumeObject,
  record: ClearRecord,
  segment: Segment,
): void {
  const { tree } = engine;
  const { map } = volume;
  const sizeBytes = record.length;
  if (sizeBytes >= map.sizeBytes) {
    tree.grow(map, sizeBytes);
    return;
  }
  if ((record.flags & RecordFlag.headEdge) !== 0) {
    tree.mapData(
      map,
      Math.floor(sizeBytes / PAGE_BYTES),
      1,
      segment,
      record.position,
      record.sums,
      record.sumsAt,
    );
  }
  const firstWhole = Math.ceil(sizeBytes / PAGE_BYTES);
  const endWhole = Math.ceil(map.sizeBytes / PAGE_BYTES);
  if (endWhole > firstWhole) clearPages(tree, map, firstWhole, endWhole, "hole");
  map.sizeBytes = sizeBytes;
}
