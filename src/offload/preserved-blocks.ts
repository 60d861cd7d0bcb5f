/**
 * Blocks as they were before they were overwritten, in memory, by the time at which they were saved.
 *
 * Always holds: a block saved at time T is what it was for everybody bound after the save before and up to T; a save
 * that is under way has its place already, so that nobody reads the block below meanwhile. Times are counts of binds.
 */
import { Deferred } from "../base/deferred.ts";

export const PRESERVED_BLOCK_BYTES = 16 * 1024;

export interface SavedBlock {
  readonly time: number;
  /** Undefined until `ready`; after a failed read, for ever. */
  bytes: Uint8Array | undefined;
  readonly ready: Deferred;
}

export class PreservedBlocks {
  readonly #blocks = new Map<number, SavedBlock[]>();
  #count = 0;

  get sizeBytes(): number {
    return this.#count * PRESERVED_BLOCK_BYTES;
  }

  /** Whether the block was saved for everybody who was bound up to `time`. */
  isSaved(block: number, time: number): boolean {
    const last = this.#blocks.get(block)?.at(-1);
    return last !== undefined && last.time >= time;
  }

  /** A save that begins now. */
  begin(block: number, time: number): SavedBlock {
    const saved = { time, bytes: undefined, ready: new Deferred() };
    const list = this.#blocks.get(block);
    if (list === undefined) this.#blocks.set(block, [saved]);
    else list.push(saved);
    this.#count += 1;
    return saved;
  }

  /** The save under way of the block, if there is one. */
  underWay(block: number): Promise<void> | undefined {
    const last = this.#blocks.get(block)?.at(-1);
    return last !== undefined && last.bytes === undefined ? last.ready.promise : undefined;
  }

  /** The block for one who was bound at `time`; undefined: as it is below. */
  find(block: number, time: number): SavedBlock | undefined {
    return this.#blocks.get(block)?.find((saved) => saved.time >= time);
  }

  /** Forgets what none of those bound at `times` reads. */
  keepFor(times: ReadonlySet<number>): void {
    const sorted = [...times].sort((a, b) => a - b);
    for (const [block, list] of this.#blocks) {
      let before = -1;
      const kept = list.filter((saved) => {
        const needed = sorted.some((time) => time > before && time <= saved.time);
        before = saved.time;
        return needed || saved.bytes === undefined;
      });
      this.#count -= list.length - kept.length;
      if (kept.length === 0) this.#blocks.delete(block);
      else this.#blocks.set(block, kept);
    }
  }
}
