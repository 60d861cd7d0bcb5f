/** A map: the root of a tree, and who holds it. Volumes, snapshots, pins and cursors' frozen maps have one each. */
import { CHILD_HOLE, FANOUT, HOLDER_BASE, LEAF_PAGES, PAGE_BYTES } from "../format/layout.ts";

export interface MapRoot {
  /** The holder's id among referrers: HOLDER_BASE + object id. */
  readonly holder: number;
  /** Node id of the root, CHILD_HOLE for an empty map. */
  root: number;
  /** Level of the root: 1 to 4. */
  height: number;
  sizeBytes: number;
  /** Pages with data. */
  dataPages: number;
}

export function emptyMap(object: number, sizeBytes: number): MapRoot {
  return {
    holder: HOLDER_BASE + object,
    root: CHILD_HOLE,
    height: heightFor(sizeBytes),
    sizeBytes,
    dataPages: 0,
  };
}

/** Level of the root that spans a size. */
export function heightFor(sizeBytes: number): number {
  let height = 1;
  for (let span = LEAF_PAGES * FANOUT * PAGE_BYTES; span < sizeBytes; span *= FANOUT) height += 1;
  return height;
}

/** Slot of a leaf's ancestor at `level` in that node's parent chain: which child of a node at `level` leads to it. */
export function slotAt(leafIndex: number, level: number): number {
  return (leafIndex >>> (9 * (level - 1))) & (FANOUT - 1);
}
