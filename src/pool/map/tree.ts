/**
 * Trees of nodes: lookups, and the changes that keep sharing right.
 *
 * Always holds: a node changes in place only if it and all its ancestors have count one; a shared one is copied
 * first, which costs one count per child (inner node) or per distinct leaf (leaf), never one per block.
 * Methods that change anything run within a turn and expect `resident` to have said yes in that turn.
 */
import { assert } from "../../base/assert.ts";
import {
  CHILD_HOLE,
  CHILD_ZERO,
  FANOUT,
  LEAF_PAGES,
  NODE_INDEX_FIRST,
  PAGE_BYTES,
} from "../format/layout.ts";
import type { Segment } from "../log/segment.ts";
import type { Segments } from "../log/segments.ts";
import type { InnerNode } from "./inner-node.ts";
import { EntryKind, KIND_SHIFT, type Leaf, VALUE_MASK } from "./leaf.ts";
import { ENTRY_WORDS } from "./leaf-slab.ts";
import { heightFor, type MapRoot, slotAt } from "./map-root.ts";
import type { NodeCache } from "./node-cache.ts";
import type { ReclaimQueue } from "./reclaim-queue.ts";

/** Result of `findLeaf` beside a leaf. */
export const Found = { hole: 0, zero: 1, missing: 2 } as const;

const ZERO_ENTRY = (EntryKind.zero << KIND_SHIFT) >>> 0;
const FOREIGN_ENTRY = (EntryKind.foreign << KIND_SHIFT) >>> 0;

function isNode(child: number): boolean {
  return child >= NODE_INDEX_FIRST;
}

export class Tree {
  readonly cache: NodeCache;
  readonly #segments: Segments;
  readonly #reclaim: ReclaimQueue;
  readonly #plants: ReadonlySet<string>;
  /** After `missing`: the node that must be fetched. */
  missing = 0;
  /** After `resolve` found data: where it stands and its checksum. */
  entrySegment = 0;
  entryOffset = 0;
  entrySum = 0;
  /** Told of every reference to another leaf's slot that is made, while a mark pass runs. */
  onForeign: ((leaf: number, slot: number) => void) | undefined;
  /** Told likewise of every leaf that a parent comes to refer to. */
  onChild: ((leaf: number) => void) | undefined;

  constructor(cache: NodeCache, segments: Segments, reclaim: ReclaimQueue, plants?: ReadonlySet<string>) {
    this.cache = cache;
    this.#segments = segments;
    this.#reclaim = reclaim;
    this.#plants = plants ?? new Set();
  }

  /** The leaf that maps a range, or what stands in its place; `missing` names the node to fetch. */
  findLeaf(map: MapRoot, leafIndex: number): Leaf | 0 | 1 | 2 {
    let child = map.root;
    for (let level = map.height; level >= 1; level -= 1) {
      if (child === CHILD_HOLE) return Found.hole;
      if (child === CHILD_ZERO) return Found.zero;
      const node = this.#node(child);
      if (node === undefined) return Found.missing;
      child = (node as InnerNode).children[slotAt(leafIndex, level)]!;
    }
    if (child === CHILD_HOLE) return Found.hole;
    if (child === CHILD_ZERO) return Found.zero;
    return (this.#node(child) as Leaf | undefined) ?? Found.missing;
  }

  #node(id: number) {
    const node = this.cache.get(id) ?? this.cache.fetchNow(id);
    if (node === undefined) this.missing = id;
    return node;
  }

  /**
   * What a page of a leaf is: EntryKind.own with `entrySegment`, `entryOffset`, `entrySum` set (foreign entries
   * resolved), hole or zero; -1 with `missing` set when a foreign leaf must be fetched.
   */
  resolve(leaf: Leaf, page: number): number {
    const at = leaf.find(page);
    if (at < 0) return EntryKind.hole;
    const first = leaf.words[at]!;
    const kind = first >>> KIND_SHIFT;
    if (kind === EntryKind.own) {
      this.entrySegment = first;
      this.entryOffset = leaf.words[at + 1]!;
      this.entrySum = leaf.words[at + 2]!;
      return EntryKind.own;
    }
    if (kind === EntryKind.zero) return EntryKind.zero;
    const owner = this.foreignLeaf(leaf, first & VALUE_MASK);
    if (owner === undefined) return -1;
    const ownerAt = owner.find(leaf.words[at + 1]!);
    assert(
      ownerAt >= 0 && owner.words[ownerAt]! >>> KIND_SHIFT === EntryKind.own,
      "a foreign entry names an own block",
    );
    this.entrySegment = owner.words[ownerAt]!;
    this.entryOffset = owner.words[ownerAt + 1]!;
    this.entrySum = owner.words[ownerAt + 2]!;
    return EntryKind.own;
  }

  /** Whether every node on the way to a leaf is in memory; else `missing` names one that is not. */
  resident(map: MapRoot, leafIndex: number): boolean {
    return this.findLeaf(map, leafIndex) !== Found.missing;
  }

  /** The leaf behind a foreign entry, or undefined with `missing` set. */
  foreignLeaf(leaf: Leaf, position: number): Leaf | undefined {
    return this.#node(leaf.foreign![position]!) as Leaf | undefined;
  }

  leaf(id: number): Leaf | undefined {
    return this.#node(id) as Leaf | undefined;
  }

  inner(id: number): InnerNode | undefined {
    return this.#node(id) as InnerNode | undefined;
  }

  // ---- copying what is shared ----

  /** The root, alone and changeable, made when there is none. */
  #writableRoot(map: MapRoot): InnerNode {
    if (!isNode(map.root)) {
      const root = this.cache.newInner(map.height);
      if (map.root === CHILD_ZERO) root.children.fill(CHILD_ZERO);
      this.cache.table.addReference(root.id, map.holder);
      map.root = root.id;
      return root;
    }
    const root = this.cache.get(map.root) as InnerNode;
    if (this.cache.table.count(root.id) === 1) return root;
    const copy = this.#copyInner(root, map.holder);
    map.root = copy.id;
    return copy;
  }

  /** Copies a shared inner node for `referrer`, which refers to the copy from now on. */
  #copyInner(node: InnerNode, referrer: number): InnerNode {
    const { table } = this.cache;
    const copy = this.cache.newInner(node.level);
    copy.children.set(node.children);
    for (let slot = 0; slot < FANOUT; slot += 1) {
      const child = copy.children[slot]!;
      if (!isNode(child)) continue;
      table.addReference(child, copy.id);
      if (node.level === 1) this.onChild?.(child);
    }
    table.addReference(copy.id, referrer);
    this.release(node.id, referrer);
    return copy;
  }

  /** The inner node at `level` above a leaf, alone and changeable with all its ancestors. */
  writableInner(map: MapRoot, leafIndex: number, level: number): InnerNode {
    let node = this.#writableRoot(map);
    while (node.level > level) {
      const slot = slotAt(leafIndex, node.level);
      const child = node.children[slot]!;
      let next: InnerNode;
      if (!isNode(child)) {
        next = this.cache.newInner(node.level - 1);
        if (child === CHILD_ZERO) next.children.fill(CHILD_ZERO);
        this.cache.table.addReference(next.id, node.id);
        this.setChild(node, slot, next.id);
      } else {
        next = this.cache.get(child) as InnerNode;
        if (this.cache.table.count(child) > 1) {
          next = this.#copyInner(next, node.id);
          this.setChild(node, slot, next.id);
        }
      }
      node = next;
    }
    return node;
  }

  setChild(node: InnerNode, slot: number, child: number): void {
    this.cache.touch(node);
    node.children[slot] = child;
    if (node.level === 1) this.onChild?.(child);
  }

  /** The leaf, alone and changeable with all its ancestors; made when there is none. */
  writableLeaf(map: MapRoot, leafIndex: number): Leaf {
    const parent = this.#plants.has("shared-parent-writable")
      ? this.#sharedParent(map, leafIndex)
      : this.writableInner(map, leafIndex, 1);
    const slot = slotAt(leafIndex, 1);
    const child = parent.children[slot]!;
    const { table } = this.cache;
    if (!isNode(child)) {
      const leaf = this.cache.newLeaf(child === CHILD_ZERO ? LEAF_PAGES : 1);
      if (child === CHILD_ZERO)
        for (let page = 0; page < LEAF_PAGES; page += 1) leaf.set(page, ZERO_ENTRY, 0, 0);
      table.addReference(leaf.id, parent.id);
      this.setChild(parent, slot, leaf.id);
      return leaf;
    }
    const leaf = this.cache.get(child) as Leaf;
    if (table.count(child) === 1) {
      this.cache.touch(leaf);
      return leaf;
    }
    return this.#copyLeaf(leaf, parent, slot);
  }

  /** Planted bug: looks only at the leaf's own count. */
  #sharedParent(map: MapRoot, leafIndex: number): InnerNode {
    const leaf = this.findLeaf(map, leafIndex);
    if (typeof leaf === "number" || this.cache.table.count(leaf.id) !== 1)
      return this.writableInner(map, leafIndex, 1);
    let node = this.cache.get(map.root) as InnerNode;
    while (node.level > 1) node = this.cache.get(node.children[slotAt(leafIndex, node.level)]!) as InnerNode;
    return node;
  }

  /** A new leaf in `parent` that refers to everything the old one holds; the old one's content stays as it is. */
  #copyLeaf(leaf: Leaf, parent: InnerNode, slot: number): Leaf {
    const { table } = this.cache;
    const copy = this.cache.newLeaf(leaf.size);
    const pages = table.dataPages(leaf.id);
    this.copyEntries(leaf, 0, copy, 0, LEAF_PAGES);
    table.setDataPages(copy.id, pages);
    table.addReference(copy.id, parent.id);
    this.setChild(parent, slot, copy.id);
    this.release(leaf.id, parent.id);
    this.cache.account(copy);
    return copy;
  }

  /**
   * Makes `count` pages of `target` refer to what those of `source` hold. What they held before is gone already
   * (they are holes). Data pages of `target` are not counted here. Returns the data pages referred to.
   */
  copyEntries(source: Leaf, from: number, target: Leaf, to: number, count: number): number {
    const { words } = source;
    const foreignOfForeign = this.#plants.has("foreign-of-foreign");
    const end = from + count;
    let data = 0;
    let page = source.nextPresent(from);
    // Entries stand in the order of their pages.
    let at = page < end ? source.find(page) : 0;
    target.reserve(Math.min(count, source.size));
    while (page < end) {
      const first = words[at]!;
      const kind = first >>> KIND_SHIFT;
      let run = 1;
      if (kind === EntryKind.zero) {
        target.set(to + page - from, ZERO_ENTRY, 0, 0);
      } else {
        const isForeign = kind === EntryKind.foreign && !foreignOfForeign;
        const owner = isForeign ? source.foreign![first & VALUE_MASK]! : source.id;
        const slot = isForeign ? words[at + 1]! : page;
        run = this.#runLength(source, page, end, at, isForeign || foreignOfForeign);
        this.#refer(target, to + page - from, run, owner, slot);
        data += run;
      }
      at += run * ENTRY_WORDS;
      page += run;
      if (page < end) page = source.nextPresent(page);
    }
    return data;
  }

  /** Pages in a row below `end` whose entries are alike: own blocks, or slots in a row of one foreign leaf. */
  #runLength(leaf: Leaf, page: number, end: number, at: number, foreign: boolean): number {
    const { words } = leaf;
    const present = leaf.presentRun(page, end);
    const first = words[at]!;
    const slot = words[at + 1]!;
    let run = 1;
    for (let next = at + ENTRY_WORDS; run < present; run += 1, next += ENTRY_WORDS) {
      if (
        foreign ? words[next] !== first || words[next + 1] !== slot + run : words[next]! >>> KIND_SHIFT !== 0
      )
        break;
    }
    return run;
  }

  /** Pages of `target`, holes so far, refer to slots in a row of the leaf `owner`. */
  #refer(target: Leaf, page: number, count: number, owner: number, slot: number): void {
    const position = this.#foreignPosition(target, owner);
    const entry = (FOREIGN_ENTRY | position) >>> 0;
    target.foreignUses![position]! += count;
    if (page > target.last) target.appendForeign(page, count, entry, slot);
    else for (let done = 0; done < count; done += 1) target.set(page + done, entry, slot + done, 0);
    if (this.onForeign !== undefined)
      for (let done = 0; done < count; done += 1) this.onForeign(owner, slot + done);
  }

  #foreignPosition(target: Leaf, owner: number): number {
    const position = target.foreignPositionFor(owner);
    if (target.foreignUses![position] === 0 && !this.#plants.has("graft-count"))
      this.cache.table.addReference(owner, target.id);
    else if (target.foreignUses![position] === 0 && owner % 3 !== 0)
      this.cache.table.addReference(owner, target.id);
    return position;
  }

  // ---- giving back ----

  /** `referrer` no longer refers to a node; a node that nobody refers to is dropped in the background. */
  release(id: number, referrer: number): void {
    const { table } = this.cache;
    const count = table.removeReference(id, referrer);
    if (count === 0) this.#reclaim.drop(id);
    else if (count === 1 && table.level(id) === 0) {
      const last = table.referrers(id);
      if (table.has(last) && table.level(last) === 0) this.#reclaim.shrink(id);
    }
  }

  /** Ends what a page's entry refers to, before the entry is replaced. */
  releaseEntry(leaf: Leaf, at: number): void {
    const first = leaf.words[at]!;
    const kind = first >>> KIND_SHIFT;
    if (kind === EntryKind.own) this.#segments.dropLive(first);
    else if (kind === EntryKind.foreign) this.#releaseForeign(leaf, first & VALUE_MASK, at);
  }

  #releaseForeign(leaf: Leaf, position: number, at: number): void {
    const uses = leaf.foreignUses!;
    const owner = leaf.foreign![position]!;
    const slot = leaf.words[at + 1]!;
    uses[position]! -= 1;
    if (uses[position] === 0) {
      leaf.foreign![position] = 0;
      this.release(owner, leaf.id);
      return;
    }
    if (this.cache.table.count(owner) !== 1) return;
    // Only this leaf is left to refer to the owner, so a slot that it gives up is nobody's. The entry itself
    // still stands in the leaf; it is made to name nothing while the others are looked at.
    leaf.words[at] = ZERO_ENTRY;
    if (leaf.usesForeignSlot(position, slot)) return;
    const ownerLeaf = this.cache.get(owner) as Leaf | undefined;
    if (ownerLeaf === undefined) {
      this.#reclaim.shrink(owner);
      return;
    }
    const ownerAt = ownerLeaf.find(slot);
    if (ownerAt < 0 || ownerLeaf.words[ownerAt]! >>> KIND_SHIFT !== EntryKind.own) return;
    this.clearPage(ownerLeaf, slot);
  }

  /** Makes a page of a leaf a hole and counts that. */
  clearPage(leaf: Leaf, page: number): void {
    const at = leaf.find(page);
    if (at < 0) return;
    this.cache.touch(leaf);
    const { table } = this.cache;
    if (leaf.words[at]! >>> KIND_SHIFT !== EntryKind.zero)
      table.setDataPages(leaf.id, table.dataPages(leaf.id) - 1);
    this.releaseEntry(leaf, at);
    leaf.clear(page);
  }

  // ---- what records do ----

  /**
   * Maps `count` pages from `firstPage` on to data that stands at `position` of a segment, page behind page.
   * `sums` from `sumsAt` are the pages' checksums.
   */
  mapData(
    map: MapRoot,
    firstPage: number,
    count: number,
    segment: Segment,
    position: number,
    sums: Uint32Array,
    sumsAt: number,
  ): void {
    const { table } = this.cache;
    let page = firstPage;
    const end = firstPage + count;
    while (page < end) {
      const leafIndex = Math.floor(page / LEAF_PAGES);
      const leaf = this.writableLeaf(map, leafIndex);
      let slot = page % LEAF_PAGES;
      const stop = Math.min(LEAF_PAGES, slot + end - page);
      const before = table.dataPages(leaf.id);
      let data = before;
      for (; slot < stop; slot += 1, page += 1) {
        const offset = position + (page - firstPage) * PAGE_BYTES;
        const at = leaf.find(slot);
        if (at >= 0) {
          if (leaf.words[at]! >>> KIND_SHIFT === EntryKind.zero) data += 1;
          else this.releaseEntry(leaf, at);
        } else data += 1;
        leaf.set(slot, segment.number, offset, sums[sumsAt + page - firstPage]!);
        segment.owners!.add(offset, leaf.id, slot);
      }
      if (data !== before) {
        table.setDataPages(leaf.id, data);
        map.dataPages += data - before;
        this.cache.account(leaf);
      }
    }
    this.#segments.addLive(segment, count);
  }

  /** Whether `clear` can run in this turn; else `missing` names a node to fetch. */
  residentForClear(map: MapRoot, firstPage: number, endPage: number): boolean {
    return this.#residentRange(map.root, map.height, 0, firstPage, endPage);
  }

  #residentRange(child: number, level: number, base: number, first: number, end: number): boolean {
    if (!isNode(child)) return true;
    const span = LEAF_PAGES * FANOUT ** level;
    if (level === 0) return (first <= base && end >= base + LEAF_PAGES) || this.#node(child) !== undefined;
    const node = this.#node(child) as InnerNode | undefined;
    if (node === undefined) return false;
    const childSpan = span / FANOUT;
    const from = Math.max(0, Math.floor((first - base) / childSpan));
    const to = Math.min(FANOUT, Math.ceil((end - base) / childSpan));
    for (let slot = from; slot < to; slot += 1) {
      if (!this.#residentRange(node.children[slot]!, level - 1, base + slot * childSpan, first, end))
        return false;
    }
    return true;
  }

  /** Makes pages [firstPage, endPage) holes, or allocated zeros. Whole subtrees go at once. */
  clear(map: MapRoot, firstPage: number, endPage: number, kind: "hole" | "zero"): void {
    const fill = kind === "hole" ? CHILD_HOLE : CHILD_ZERO;
    if (kind === "hole" && !isNode(map.root) && map.root === CHILD_HOLE) return;
    this.#clearIn(map, undefined, map.height, 0, firstPage, endPage, fill);
  }

  #clearIn(
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
    const node = parent ?? this.#writableRoot(map);
    const from = Math.max(0, Math.floor((first - base) / childSpan));
    const to = Math.min(FANOUT, Math.ceil((end - base) / childSpan));
    for (let slot = from; slot < to; slot += 1) {
      const child = node.children[slot]!;
      if (child === fill) continue;
      const childBase = base + slot * childSpan;
      if (first <= childBase && end >= childBase + childSpan) {
        if (isNode(child)) {
          map.dataPages -= this.subtreeDataPages(child, level - 1);
          this.setChild(node, slot, fill);
          this.release(child, node.id);
        } else this.setChild(node, slot, fill);
      } else if (level === 1) {
        this.#clearLeaf(
          map,
          Math.floor(childBase / LEAF_PAGES),
          Math.max(first, childBase),
          Math.min(end, childBase + LEAF_PAGES),
          fill,
        );
      } else {
        this.#clearIn(
          map,
          this.writableInner(map, Math.floor(childBase / LEAF_PAGES), level - 1),
          level - 1,
          childBase,
          first,
          end,
          fill,
        );
      }
    }
  }

  #clearLeaf(map: MapRoot, leafIndex: number, first: number, end: number, fill: number): void {
    const leaf = this.writableLeaf(map, leafIndex);
    const { table } = this.cache;
    const before = table.dataPages(leaf.id);
    const base = leafIndex * LEAF_PAGES;
    if (fill === CHILD_HOLE) {
      for (let slot = leaf.nextPresent(first - base); slot < end - base; slot = leaf.nextPresent(slot + 1))
        this.clearPage(leaf, slot);
    } else {
      let data = before;
      for (let slot = first - base; slot < end - base; slot += 1) {
        const at = leaf.find(slot);
        if (at >= 0 && leaf.words[at]! >>> KIND_SHIFT !== EntryKind.zero) {
          this.releaseEntry(leaf, at);
          data -= 1;
        }
        leaf.set(slot, ZERO_ENTRY, 0, 0);
      }
      if (data !== before) table.setDataPages(leaf.id, data);
      this.cache.account(leaf);
    }
    map.dataPages += table.dataPages(leaf.id) - before;
  }

  /** Data pages below a child; its inner nodes are in memory. */
  subtreeDataPages(child: number, level: number): number {
    if (!isNode(child)) return 0;
    if (level === 0) return this.cache.table.dataPages(child);
    const node = this.cache.get(child) as InnerNode;
    let pages = 0;
    for (let slot = 0; slot < FANOUT; slot += 1)
      pages += this.subtreeDataPages(node.children[slot]!, level - 1);
    return pages;
  }

  /** Lets a map grow: adds levels above its root until the size is spanned. */
  grow(map: MapRoot, sizeBytes: number): void {
    const height = heightFor(sizeBytes);
    while (map.height < height) {
      if (map.root !== CHILD_HOLE) {
        const root = this.cache.newInner(map.height + 1);
        const { table } = this.cache;
        const old = map.root;
        root.children[0] = old;
        if (isNode(old)) {
          table.addReference(old, root.id);
          assert(table.removeReference(old, map.holder) > 0, "the new root refers to the old one");
        }
        table.addReference(root.id, map.holder);
        map.root = root.id;
      }
      map.height += 1;
    }
    map.sizeBytes = sizeBytes;
  }

  /** Another holder of the same content: O(1). */
  share(map: MapRoot, holder: number): MapRoot {
    if (isNode(map.root)) this.cache.table.addReference(map.root, holder);
    return { ...map, holder };
  }

  /** The holder gives its map up. */
  releaseMap(map: MapRoot): void {
    if (isNode(map.root)) this.release(map.root, map.holder);
    map.root = CHILD_HOLE;
    map.dataPages = 0;
  }
}
