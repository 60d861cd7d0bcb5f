/**
 * Syncs of a target's file system that many bundles share: while one is under way, those that were staged meanwhile wait for
 * the next, and no thread that could stage more waits with them.
 *
 * Always holds: `wait` resolves after the end of a sync that began after the call. One begins when nothing more is being
 * staged, or when what waits for it is as old as the last one took: each costs the disk about the same, however much it is for.
 */
export class GroupedSyncs {
  /** 0, or a negated errno. */
  readonly #sync: () => Promise<number>;
  #staging = 0;
  #running: Promise<unknown> | undefined;
  #next: Promise<number> | undefined;
  #begin: (() => void) | undefined;
  #lastMs = 0;

  constructor(sync: () => Promise<number>) {
    this.#sync = sync;
  }

  /** Something that will ask for a sync begins, and ends. */
  async staging<Result>(stage: () => Promise<Result>): Promise<Result> {
    this.#staging += 1;
    try {
      return await stage();
    } finally {
      this.#staging -= 1;
      // In this turn others end, too.
      if (this.#staging === 0) setImmediate(() => this.#staging === 0 && this.#begin?.());
    }
  }

  wait(): Promise<number> {
    this.#next ??= this.#shared();
    return this.#next;
  }

  async #shared(): Promise<number> {
    const startedMs = performance.now();
    await this.#running;
    await this.#untilMany(this.#lastMs - (performance.now() - startedMs));
    const beganMs = performance.now();
    const sync = this.#sync();
    this.#running = sync.catch(() => undefined);
    this.#next = undefined;
    try {
      return await sync;
    } finally {
      this.#lastMs = performance.now() - beganMs;
    }
  }

  async #untilMany(delayMs: number): Promise<void> {
    if (this.#staging === 0 || delayMs < 1) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#begin = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#begin = undefined;
  }
}
