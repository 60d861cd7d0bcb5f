/**
 * What happens when the pool is full: everything that can be given back is, before anybody hears NO_SPACE.
 * Always holds: one attempt runs at a time and serves all who wait; it ends, also where the disk is smaller than
 * the pool may be, and it never waits for itself.
 */
import type { Checkpointer } from "../checkpoint/checkpointer.ts";
import type { Cursors } from "../cursor/cursors.ts";
import type { Engine } from "../engine.ts";
import type { Reclaimer } from "../map/reclaimer.ts";
import type { Collector } from "./collector.ts";

/** Where nine tenths of each victim live, it takes ten to gain one, and three rounds for each. */
const ROUNDS_MAX = 40;
const SEGMENTS_A_ROUND = 4;
const SHARE_MAX = 0.9;

export class SpaceMaker {
  readonly #engine: Engine;
  readonly #checkpointer: Checkpointer;
  readonly #collector: Collector;
  readonly #reclaimer: Reclaimer;
  readonly #cursors: Cursors;
  #running: Promise<boolean> | undefined;
  /** Files that there were when somebody was last sent to make one more. */
  #triedFiles = -1;

  constructor(
    engine: Engine,
    checkpointer: Checkpointer,
    collector: Collector,
    reclaimer: Reclaimer,
    cursors: Cursors,
  ) {
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
    if (segments.freeForClients > 0) await segments.spares.fill();
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      if (this.#mayTry()) return true;
      await this.#reclaimer.drain();
      const before = segments.all.size;
      // What is empty already only waits for checkpoints: a segment goes when neither slot needs it.
      const emptied =
        this.#collector.pending > 0
          ? 0
          : await this.#collector.collect(1.01, { segmentsMax: SEGMENTS_A_ROUND, shareMax: SHARE_MAX });
      const pending = this.#collector.pending;
      await this.#checkpointer.runFresh();
      if (this.#mayTry()) return true;
      if (pending > 0 || emptied > 0 || segments.all.size < before) continue;
      if (!(await this.#cursors.yieldSpace())) return false;
    }
    return this.#mayTry();
  }

  /** Whether a client can have a segment: a spare one, or one made new unless the disk just refused that. */
  #mayTry(): boolean {
    const { segments, settings } = this.#engine;
    if (segments.freeForClients === 0) return false;
    if (segments.spares.count > settings.reserveSegments) return true;
    if (segments.spares.count < settings.reserveSegments) return false;
    if (this.#triedFiles === segments.files) return false;
    this.#triedFiles = segments.files;
    return true;
  }
}
