/**
 * What happens when the pool is full: everything that can be given back is, before anybody hears NO_SPACE.
 * Always holds: one attempt runs at a time and serves all who wait; it ends.
 */
import type { Checkpointer } from "../checkpoint/checkpointer.ts";
import type { Cursors } from "../cursor/cursors.ts";
import type { Engine } from "../engine.ts";
import type { Reclaimer } from "../map/reclaimer.ts";
import type { Collector } from "./collector.ts";

const ROUNDS_MAX = 8;

export class SpaceMaker {
  readonly #engine: Engine;
  readonly #checkpointer: Checkpointer;
  readonly #collector: Collector;
  readonly #reclaimer: Reclaimer;
  readonly #cursors: Cursors;
  #running: Promise<boolean> | undefined;

  constructor(engine: Engine, checkpointer: Checkpointer, collector: Collector, reclaimer: Reclaimer, cursors: Cursors) {
    this.#engine = engine;
    this.#checkpointer = checkpointer;
    this.#collector = collector;
    this.#reclaimer = reclaimer;
    this.#cursors = cursors;
  }

  /** Resolves to whether clients may try again. */
  make(): Promise<boolean> {
    this.#running ??= this.#make().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #make(): Promise<boolean> {
    const { segments } = this.#engine;
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      if (segments.freeForClients > 0 && segments.spares > 0) return true;
      await this.#reclaimer.drain();
      const before = segments.all.size;
      const emptied = await this.#collector.collect(1.01, { segmentsMax: 4, shareMax: 0.9 });
      // What this state does without goes when both slots do.
      await this.#checkpointer.runFresh();
      await this.#checkpointer.runFresh();
      if (segments.freeForClients > 0) return true;
      if (emptied === 0 && segments.all.size >= before && !(await this.#cursors.yieldSpace())) return false;
    }
    return segments.freeForClients > 0;
  }
}
