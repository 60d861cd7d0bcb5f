/**
 * Makes a range of a map's pages holes or allocated zeros. Whole subtrees go at once, in one step of their parent.
 *
 * Always holds: only nodes that reach over an end of the range change; what lies whole in it is released and
 * dropped in the background. `clearPages` runs within a turn in which `residentForClearPages` said yes.
 */
import { CHILD_HOLE, CHILD_ZERO, FANOUT, LEAF_PAGES } from "../format/layout.ts";
import type { InnerNode } from "./inner-node.ts";
import { isNode } from "./inner-node.ts";
import { EntryKind, KIND_SHIFT, ZERO_ENTRY } from "./leaf.ts";
import type { MapRoot } from "./map-root.ts";
import type { Tree } from "./tree.ts";

/** Whether `clearPages` can run in this turn; else `tree.missing` names a node to fetch. */
export function residentForClearPages(tree: Tree, map: MapRoot, firstPage: number, endPage: number): boolean {
  return residentRange(tree, map.root, map.height, 0, firstPage, endPage);
}

function residentRange(
  tree: Tree,
  child: number,
  level: number,
  base: number,
  first: number,
  end: number,
): boolean {
  if (!isNode(child)) return true;
  const span = LEAF_PAGES * FANOUT ** level;
  if (level === 0) return (first <= base && end >= base + LEAF_PAGES) || tree.leaf(child) !== undefined;
  const node = tree.inner(child);
  if (node === undefined) return false;
  const childSpan = span / FANOUT;
  const from = Math.max(0, Math.floor((first - base) / childSpan));
  const to = Math.min(FANOUT, Math.ceil((end - base) / childSpan));
  for (let slot = from; slot < to; slot += 1) {
    if (!residentRange(tree, node.children[slot]!, level - 1, base + slot * childSpan, first, end))
      return false;
  }
  return true;
}

/** Makes pages [firstPage, endPage) holes, or allocated zeros. Whole subtrees go at once. */
export function clearPages(
  tree: Tree,
  map: MapRoot,
  firstPage: number,
  endPage: number,
  kind: "hole" | "zero",
): void {
  const fill = kind === "hole" ? CHILD_HOLE : CHILD_ZERO;
  if (kind === "hole" && !isNode(map.root) && map.root === CHILD_HOLE) return;
  clearIn(tree, map, undefined, map.height, 0, firstPage, endPage, fill);
}

function clearIn(
  tree: Tree,
  map: MapRoot,
  parent: InnerNode | undefined,
  level: number,
  base: number,
  first: number,
  end: number,
  fill: number,
): void {
  const span = LEAF_PAGES * FANOUT ** level;
  const childSpan = span / FANOUT;
  const node = parent ?? tree.copyOnWrite.writableRoot(map);
  const from = Math.max(0, Math.floor((first - base) / childSpan));
  const to = Math.min(FANOUT, Math.ceil((end - base) / childSpan));
  for (let slot = from; slot < to; slot += 1) {
    const child = node.children[slot]!;
    if (child === fill) continue;
    const childBase = base + slot * childSpan;
    if (first <= childBase && end >= childBase + childSpan) {
      if (isNode(child)) {
        map.dataPages -= tree.subtreeDataPages(child, level - 1);
        tree.copyOnWrite.setChild(node, slot, fill);
        tree.releaser.release(child, node.id);
      } else tree.copyOnWrite.setChild(node, slot, fill);
    } else if (level === 1) {
      clearLeaf(
        tree,
        map,
        Math.floor(childBase / LEAF_PAGES),
        Math.max(first, childBase),
        Math.min(end, childBase + LEAF_PAGES),
        fill,
      );
    } else {
      clearIn(
        tree,
        map,
        tree.copyOnWrite.writableInner(map, Math.floor(childBase / LEAF_PAGES), level - 1),
        level - 1,
        childBase,
        first,
        end,
        fill,
      );
    }
  }
}

function clearLeaf(
  tree: Tree,
  map: MapRoot,
  leafIndex: number,
  first: number,
  end: number,
  fill: number,
): void {
  const { cache, releaser } = tree;
  const leaf = tree.copyOnWrite.writableLeaf(map, leafIndex);
  const { table } = cache;
  const before = table.dataPages(leaf.id);
  const base = leafIndex * LEAF_PAGES;
  if (fill === CHILD_HOLE) {
    for (let slot = leaf.nextPresent(first - base); slot < end - base; slot = leaf.nextPresent(slot + 1))
      releaser.clearPage(leaf, slot);
  } else {
    let data = before;
    for (let slot = first - base; slot < end - base; slot += 1) {
      const at = leaf.find(slot);
      if (at >= 0 && leaf.words[at]! >>> KIND_SHIFT !== EntryKind.zero) {
        releaser.releaseEntry(leaf, at);
        data -= 1;
      }
      leaf.set(slot, ZERO_ENTRY, 0, 0);
    }
    if (data !== before) table.setDataPages(leaf.id, data);
    cache.account(leaf);
  }
  map.dataPages += table.dataPages(leaf.id) - before;
}
