/**
 * What a map holds where, from its nodes alone: extents, allocation depth, and the difference of two maps.
 * Always holds: runs come in order, without gaps, adjacent ones of one kind joined. Subtrees that two maps share
 * are skipped, so a difference costs what differs.
 */
import type { Extent, ExtentKind } from "../../device/mod.ts";
import type { Engine } from "../engine.ts";
import { CHILD_ZERO, FANOUT, LEAF_PAGES, NODE_INDEX_FIRST, PAGE_BYTES } from "../format/layout.ts";
import { isNode } from "../map/inner-node.ts";
import { EntryKind, KIND_SHIFT, type Leaf, VALUE_MASK } from "../map/leaf.ts";
import { type MapRoot, slotAt } from "../map/map-root.ts";
import type { Difference } from "../pool-api.ts";

/** A run of pages of one kind below a map. */
interface Run {
  readonly kind: ExtentKind;
  readonly pages: number;
}

const KIND_NAMES: readonly ExtentKind[] = ["data", "data", "zero", "hole"];

/** The run that begins at a page, at most to the end of its subtree; undefined with `tree.missing` set. */
function runAt(engine: Engine, map: MapRoot, page: number): Run | undefined {
  const { tree } = engine;
  const leafIndex = Math.floor(page / LEAF_PAGES);
  let child = map.root;
  let span = LEAF_PAGES * FANOUT ** map.height;
  for (let level = map.height; ; level -= 1) {
    if (child < NODE_INDEX_FIRST)
      return { kind: child === CHILD_ZERO ? "zero" : "hole", pages: span - (page % span) };
    if (level === 0) break;
    const node = tree.inner(child);
    if (node === undefined) return undefined;
    child = node.children[slotAt(leafIndex, level)]!;
    span /= FANOUT;
  }
  const leaf = tree.leaf(child);
  if (leaf === undefined) return undefined;
  const slot = page % LEAF_PAGES;
  const kind = KIND_NAMES[leaf.kind(slot)]!;
  if (kind === "hole") return { kind, pages: leaf.nextPresent(slot) - slot };
  if (kind === "data" && leaf.size === LEAF_PAGES && engine.nodes.dataPages(leaf.id) === LEAF_PAGES)
    return { kind, pages: LEAF_PAGES - slot };
  let end = slot + 1;
  while (end < LEAF_PAGES && KIND_NAMES[leaf.kind(end)] === kind) end += 1;
  return { kind, pages: end - slot };
}

/** Extents of [offset, offset + length) of a map; at once when all nodes are at hand. */
export function extents(
  engine: Engine,
  map: () => MapRoot,
  offset: number,
  length: number,
  extentsMax: number,
): Extent[] | Promise<Extent[]> {
  const found: Extent[] = [];
  const at = gather(engine, map(), offset, offset + length, extentsMax, found);
  if (at < 0) return found;
  return (async () => {
    let from = at;
    while (from >= 0) {
      await engine.fetchMissing();
      from = gather(engine, map(), from, offset + length, extentsMax, found);
    }
    return found;
  })();
}

/** Adds extents from `from` on; returns -1 when done, else where a node is missing. */
function gather(
  engine: Engine,
  map: MapRoot,
  from: number,
  end: number,
  extentsMax: number,
  found: Extent[],
): number {
  let at = from;
  while (at < end) {
    const run = runAt(engine, map, Math.floor(at / PAGE_BYTES));
    if (run === undefined) return at;
    const stop = Math.min((Math.floor(at / PAGE_BYTES) + run.pages) * PAGE_BYTES, map.sizeBytes);
    if (stop <= at) return -1;
    const last = found.at(-1);
    if (last !== undefined && last.kind === run.kind)
      found[found.length - 1] = { ...last, lengthBytes: stop - last.offsetBytes };
    else {
      if (found.length === extentsMax) return -1;
      found.push({ offsetBytes: at, lengthBytes: stop - at, kind: run.kind });
    }
    at = stop;
  }
  return -1;
}

/**
 * Allocation depth as qemu counts it: 0 nothing allocated, 1 in the volume's own leaves, 2 shared with a
 * snapshot or clone.
 */
export async function allocationDepth(
  engine: Engine,
  map: () => MapRoot,
  offset: number,
  length: number,
  extentsMax: number,
): Promise<{ lengthBytes: number; depth: number }[]> {
  const found: { lengthBytes: number; depth: number }[] = [];
  const end = Math.min(offset + length, map().sizeBytes);
  for (let at = offset; at < end; ) {
    const page = Math.floor(at / PAGE_BYTES);
    const step = depthAt(engine, map(), page);
    if (step === undefined) {
      await engine.fetchMissing();
      continue;
    }
    const lengthBytes = Math.min((page + step.pages) * PAGE_BYTES, end) - at;
    const last = found.at(-1);
    if (last?.depth === step.depth) last.lengthBytes += lengthBytes;
    else {
      if (found.length === extentsMax) return found;
      found.push({ lengthBytes, depth: step.depth });
    }
    at += lengthBytes;
  }
  return found;
}

function depthAt(engine: Engine, map: MapRoot, page: number): { pages: number; depth: number } | undefined {
  const { tree, nodes } = engine;
  const leafIndex = Math.floor(page / LEAF_PAGES);
  let shared = false;
  let child = map.root;
  let span = LEAF_PAGES * FANOUT ** map.height;
  for (let level = map.height; isNode(child); level -= 1) {
    shared ||= nodes.count(child) > 1;
    if (level === 0) {
      const leaf = tree.leaf(child);
      if (leaf === undefined) return undefined;
      const slot = page % LEAF_PAGES;
      const depth = (at: number) => {
        const kind = leaf.kind(at);
        return kind === EntryKind.hole ? 0 : shared || kind === EntryKind.foreign ? 2 : 1;
      };
      let end = slot + 1;
      while (end < LEAF_PAGES && depth(end) === depth(slot)) end += 1;
      return { pages: end - slot, depth: depth(slot) };
    }
    const node = tree.inner(child);
    if (node === undefined) return undefined;
    child = node.children[slotAt(leafIndex, level)]!;
    span /= FANOUT;
  }
  return { pages: span - (page % span), depth: child === CHILD_ZERO ? (shared ? 2 : 1) : 0 };
}

/** Ranges in which `to` reads otherwise than `from`, in pages; both maps are frozen. */
export async function* differences(
  engine: Engine,
  from: MapRoot,
  to: MapRoot,
  firstPage: number,
  endPage: number,
  guard: () => void,
): AsyncGenerator<Difference> {
  let pending: { offset: number; end: number; kind: ExtentKind } | undefined;
  const sizeBytes = Math.max(from.sizeBytes, to.sizeBytes);
  const limit = Math.min(endPage, Math.ceil(sizeBytes / PAGE_BYTES));
  for (let page = firstPage; page < limit; ) {
    // While it waited, or its reader did, a map may have been given up, and would read as holes.
    guard();
    const step = differenceAt(engine, from, to, page);
    if (step === undefined) {
      await engine.fetchMissing();
      continue;
    }
    for (const run of step.runs) {
      const offset = run.page * PAGE_BYTES;
      const end = Math.min((run.page + run.pages) * PAGE_BYTES, limit * PAGE_BYTES, sizeBytes);
      if (end <= offset) continue;
      if (pending !== undefined && pending.end === offset && pending.kind === run.kind) pending.end = end;
      else {
        if (pending !== undefined)
          yield {
            offsetBytes: pending.offset,
            lengthBytes: pending.end - pending.offset,
            kind: pending.kind,
          };
        pending = { offset, end, kind: run.kind };
      }
    }
    page += step.pages;
  }
  if (pending !== undefined)
    yield { offsetBytes: pending.offset, lengthBytes: pending.end - pending.offset, kind: pending.kind };
}

interface DifferenceStep {
  /** Pages that the step covers from its start. */
  readonly pages: number;
  readonly runs: { page: number; pages: number; kind: ExtentKind }[];
}

/** The nodes of both maps on the way to a page, down to where they are the same or are leaves. */
function differenceAt(engine: Engine, from: MapRoot, to: MapRoot, page: number): DifferenceStep | undefined {
  const { tree } = engine;
  const leafIndex = Math.floor(page / LEAF_PAGES);
  const height = Math.max(from.height, to.height);
  let span = LEAF_PAGES * FANOUT ** height;
  let left = from.height === height ? from.root : -1;
  let right = to.height === height ? to.root : -1;
  for (let level = height; level >= 0; level -= 1) {
    // A lower map's root stands on the way only where everything above leads to its first child.
    if (left === -1 && level === from.height) left = from.root;
    if (right === -1 && level === to.height) right = to.root;
    const beyondLeft = left === -1 && page >= LEAF_PAGES * FANOUT ** from.height;
    const beyondRight = right === -1 && page >= LEAF_PAGES * FANOUT ** to.height;
    if (beyondLeft) left = 0;
    if (beyondRight) right = 0;
    const empty = (child: number) => child >= 0 && child < NODE_INDEX_FIRST;
    if ((left === right && left >= 0) || (empty(left) && empty(right)))
      return { pages: span - (page % span), runs: [] };
    if (level === 0) return leafDifference(engine, left, right, page);
    const slot = slotAt(leafIndex, level);
    if (isNode(left)) {
      const node = tree.inner(left);
      if (node === undefined) return undefined;
      left = node.children[slot]!;
    }
    if (isNode(right)) {
      const node = tree.inner(right);
      if (node === undefined) return undefined;
      right = node.children[slot]!;
    }
    span /= FANOUT;
  }
  return undefined;
}

function leafDifference(
  engine: Engine,
  left: number,
  right: number,
  page: number,
): DifferenceStep | undefined {
  const { tree } = engine;
  let leftLeaf: Leaf | undefined;
  let rightLeaf: Leaf | undefined;
  if (isNode(left)) {
    leftLeaf = tree.leaf(left);
    if (leftLeaf === undefined) return undefined;
  }
  if (isNode(right)) {
    rightLeaf = tree.leaf(right);
    if (rightLeaf === undefined) return undefined;
  }
  const base = page - (page % LEAF_PAGES);
  const runs: DifferenceStep["runs"] = [];
  for (let slot = page % LEAF_PAGES; slot < LEAF_PAGES; slot += 1) {
    if (sameContent(leftLeaf, rightLeaf, slot)) continue;
    const kind: ExtentKind =
      rightLeaf === undefined ? (right === CHILD_ZERO ? "zero" : "hole") : KIND_NAMES[rightLeaf.kind(slot)]!;
    const last = runs.at(-1);
    if (last !== undefined && last.page + last.pages === base + slot && last.kind === kind) last.pages += 1;
    else runs.push({ page: base + slot, pages: 1, kind });
  }
  return { pages: LEAF_PAGES - (page % LEAF_PAGES), runs };
}

/** Whether a page is the same block in both leaves, or reads as zeros in both. */
function sameContent(left: Leaf | undefined, right: Leaf | undefined, slot: number): boolean {
  const leftAt = left?.find(slot) ?? -1;
  const rightAt = right?.find(slot) ?? -1;
  const leftKind = leftAt < 0 ? EntryKind.hole : left!.words[leftAt]! >>> KIND_SHIFT;
  const rightKind = rightAt < 0 ? EntryKind.hole : right!.words[rightAt]! >>> KIND_SHIFT;
  const leftZero = leftKind === EntryKind.hole || leftKind === EntryKind.zero;
  const rightZero = rightKind === EntryKind.hole || rightKind === EntryKind.zero;
  if (leftZero || rightZero) return leftZero && rightZero;
  return (
    ownerOf(left!, leftAt) === ownerOf(right!, rightAt) &&
    slotOf(left!, leftAt, slot) === slotOf(right!, rightAt, slot)
  );
}

function ownerOf(leaf: Leaf, at: number): number {
  const first = leaf.words[at]!;
  return first >>> KIND_SHIFT === EntryKind.own ? leaf.id : leaf.foreign![first & VALUE_MASK]!;
}

function slotOf(leaf: Leaf, at: number, slot: number): number {
  return leaf.words[at]! >>> KIND_SHIFT === EntryKind.own ? slot : leaf.words[at + 1]!;
}
