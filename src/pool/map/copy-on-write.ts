/**
 * Makes nodes alone and changeable: copies what is shared, makes what is missing.
 *
 * Always holds: a node is handed out only when it and all its ancestors have count one. A copy costs one count per
 * child (inner node) or per distinct leaf (leaf), never one per block; the old node's content stays as it is.
 */
import { CHILD_ZERO, FANOUT, LEAF_PAGES } from "../format/layout.ts";
import type { EntryCopier } from "./entry-copier.ts";
import { type InnerNode, isNode } from "./inner-node.ts";
import { type Leaf, ZERO_ENTRY } from "./leaf.ts";
import { type MapRoot, slotAt } from "./map-root.ts";
import type { NodeCache } from "./node-cache.ts";
import type { Releaser } from "./releaser.ts";
import type { Tree } from "./tree.ts";

export class CopyOnWrite {
  readonly #tree: Tree;
  readonly #cache: NodeCache;
  readonly #releaser: Releaser;
  readonly #entries: EntryCopier;
  readonly #plants: ReadonlySet<string>;
  /** Told of every leaf that a parent comes to refer to, while a mark pass runs. */
  onChild: ((leaf: number) => void) | undefined;

  constructor(tree: Tree, entries: EntryCopier, plants: ReadonlySet<string>) {
    this.#tree = tree;
    this.#cache = tree.cache;
    this.#releaser = tree.releaser;
    this.#entries = entries;
    this.#plants = plants;
  }

  /** The root, alone and changeable, made when there is none. */
  writableRoot(map: MapRoot): InnerNode {
    if (!isNode(map.root)) {
      const root = this.#cache.newInner(map.height);
      if (map.root === CHILD_ZERO) root.children.fill(CHILD_ZERO);
      this.#cache.table.addReference(root.id, map.holder);
      map.root = root.id;
      return root;
    }
    const root = this.#cache.get(map.root) as InnerNode;
    if (this.#cache.table.count(root.id) === 1) return root;
    const copy = this.#copyInner(root, map.holder);
    map.root = copy.id;
    return copy;
  }

  /** Copies a shared inner node for `referrer`, which refers to the copy from now on. */
  #copyInner(node: InnerNode, referrer: number): InnerNode {
    const { table } = this.#cache;
    const copy = this.#cache.newInner(node.level);
    copy.children.set(node.children);
    for (let slot = 0; slot < FANOUT; slot += 1) {
      const child = copy.children[slot]!;
      if (!isNode(child)) continue;
      table.addReference(child, copy.id);
      if (node.level === 1) this.onChild?.(child);
    }
    table.addReference(copy.id, referrer);
    this.#releaser.release(node.id, referrer);
    return copy;
  }

  /** The inner node at `level` above a leaf, alone and changeable with all its ancestors. */
  writableInner(map: MapRoot, leafIndex: number, level: number): InnerNode {
    let node = this.writableRoot(map);
    while (node.level > level) {
      const slot = slotAt(leafIndex, node.level);
      const child = node.children[slot]!;
      let next: InnerNode;
      if (!isNode(child)) {
        next = this.#cache.newInner(node.level - 1);
        if (child === CHILD_ZERO) next.children.fill(CHILD_ZERO);
        this.#cache.table.addReference(next.id, node.id);
        this.setChild(node, slot, next.id);
      } else {
        next = this.#cache.get(child) as InnerNode;
        if (this.#cache.table.count(child) > 1) {
          next = this.#copyInner(next, node.id);
          this.setChild(node, slot, next.id);
        }
      }
      node = next;
    }
    return node;
  }

  setChild(node: InnerNode, slot: number, child: number): void {
    this.#cache.touch(node);
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
    const { table } = this.#cache;
    if (!isNode(child)) {
      const leaf = this.#cache.newLeaf(child === CHILD_ZERO ? LEAF_PAGES : 1);
      if (child === CHILD_ZERO)
        for (let page = 0; page < LEAF_PAGES; page += 1) leaf.set(page, ZERO_ENTRY, 0, 0);
      table.addReference(leaf.id, parent.id);
      this.setChild(parent, slot, leaf.id);
      return leaf;
    }
    const leaf = this.#cache.get(child) as Leaf;
    if (table.count(child) === 1) {
      this.#cache.touch(leaf);
      return leaf;
    }
    return this.#copyLeaf(leaf, parent, slot);
  }

  /** Planted bug: looks only at the leaf's own count. */
  #sharedParent(map: MapRoot, leafIndex: number): InnerNode {
    const leaf = this.#tree.findLeaf(map, leafIndex);
    if (typeof leaf === "number" || this.#cache.table.count(leaf.id) !== 1)
      return this.writableInner(map, leafIndex, 1);
    let node = this.#cache.get(map.root) as InnerNode;
    while (node.level > 1) node = this.#cache.get(node.children[slotAt(leafIndex, node.level)]!) as InnerNode;
    return node;
  }

  /** A new leaf in `parent` that refers to everything the old one holds; the old one's content stays as it is. */
  #copyLeaf(leaf: Leaf, parent: InnerNode, slot: number): Leaf {
    const { table } = this.#cache;
    const copy = this.#cache.newLeaf(leaf.size);
    const pages = table.dataPages(leaf.id);
    this.#entries.copyEntries(leaf, 0, copy, 0, LEAF_PAGES);
    table.setDataPages(copy.id, pages);
    table.addReference(copy.id, parent.id);
    this.setChild(parent, slot, copy.id);
    this.#releaser.release(leaf.id, parent.id);
    this.#cache.account(copy);
    return copy;
  }
}
