/**
 * Gives references back: of parents to nodes, of entries to blocks and to slots of other leaves.
 *
 * Always holds: a node that nobody refers to goes to the reclaim queue and is dropped in the background; a block
 * is counted dead in the turn in which its entry goes. A leaf that only one other leaf still refers to keeps no
 * block that this one does not use.
 */
import type { Segments } from "../log/segments.ts";
import { EntryKind, KIND_SHIFT, type Leaf, VALUE_MASK, ZERO_ENTRY } from "./leaf.ts";
import type { NodeCache } from "./node-cache.ts";
import type { ReclaimQueue } from "./reclaim-queue.ts";

export class Releaser {
  readonly #cache: NodeCache;
  readonly #segments: Segments;
  readonly #reclaim: ReclaimQueue;

  constructor(cache: NodeCache, segments: Segments, reclaim: ReclaimQueue) {
    this.#cache = cache;
    this.#segments = segments;
    this.#reclaim = reclaim;
  }

  /** `referrer` no longer refers to a node; a node that nobody refers to is dropped in the background. */
  release(id: number, referrer: number): void {
    const { table } = this.#cache;
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
    if (this.#cache.table.count(owner) !== 1) return;
    // Only this leaf is left to refer to the owner, so a slot that it gives up is nobody's. The entry itself
    // still stands in the leaf; it is made to name nothing while the others are looked at.
    leaf.words[at] = ZERO_ENTRY;
    if (leaf.usesForeignSlot(position, slot)) return;
    const ownerLeaf = this.#cache.get(owner) as Leaf | undefined;
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
    this.#cache.touch(leaf);
    const { table } = this.#cache;
    if (leaf.words[at]! >>> KIND_SHIFT !== EntryKind.zero)
      table.setDataPages(leaf.id, table.dataPages(leaf.id) - 1);
    this.releaseEntry(leaf, at);
    leaf.clear(page);
  }
}
