/**
 * Makes pages of a leaf refer to what pages of another hold: when a shared leaf is copied, and by graft.
 *
 * Always holds: a foreign entry names the leaf whose own block it is, never a foreign entry of another leaf; a leaf
 * counts once in the leaf that it refers to, however many of its entries do.
 */
import { EntryKind, KIND_SHIFT, type Leaf, VALUE_MASK, ZERO_ENTRY } from "./leaf.ts";
import { ENTRY_WORDS } from "./leaf-slab.ts";
import type { NodeTable } from "./node-table.ts";

const FOREIGN_ENTRY = (EntryKind.foreign << KIND_SHIFT) >>> 0;

export class EntryCopier {
  readonly #table: NodeTable;
  readonly #plants: ReadonlySet<string>;
  /** Told of every reference to another leaf's slot that is made, while a mark pass runs. */
  onForeign: ((leaf: number, slot: number) => void) | undefined;

  constructor(table: NodeTable, plants: ReadonlySet<string>) {
    this.#table = table;
    this.#plants = plants;
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
      this.#table.addReference(owner, target.id);
    else if (target.foreignUses![position] === 0 && owner % 3 !== 0)
      this.#table.addReference(owner, target.id);
    return position;
  }
}
