/**
 * How fast copies are done, to say how long those in the queue will take.
 *
 * Always holds: only time in which a copy was worked on counts; older measurements weigh less and less. A file costs
 * something besides its bytes, or many empty files would take no time.
 */
import type { Clock } from "../../ports/mod.ts";

/** What an entry costs besides its bytes: names, attributes and a rename at the target. */
const ENTRY_BYTES = 16 * 1024;
/** Less says little: connections, files and code are cold. */
const MEASURED_MS_MIN = 50;
/** A measurement of so long ago weighs 1/e. */
const MEMORY_MS = 1000;

export class CopyRate {
  readonly #clock: Clock;
  #work = 0;
  #spentMs = 0;
  #running = 0;
  #countedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Work in bytes, an entry's own cost included. */
  static workOf({ entries, bytes }: { entries: number; bytes: number }): number {
    return entries * ENTRY_BYTES + bytes;
  }

  began(): void {
    this.#count();
    this.#running++;
  }

  ended({ entries, bytes }: { entries: number; bytes: number }): void {
    this.#count();
    this.#running--;
    this.#work += CopyRate.workOf({ entries, bytes });
  }

  /** How long so much work takes; undefined before enough was measured. */
  timeMsOf(work: number): number | undefined {
    this.#count();
    if (this.#work === 0 || this.#spentMs < MEASURED_MS_MIN) return undefined;
    return (work * this.#spentMs) / this.#work;
  }

  /** Work for each second, lately. */
  get perSecond(): number {
    this.#count();
    return this.#spentMs === 0 ? 0 : (this.#work * 1000) / this.#spentMs;
  }

  #count(): void {
    const nowMs = this.#clock.nowMs();
    const passedMs = nowMs - this.#countedMs;
    this.#countedMs = nowMs;
    if (this.#running === 0) return;
    const weight = Math.exp(-passedMs / MEMORY_MS);
    this.#work *= weight;
    this.#spentMs = this.#spentMs * weight + passedMs;
  }
}
