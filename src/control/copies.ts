/**
 * The copies that run and those that ended lately, each long work of its own.
 *
 * Always holds: a copy is refused before it begins or has a number by which it can be watched and cancelled; the
 * outcomes of ended ones stay readable until newer ones push them out.
 * Errors: NOT_FOUND, TOO_MANY, and those of planCopy.
 */
import { RopewalkError } from "../base/errors.ts";
import type { Clock } from "../ports/mod.ts";
import { type CopyProgress, type CopyWish, CopyWork, type CopyWorld, planCopy } from "./copy-work.ts";
import { LongWork } from "./long-work.ts";

const RUNNING_MAX = 32;
const ENDED_KEPT_MAX = 256;

export interface CopyOutcome {
  readonly bytes: number;
  readonly bytesMoved: number;
  readonly bytesPlain: number;
  readonly elapsedMs: number;
}

export interface Copy {
  readonly id: number;
  readonly source: string;
  readonly destination: string;
  readonly work: LongWork<undefined, CopyProgress, CopyOutcome>;
}

/** Of all copies since the daemon started; all only grow. */
export interface CopyCounters {
  copies: number;
  bytes: number;
  bytesMoved: number;
  bytesPlain: number;
}

export class Copies {
  readonly #world: CopyWorld;
  readonly #clock: Clock;
  readonly #copies = new Map<number, Copy>();
  readonly counters: CopyCounters = { copies: 0, bytes: 0, bytesMoved: 0, bytesPlain: 0 };
  #nextId = 1;

  constructor(options: CopyWorld & { readonly clock: Clock }) {
    const { clock, ...world } = options;
    this.#world = world;
    this.#clock = clock;
  }

  /** By number, the oldest first. */
  list(): Copy[] {
    return [...this.#copies.values()];
  }

  show(id: number): Copy {
    const copy = this.#copies.get(id);
    if (copy) return copy;
    throw new RopewalkError("NOT_FOUND", `There is no copy ${id}, or it ended long ago.`);
  }

  running(): number {
    return this.list().filter(isRunning).length;
  }

  start(wish: CopyWish): Copy {
    if (this.running() >= RUNNING_MAX)
      throw new RopewalkError("TOO_MANY", `${RUNNING_MAX} copies run already; wait for one to end.`);
    const plan = planCopy(this.#world.exports, wish);
    this.#forgetOld();
    const startedMs = this.#clock.nowMs();
    const work = new LongWork<undefined, CopyProgress, CopyOutcome>(this.#clock, async (_input, run) => {
      const copying = new CopyWork(plan, run);
      try {
        await copying.run(this.#world);
      } finally {
        this.#count(copying.progress);
      }
      const { bytes, bytesMoved, bytesPlain } = copying.progress;
      return { bytes, bytesMoved, bytesPlain, elapsedMs: this.#clock.nowMs() - startedMs };
    });
    const copy = { id: this.#nextId++, source: plan.source, destination: plan.destination, work };
    this.#copies.set(copy.id, copy);
    work.start(undefined);
    return copy;
  }

  /** Cancels all and waits until they have stopped. */
  async stop(): Promise<void> {
    await Promise.all(this.list().map(({ work }) => work.cancel()));
  }

  #count({ bytes, bytesMoved, bytesPlain }: CopyProgress): void {
    this.counters.copies += 1;
    this.counters.bytes += bytes;
    this.counters.bytesMoved += bytesMoved;
    this.counters.bytesPlain += bytesPlain;
  }

  #forgetOld(): void {
    const ended = this.list().filter((copy) => !isRunning(copy));
    for (const { id } of ended.slice(0, Math.max(0, ended.length - ENDED_KEPT_MAX + 1)))
      this.#copies.delete(id);
  }
}

function isRunning({ work }: Copy): boolean {
  return work.report().state === "running";
}
