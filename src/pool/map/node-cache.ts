/**
 * The nodes in memory, within a budget, and which of them changed.
 *
 * Always holds: a changed node stays until a checkpoint has it; a node that the running checkpoint waits for is
 * encoded as it stood at the cut before anything in it changes (`touch`). Nodes leave only in `evict`, which the
 * pool calls between operations, so that a node found in a turn stays for that turn.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { MetadataStore } from "../checkpoint/metadata-store.ts";
import { decodeNode, encodeNode, NODE_WORDS_MAX } from "../format/node-codec.ts";
import type { PoolCounters } from "../pool-api.ts";
import { EarlyNodes } from "./early-nodes.ts";
import { InnerNode } from "./inner-node.ts";
import { Leaf } from "./leaf.ts";
import { LeafSlab } from "./leaf-slab.ts";
import { type NodeTable, nodeIndex } from "./node-table.ts";

/** Steps of the cache's hand in one turn: some 0.2 ms. */
const EVICTION_STEPS_MAX = 8192;

export type Node = Leaf | InnerNode;

export class NodeCache {
  readonly table: NodeTable;
  readonly slab = new LeafSlab();
  readonly #store: MetadataStore;
  readonly #counters: PoolCounters;
  readonly #budget: () => number;
  readonly #byIndex: (Node | undefined)[] = [];
  readonly #accounted: number[] = [];
  readonly #ring: (Node | undefined)[] = [];
  readonly #ringFree: number[] = [];
  #hand = 0;
  readonly #fetching = new Map<number, Promise<Node>>();
  #dirty: Node[] = [];
  /** Nodes encoded ahead of the running checkpoint because they changed behind its cut. */
  readonly early = new EarlyNodes();
  readonly #scratch = new Uint32Array(NODE_WORDS_MAX);
  bytes = 0;
  dirtyBytes = 0;
  /** Bytes of nodes that the running checkpoint waits for. */
  #frozenBytes = 0;
  /** Called when a node comes in beyond the budget: `evict` is wanted between operations. */
  onPressure: (() => void) | undefined;

  constructor(table: NodeTable, store: MetadataStore, counters: PoolCounters, budget: () => number) {
    this.table = table;
    this.#store = store;
    this.#counters = counters;
    this.#budget = budget;
  }

  get dirtyNodes(): number {
    return this.#dirty.length;
  }

  /** The node if it is in memory. */
  get(id: number): Node | undefined {
    const node = this.#byIndex[nodeIndex(id)];
    if (node === undefined || node.id !== id) return undefined;
    node.recent = true;
    return node;
  }

  newLeaf(capacity: number): Leaf {
    const leaf = new Leaf(this.table.allocate(0), this.slab, capacity);
    this.#insert(leaf);
    this.touch(leaf);
    return leaf;
  }

  newInner(level: number): InnerNode {
    const node = new InnerNode(this.table.allocate(level), level);
    this.#insert(node);
    this.touch(node);
    return node;
  }

  #insert(node: Node): void {
    const index = nodeIndex(node.id);
    while (this.#byIndex.length <= index) {
      this.#byIndex.push(undefined);
      this.#accounted.push(0);
    }
    this.#byIndex[index] = node;
    node.ring = this.#ringFree.pop() ?? this.#ring.push(undefined) - 1;
    this.#ring[node.ring] = node;
    this.#accounted[index] = 0;
    this.account(node);
    if (this.bytes > this.#budget()) this.onPressure?.();
  }

  /** Brings the budget's books up to a node that grew. */
  account(node: Node): void {
    const index = nodeIndex(node.id);
    const bytes = node.memoryBytes;
    const change = bytes - this.#accounted[index]!;
    if (change === 0) return;
    this.#accounted[index] = bytes;
    this.bytes += change;
    if (node.dirty) this.dirtyBytes += change;
  }

  /** A node is about to change. */
  touch(node: Node): void {
    if (node.frozen) this.#encodeEarly(node);
    if (node.dirty) return;
    node.dirty = true;
    this.dirtyBytes += this.#accounted[nodeIndex(node.id)]!;
    this.#dirty.push(node);
    this.table.touch(node.id);
  }

  #encodeEarly(node: Node): void {
    this.#thaw(node);
    this.early.put(node.id, this.#scratch.subarray(0, encodeNode(node, this.#scratch)));
  }

  /** At a cut: the changed nodes, which the checkpoint now waits for. */
  freezeDirty(): Node[] {
    const nodes: Node[] = [];
    for (const node of this.#dirty) {
      if (!node.dirty) continue;
      node.dirty = false;
      node.frozen = true;
      nodes.push(node);
    }
    this.#dirty = [];
    this.#frozenBytes = this.dirtyBytes;
    this.dirtyBytes = 0;
    return nodes;
  }

  #thaw(node: Node): void {
    node.frozen = false;
    this.#frozenBytes = Math.max(0, this.#frozenBytes - this.#accounted[nodeIndex(node.id)]!);
  }

  /** Encodes a node that still stands as at the cut. The words are valid until the next call. */
  encodeFrozen(node: Node): Uint32Array {
    this.#thaw(node);
    return this.#scratch.subarray(0, encodeNode(node, this.#scratch));
  }

  /** A checkpoint failed: what it waited for is changed again. */
  unfreeze(nodes: Node[]): void {
    this.early.clear();
    this.#frozenBytes = 0;
    for (const node of nodes) {
      if (this.get(node.id) !== node || node.dirty) continue;
      node.frozen = false;
      this.touch(node);
    }
  }

  /** Forgets a node that was dropped from the table's point of view. */
  remove(node: Node): void {
    if (node.frozen) this.#encodeEarly(node);
    if (node.dirty) {
      node.dirty = false;
      this.dirtyBytes -= this.#accounted[nodeIndex(node.id)]!;
    }
    this.#forget(node);
  }

  #forget(node: Node): void {
    const index = nodeIndex(node.id);
    this.#byIndex[index] = undefined;
    this.bytes -= this.#accounted[index]!;
    this.#accounted[index] = 0;
    this.#ring[node.ring] = undefined;
    this.#ringFree.push(node.ring);
    node.release();
  }

  /** Brings a node in without waiting; undefined when its bytes are not at hand. CHECKSUM_MISMATCH, POOL_DAMAGED */
  fetchNow(id: number): Node | undefined {
    if (this.#fetching.has(id)) return undefined;
    const place = this.#placeOf(id);
    const words = this.#store.readNow(place);
    if (words === undefined) return undefined;
    return this.#arrive(id, words);
  }

  /** Brings a node in. CHECKSUM_MISMATCH, POOL_DAMAGED, IO_ERROR */
  async fetch(id: number): Promise<Node> {
    const present = this.get(id);
    if (present !== undefined) return present;
    let fetching = this.#fetching.get(id);
    if (fetching === undefined) {
      fetching = this.#fetch(id).finally(() => this.#fetching.delete(id));
      this.#fetching.set(id, fetching);
    }
    return fetching;
  }

  async #fetch(id: number): Promise<Node> {
    for (;;) {
      const place = this.#placeOf(id);
      const words = await this.#store.read(place);
      if (!this.table.has(id))
        throw new RopewalkError("CANCELLED", `node ${id} was dropped while it was fetched`);
      const present = this.get(id);
      if (present !== undefined) return present;
      const now = this.table.place(id);
      if (now.segment === place.segment && now.offset === place.offset) return this.#arrive(id, words);
    }
  }

  #placeOf(id: number) {
    if (!this.table.has(id))
      throw new RopewalkError("POOL_DAMAGED", `node ${id} is referred to but not in the table`);
    const place = this.table.place(id);
    if (place.segment === 0) throw new RopewalkError("POOL_DAMAGED", `node ${id} was never stored`);
    return place;
  }

  #arrive(id: number, words: Uint32Array): Node {
    const node = decodeNode(words, id, this.table.level(id), this.slab);
    this.#counters.nodeFetches += 1;
    this.#insert(node);
    return node;
  }

  /**
   * Lets go of nodes that were not used lately until the budget holds. Only between operations, and a bounded
   * number of steps at a time. Returns whether it should be called again in a later turn.
   */
  evict(): boolean {
    const budget = this.#budget();
    // Where nearly everything waits for a checkpoint, looking for the rest is not worth a pass.
    if (this.bytes <= budget || this.bytes - this.dirtyBytes - this.#frozenBytes < budget / 8) return false;
    for (let steps = EVICTION_STEPS_MAX; steps > 0 && this.bytes > budget * 0.98; steps -= 1) {
      this.#hand = this.#hand + 1 < this.#ring.length ? this.#hand + 1 : 0;
      const node = this.#ring[this.#hand];
      if (node === undefined || node.dirty || node.frozen) continue;
      if (node.recent) node.recent = false;
      else this.#forget(node);
    }
    return this.bytes > budget;
  }
}
