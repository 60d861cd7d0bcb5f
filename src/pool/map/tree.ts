/**
 * Trees of nodes: lookups, and what records do to maps. Its parts keep sharing right: `CopyOnWrite` makes nodes alone
 * before they change, `Releaser` gives back what they referred to.
 *
 * Always holds: a node changes in place only if it and all its ancestors have count one.
 * Methods that change anything run within a turn and expect `resident` to have said yes in that turn.
 */
import { assert } from "../../base/assert.ts";
import { CHILD_HOLE, CHILD_ZERO, FANOUT, LEAF_PAGES, PAGE_BYTES } from "../format/layout.ts";
import type { Segment } from "../log/segment.ts";
import type { Segments } from "../log/segments.ts";
import { CopyOnWrite } from "./copy-on-write.ts";
import { EntryCopier } from "./entry-copier.ts";
import { type InnerNode, isNode } from "./inner-node.ts";
import { EntryKind, KIND_SHIFT, type Leaf, VALUE_MASK } from "./leaf.ts";
import { heightFor, type MapRoot, slotAt } from "./map-root.ts";
import type { NodeCache } from "./node-cache.ts";
import type { ReclaimQueue } from "./reclaim-queue.ts";
import { Releaser } from "./releaser.ts";

/** Result of `findLeaf` beside a leaf. */
export const Found = { hole: 0, zero: 1, missing: 2 } as const;

export class Tree {
  readonly cache: NodeCache;
  readonly copyOnWrite: CopyOnWrite;
  readonly releaser: Releaser;
  readonly entries: EntryCopier;
  readonly #segments: Segments;
  /** After `missing`: the node that must be fetched. */
  missing = 0;
  /** After `resolve` found data: where it stands and its checksum. */
  entrySegment = 0;
  entryOffset = 0;
  entrySum = 0;

  constructor(cache: NodeCache, segments: Segments, reclaim: ReclaimQueue, plants?: ReadonlySet<string>) {
    this.cache = cache;
    this.#segments = segments;
    const planted = plants ?? new Set();
    this.releaser = new Releaser(cache, segments, reclaim);
    this.entries = new EntryCopier(cache.table, planted);
    this.copyOnWrite = new CopyOnWrite(this, this.entries, planted);
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
      const leaf = this.copyOnWrite.writableLeaf(map, leafIndex);
      let slot = page % LEAF_PAGES;
      const stop = Math.min(LEAF_PAGES, slot + end - page);
      const before = table.dataPages(leaf.id);
      let data = before;
      for (; slot < stop; slot += 1, page += 1) {
        const offset = position + (page - firstPage) * PAGE_BYTES;
        const at = leaf.find(slot);
        if (at >= 0) {
          if (leaf.words[at]! >>> KIND_SHIFT === EntryKind.zero) data += 1;
          else this.releaser.releaseEntry(leaf, at);
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
    if (isNode(map.root)) this.releaser.release(map.root, map.holder);
    map.root = CHILD_HOLE;
    map.dataPages = 0;
  }
}
