/**
 * Works the reclaim queue off in slices: drops nodes that nothing refers to, shrinks leaves to what their last
 * referrer uses.
 * Always holds: a node is freed only at count zero; what it referred to loses that reference in the same turn.
 */
import { assert } from "../../base/assert.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { FANOUT, LEAF_PAGES } from "../format/layout.ts";
import { type InnerNode, isNode } from "./inner-node.ts";
import { EntryKind, KIND_SHIFT, type Leaf, VALUE_MASK } from "./leaf.ts";
import type { Node } from "./node-cache.ts";

/** Rest after the disk failed a read. */
const RETRY_MS = 1000;

export class Reclaimer {
  readonly #engine: Engine;
  readonly #used = new Uint8Array(LEAF_PAGES);
  #running: Promise<void> | undefined;
  #planned = false;
  #closed = false;

  constructor(engine: Engine) {
    this.#engine = engine;
    engine.reclaim.onWork = () => this.#plan();
  }

  #plan(): void {
    if (this.#planned || this.#running !== undefined || this.#closed || this.#engine.log.failed !== undefined)
      return;
    this.#planned = true;
    this.#engine.world.clock.soon(() => {
      this.#planned = false;
      this.drain().catch(() => undefined);
    });
  }

  start(): void {
    if (this.#engine.reclaim.length > 0) this.#plan();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running?.catch(() => undefined);
  }

  /** Resolves when the queue is empty, or the pool closes. A node that cannot be read stays in the queue's place: an error. */
  drain(): Promise<void> {
    this.#running ??= this.#drain().then(
      () => {
        this.#running = undefined;
        if (this.#engine.reclaim.length > 0) this.#plan();
      },
      (error) => {
        this.#running = undefined;
        this.#engine.world.clock.after(RETRY_MS, () => this.start());
        throw error;
      },
    );
    return this.#running;
  }

  async #drain(): Promise<void> {
    const { reclaim, slices, cache, settings, log } = this.#engine;
    while (reclaim.length > 0 && !this.#closed && log.failed === undefined) {
      if (slices.isOver) {
        this.#engine.planEviction();
        if (cache.dirtyBytes > settings.checkpointNodeBytes) await this.#engine.awaitCheckpoint();
        await slices.next();
        continue;
      }
      const drop = reclaim.nextDrop();
      const id = drop ?? reclaim.nextShrink()!;
      try {
        const missing = drop === undefined ? this.#shrink(id) : this.#drop(id);
        if (missing !== 0) {
          await cache.fetch(missing);
        }
      } catch (error) {
        if (!(error instanceof RopewalkError) || error.code === "IO_ERROR") throw error;
        // A damaged node cannot tell what it referred to: it is left as it is, and scrub names it.
        if (error.code !== "CANCELLED") {
          if (drop === undefined) reclaim.forget(id);
          else reclaim.dropped(id);
        }
      }
    }
  }

  #find(id: number): Node | undefined {
    const { cache } = this.#engine;
    return cache.get(id) ?? cache.fetchNow(id);
  }

  /** Returns 0, or the node that must be fetched for it. */
  #drop(id: number): number {
    const { nodes, reclaim, cache, store } = this.#engine;
    assert(nodes.has(id) && nodes.count(id) === 0, "only what nothing refers to is dropped");
    const node = this.#find(id);
    if (node === undefined) return id;
    reclaim.dropped(id);
    if (node.level === 0) this.#emptyLeaf(node as Leaf);
    else this.#emptyInner(node as InnerNode);
    const place = nodes.place(id);
    store.free(place.segment, place.length);
    cache.remove(node);
    nodes.free(id);
    return 0;
  }

  #emptyLeaf(leaf: Leaf): void {
    const { segments, tree, cache } = this.#engine;
    cache.touch(leaf);
    leaf.forEach((_page, first) => {
      if (first >>> KIND_SHIFT === EntryKind.own) segments.dropLive(first);
    });
    leaf.foreign?.forEach((id, position) => {
      if (leaf.foreignUses![position]! > 0) tree.releaser.release(id, leaf.id);
    });
  }

  #emptyInner(node: InnerNode): void {
    const { tree } = this.#engine;
    for (let slot = 0; slot < FANOUT; slot += 1) {
      const child = node.children[slot]!;
      if (isNode(child)) tree.releaser.release(child, node.id);
    }
  }

  #shrink(id: number): number {
    const { nodes, reclaim, tree, cache } = this.#engine;
    if (!nodes.has(id) || nodes.count(id) !== 1) {
      reclaim.forget(id);
      return 0;
    }
    const last = nodes.referrers(id);
    if (!nodes.has(last) || nodes.level(last) !== 0) {
      reclaim.forget(id);
      return 0;
    }
    const leaf = this.#find(id) as Leaf | undefined;
    if (leaf === undefined) return id;
    const referrer = this.#find(last) as Leaf | undefined;
    if (referrer === undefined) return last;
    reclaim.forget(id);
    const position = referrer.foreignPosition(id);
    assert(position >= 0, "the last referrer refers to the leaf");
    const used = this.#used.fill(0);
    referrer.forEach((_page, first, second) => {
      if (first >>> KIND_SHIFT === EntryKind.foreign && (first & VALUE_MASK) === position) used[second] = 1;
    });
    for (let page = leaf.nextPresent(0); page < LEAF_PAGES; page = leaf.nextPresent(page + 1)) {
      const keeps = used[page] === 1 && leaf.words[leaf.find(page)]! >>> KIND_SHIFT === EntryKind.own;
      if (!keeps) tree.releaser.clearPage(leaf, page);
    }
    cache.account(leaf);
    return 0;
  }
}
