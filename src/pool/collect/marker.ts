/**
 * The mark pass: frees pages of leaves that only other leaves refer to, several of them, where none uses the page.
 * (With one referrer left, `Reclaimer` shrinks the leaf at once.)
 *
 * Always holds: a page is freed only if no entry anywhere named it during the whole pass; references made
 * meanwhile mark too. Counts that do not agree with what was seen are left alone; `verify` names them.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { FANOUT, LEAF_PAGES, NODE_INDEX_FIRST } from "../format/layout.ts";
import { type InnerNode, isNode } from "../map/inner-node.ts";
import { EntryKind, KIND_SHIFT, type Leaf, VALUE_MASK } from "../map/leaf.ts";
import { nodeIndex } from "../map/node-table.ts";

/** Leaves looked after in one pass: some 100 bytes of marks each. */
const CANDIDATES_MAX = 65_536;
const MARK_WORDS = LEAF_PAGES / 32;

export class Marker {
  readonly #engine: Engine;
  #closed = false;
  #running: Promise<number> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  close(): void {
    this.#closed = true;
  }

  /** Resolves to the number of pages freed. */
  run(): Promise<number> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      this.#engine.tree.entries.onForeign = undefined;
      this.#engine.tree.copyOnWrite.onChild = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<number> {
    const { nodes, tree } = this.#engine;
    // Leaves that stand in a tree are used whole.
    const inTree = new Uint8Array(Math.ceil(nodes.bound / 8) + 1);
    const stands = (leaf: number) => {
      if (nodeIndex(leaf) < inTree.length * 8) inTree[nodeIndex(leaf) >>> 3]! |= 1 << (nodeIndex(leaf) & 7);
    };
    tree.copyOnWrite.onChild = stands;
    const complete = await this.#eachNode(1, (node) => {
      const inner = node as InnerNode;
      for (let slot = 0; slot < FANOUT; slot += 1) {
        const child = inner.children[slot]!;
        if (isNode(child)) stands(child);
      }
    });
    if (!complete) return 0;
    const marks = new Map<number, Uint32Array>();
    for (let index = NODE_INDEX_FIRST; index < Math.min(nodes.bound, inTree.length * 8); index += 1) {
      const id = nodes.idAt(index);
      if (
        id === 0 ||
        nodes.level(id) !== 0 ||
        nodes.count(id) < 2 ||
        (inTree[index >>> 3]! & (1 << (index & 7))) !== 0
      )
        continue;
      if (marks.size < CANDIDATES_MAX) marks.set(id, new Uint32Array(MARK_WORDS));
    }
    if (marks.size === 0) return 0;
    const mark = (leaf: number, slot: number) => {
      const words = marks.get(leaf);
      if (words !== undefined) words[slot >>> 5]! |= 1 << (slot & 31);
    };
    tree.entries.onForeign = mark;
    const marked = await this.#eachNode(0, (node) => {
      const leaf = node as Leaf;
      if (leaf.foreign === undefined) return;
      leaf.forEach((_page, first, second) => {
        if (first >>> KIND_SHIFT === EntryKind.foreign) mark(leaf.foreign![first & VALUE_MASK]!, second);
      });
    });
    return marked ? this.#sweep(marks, inTree) : 0;
  }

  /** Visits all nodes of a level that existed at the start or came since; false when one cannot be read. */
  async #eachNode(level: number, visit: (node: InnerNode | Leaf) => void): Promise<boolean> {
    const { nodes, cache, slices } = this.#engine;
    for (let index = NODE_INDEX_FIRST; index < nodes.bound; index += 1) {
      if (this.#closed) return false;
      if (slices.isOver) {
        this.#engine.planEviction();
        await slices.next();
        if (this.#closed) return false;
      }
      const id = nodes.idAt(index);
      if (id === 0 || nodes.level(id) !== level) continue;
      try {
        visit(cache.get(id) ?? cache.fetchNow(id) ?? (await cache.fetch(id)));
      } catch (error) {
        if (error instanceof RopewalkError && error.code === "CANCELLED") continue;
        if (error instanceof RopewalkError && error.code !== "IO_ERROR") return false;
        throw error;
      }
    }
    return true;
  }

  async #sweep(marks: Map<number, Uint32Array>, inTree: Uint8Array): Promise<number> {
    const { nodes, cache, tree } = this.#engine;
    let freed = 0;
    for (const [id, words] of marks) {
      if (this.#closed) return freed;
      let leaf: Leaf;
      try {
        if (!nodes.has(id)) continue;
        leaf = (await cache.fetch(id)) as Leaf;
      } catch {
        continue;
      }
      if (
        !nodes.has(id) ||
        cache.get(id) !== leaf ||
        (inTree[nodeIndex(id) >>> 3]! & (1 << (nodeIndex(id) & 7))) !== 0
      )
        continue;
      for (let page = leaf.nextPresent(0); page < LEAF_PAGES; page = leaf.nextPresent(page + 1)) {
        const own = leaf.words[leaf.find(page)]! >>> KIND_SHIFT === EntryKind.own;
        if (own && (words[page >>> 5]! & (1 << (page & 31))) !== 0) continue;
        tree.releaser.clearPage(leaf, page);
        freed += 1;
      }
      cache.account(leaf);
    }
    return freed;
  }
}
