/**
 * The cut: what one checkpoint writes, as it stood when the state was frozen.
 *
 * Always holds: freezing takes one turn, between two records of the log; what changes later copies first (nodes are
 * encoded, table pages copied). A cut that could not be written is thawed: the next one has all that it had.
 */
import { bytesOfWords } from "../../base/words.ts";
import type { Engine } from "../engine.ts";
import { roundUp } from "../format/layout.ts";
import type { Place } from "../format/superblock.ts";
import type { Segment } from "../log/segment.ts";
import type { Node } from "../map/node-cache.ts";
import type { FreedSegments } from "./freed-segments.ts";

export interface Cut {
  readonly checkpoint: number;
  readonly sequence: number;
  readonly segment: number;
  readonly position: number;
  readonly nodes: Node[];
  readonly nodePages: number[];
  readonly segmentPages: number[];
  readonly nodeBound: number;
  readonly segmentRows: number;
  readonly catalogue: Uint32Array;
  readonly catalogueBytes: number;
  readonly reclaim: Uint32Array;
  readonly owners: { segment: Segment; row: number; length: number }[];
  /** Pieces that the cut's state does without: pairs of segment number and length. */
  readonly frees: number[];
  readonly freed: Segment[];
  /** Pieces that this checkpoint replaces, and those of its own that the next one replaces whole. */
  readonly obsolete: Place[];
  readonly previous: Place[];
}

/** `pinnedFrom`: the first log segment that must stay for cursors. */
export function freezeCut(
  engine: Engine,
  freedSegments: FreedSegments,
  { checkpoint, pinnedFrom }: { checkpoint: number; pinnedFrom: number },
): Cut {
  const { cache, nodes, segments, log, store, catalogue, reclaim } = engine;
  log.segment.end = log.position;
  segments.setEnd(log.segment, { sealed: false });
  const freed = freedSegments.take(pinnedFrom);
  const owners: Cut["owners"] = [];
  for (const segment of segments.all.values()) {
    if (segment.owners === undefined || segment.row < 0 || segment.owners.saved === segment.owners.length)
      continue;
    owners.push({ segment, row: segment.row, length: segment.owners.length });
    // The row will name the new owner page, so its page is part of this checkpoint.
    segments.table.edit(segment.row);
  }
  const text = Buffer.from(catalogue.encode(), "utf8");
  const catalogueWords = new Uint32Array(Math.ceil(text.length / 4));
  bytesOfWords(catalogueWords).set(text);
  engine.cutBytes = log.appendedBytes;
  engine.cutRecords = log.sequence;
  segments.age = checkpoint + 1;
  return {
    checkpoint,
    sequence: log.sequence,
    segment: log.segment.number,
    position: log.position,
    nodes: cache.freezeDirty(),
    nodePages: nodes.table.freeze(),
    segmentPages: segments.table.freeze(),
    nodeBound: nodes.bound,
    segmentRows: segments.table.length,
    catalogue: catalogueWords,
    catalogueBytes: text.length,
    reclaim: reclaim.encode(),
    owners,
    frees: store.takeFrees(),
    freed,
    obsolete: [],
    previous: [],
  };
}

/** The cut was not written: what it froze is changed in place again, and what it wrote in vain is given up. */
export function thawCut(engine: Engine, freedSegments: FreedSegments, cut: Cut): void {
  const { cache, nodes, segments, store } = engine;
  nodes.table.unfreeze();
  segments.table.unfreeze();
  cache.unfreeze(cut.nodes);
  for (const piece of [...cut.obsolete, ...cut.previous])
    cut.frees.push(piece.segment, roundUp(piece.length, 8));
  store.returnFrees(cut.frees);
  freedSegments.add(cut.freed, cut.checkpoint);
}
