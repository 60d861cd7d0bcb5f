/**
 * Graft: a range of one map refers to what a range of another holds, without moving data. Whole leaves and
 * whole 1 GiB subtrees are shared where the two ranges lie alike; elsewhere leaves are built of runs of the
 * source's leaves.
 *
 * Always holds: the source is frozen while a graft of several records runs, and always when it is the same
 * volume (a pin); one call is one record's bounded work within a turn.
 */
import { CHILD_HOLE, FANOUT, LEAF_PAGES, NODE_INDEX_FIRST } from "../format/layout.ts";
import { isNode } from "./inner-node.ts";
import { EntryKind, KIND_SHIFT, type Leaf, ZERO_ENTRY } from "./leaf.ts";
import { type MapRoot, slotAt } from "./map-root.ts";
import { Found, type Tree } from "./tree.ts";

/** Leaves that one record builds at most: some 0.3 ms of work. */
const BUILT_LEAVES_MAX = 32;
const SUBTREE_PAGES = LEAF_PAGES * FANOUT;
/** Subtrees of 1 GiB that one record shares at most. */
const SHARED_SUBTREES_MAX = 16;

export interface GraftRange {
  readonly source: MapRoot;
  readonly sourcePage: number;
  readonly target: MapRoot;
  readonly targetPage: number;
  readonly pages: number;
}

/** Pages that the next record of a graft covers. */
export function graftStepPages(range: Omit<GraftRange, "source" | "target">): number {
  const { sourcePage, targetPage, pages } = range;
  if (sourcePage % SUBTREE_PAGES === targetPage % SUBTREE_PAGES) {
    const toBorder = (SUBTREE_PAGES - (targetPage % SUBTREE_PAGES)) % SUBTREE_PAGES;
    const whole = Math.min(SHARED_SUBTREES_MAX, Math.floor((pages - toBorder) / SUBTREE_PAGES));
    if (whole > 0) return toBorder + whole * SUBTREE_PAGES;
  }
  if (sourcePage % LEAF_PAGES === targetPage % LEAF_PAGES) {
    return Math.min(pages, SUBTREE_PAGES - (targetPage % SUBTREE_PAGES));
  }
  return Math.min(pages, BUILT_LEAVES_MAX * LEAF_PAGES - (targetPage % LEAF_PAGES));
}

interface Piece {
  /** 1: a whole 1 GiB subtree; 0: a whole leaf; -1: pages of one leaf. */
  readonly level: -1 | 0 | 1;
  readonly sourcePage: number;
  readonly targetPage: number;
  readonly pages: number;
}

function* pieces(range: GraftRange): Iterable<Piece> {
  let { sourcePage, targetPage, pages } = range;
  while (pages > 0) {
    let piece: Piece;
    const alike = (unit: number) => sourcePage % unit === 0 && targetPage % unit === 0 && pages >= unit;
    if (alike(SUBTREE_PAGES) && range.target.height >= 2)
      piece = { level: 1, sourcePage, targetPage, pages: SUBTREE_PAGES };
    else if (alike(LEAF_PAGES)) piece = { level: 0, sourcePage, targetPage, pages: LEAF_PAGES };
    else {
      const part = Math.min(pages, LEAF_PAGES - (targetPage % LEAF_PAGES));
      piece = { level: -1, sourcePage, targetPage, pages: part };
    }
    yield piece;
    sourcePage += piece.pages;
    targetPage += piece.pages;
    pages -= piece.pages;
  }
}

/** A node of a map at a level: its id, CHILD_HOLE or CHILD_ZERO; undefined with `tree.missing` set. */
function childAt(tree: Tree, map: MapRoot, leafIndex: number, level: number): number | undefined {
  let child = map.root;
  if (level > map.height) return CHILD_HOLE;
  for (let at = map.height; at > level; at -= 1) {
    if (child < NODE_INDEX_FIRST) return child;
    const node = tree.inner(child);
    if (node === undefined) return undefined;
    child = node.children[slotAt(leafIndex, at)]!;
  }
  return child;
}

/** Whether `graft` can run in this turn; else `tree.missing` names a node to fetch. */
export function residentForGraft(tree: Tree, range: GraftRange): boolean {
  for (const piece of pieces(range)) {
    const sourceLeaf = Math.floor(piece.sourcePage / LEAF_PAGES);
    const targetLeaf = Math.floor(piece.targetPage / LEAF_PAGES);
    if (piece.level < 0) {
      if (!tree.resident(range.target, targetLeaf) || !tree.resident(range.source, sourceLeaf)) return false;
      const lastLeaf = Math.floor((piece.sourcePage + piece.pages - 1) / LEAF_PAGES);
      if (lastLeaf !== sourceLeaf && !tree.resident(range.source, lastLeaf)) return false;
      continue;
    }
    const source = childAt(tree, range.source, sourceLeaf, piece.level);
    const target = childAt(tree, range.target, targetLeaf, piece.level);
    if (source === undefined || target === undefined) return false;
    if (piece.level === 1) {
      for (const child of [source, target]) {
        if (isNode(child) && tree.inner(child) === undefined) return false;
      }
    }
  }
  return true;
}

/** Does one record's graft; `residentForGraft` said yes in this turn. */
export function graft(tree: Tree, range: GraftRange): void {
  for (const piece of pieces(range)) {
    if (piece.level < 0) graftPages(tree, range, piece);
    else shareChild(tree, range, piece);
  }
}

function shareChild(tree: Tree, range: GraftRange, piece: Piece): void {
  const { source, target } = range;
  const child = childAt(tree, source, Math.floor(piece.sourcePage / LEAF_PAGES), piece.level)!;
  const leafIndex = Math.floor(piece.targetPage / LEAF_PAGES);
  const level = piece.level + 1;
  if (child === CHILD_HOLE && childAt(tree, target, leafIndex, piece.level) === CHILD_HOLE) return;
  const parent = tree.copyOnWrite.writableInner(target, leafIndex, level);
  const slot = slotAt(leafIndex, level);
  const old = parent.children[slot]!;
  if (old === child) return;
  const { table } = tree.cache;
  if (isNode(child)) table.addReference(child, parent.id);
  target.dataPages += tree.subtreeDataPages(child, piece.level) - tree.subtreeDataPages(old, piece.level);
  tree.copyOnWrite.setChild(parent, slot, child);
  if (isNode(old)) tree.releaser.release(old, parent.id);
}

function graftPages(tree: Tree, range: GraftRange, piece: Piece): void {
  const { table } = tree.cache;
  const target = tree.copyOnWrite.writableLeaf(range.target, Math.floor(piece.targetPage / LEAF_PAGES));
  const before = table.dataPages(target.id);
  const first = piece.targetPage % LEAF_PAGES;
  let data = before;
  for (
    let slot = target.nextPresent(first);
    slot < first + piece.pages;
    slot = target.nextPresent(slot + 1)
  ) {
    const at = target.find(slot);
    if (target.words[at]! >>> KIND_SHIFT !== EntryKind.zero) data -= 1;
    tree.releaser.releaseEntry(target, at);
    target.clear(slot);
  }
  let done = 0;
  while (done < piece.pages) {
    const sourcePage = piece.sourcePage + done;
    const part = Math.min(piece.pages - done, LEAF_PAGES - (sourcePage % LEAF_PAGES));
    const leaf = tree.findLeaf(range.source, Math.floor(sourcePage / LEAF_PAGES));
    if (leaf === Found.zero) fillZero(target, first + done, part);
    else if (typeof leaf !== "number")
      data += tree.entries.copyEntries(leaf, sourcePage % LEAF_PAGES, target, first + done, part);
    done += part;
  }
  if (data !== before) {
    table.setDataPages(target.id, data);
    range.target.dataPages += data - before;
  }
  tree.cache.account(target);
}

function fillZero(leaf: Leaf, from: number, count: number): void {
  for (let page = from; page < from + count; page += 1) leaf.set(page, ZERO_ENTRY, 0, 0);
}
