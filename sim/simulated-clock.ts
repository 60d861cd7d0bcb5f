/**
 * Time that only moves when nothing can run: one queue of events, ordered by time and then by the order in
 * which they were scheduled. Each event runs in a turn of its own, with all promises settled before the next.
 *
 * Always holds: the order depends on nothing outside (no wall clock, no threads). A process that was killed
 * gets no further event. Fails with `Stuck` when the awaited promise cannot settle any more.
 */
import type { Clock, Timer } from "../src/ports/mod.ts";

/** What was waited for can not happen any more, or not within the limits of a run. */
export class Stuck extends Error {
  override readonly name = "Stuck";
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly action: () => void;
  readonly process: SimulatedProcess | undefined;
  cancelled: boolean;
}

/** Reading the clock takes this long, so that code which works in slices of time sees its slices end. */
const readingCostMs = 0.0005;
/** A `soon` comes this much later: what completes in between is seen first, as with a real loop. */
const turnMs = 0.001;

export class SimulatedClock {
  #nowMs = 0;
  #order = 0;
  readonly #heap: Event[] = [];
  #uncaught: unknown;
  #hasUncaught = false;
  /** Events run so far. */
  turns = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** A new process: a clock whose timers die with it. */
  startProcess(): SimulatedProcess {
    return new SimulatedProcess(this);
  }

  passReadingTime(): number {
    this.#nowMs += readingCostMs;
    return this.#nowMs;
  }

  schedule(delayMs: number, action: () => void, process?: SimulatedProcess): Timer {
    const atMs = this.#nowMs + Math.max(delayMs, 0);
    const event: Event = { atMs, order: this.#order++, action, process, cancelled: false };
    push(this.#heap, event);
    return {
      cancel: () => {
        event.cancelled = true;
      },
    };
  }

  /**
   * Runs events until `awaited` settles, and returns what it gave.
   * Throws Stuck when no event is left, or more than `turnsMax` ran or `timeMsMax` passed; and whatever an event threw.
   */
  run<T>(awaited: Promise<T>, limits: { turnsMax?: number; timeMsMax?: number } = {}): Promise<T> {
    const turnsEnd = this.turns + (limits.turnsMax ?? 2_000_000);
    const timeEndMs = this.#nowMs + (limits.timeMsMax ?? 3_600_000);
    return new Promise<T>((resolve, reject) => {
      let settled = false;
      const settle = (finish: () => void) => () => {
        settled = true;
        finish();
      };
      awaited.then(
        (value) => settle(() => resolve(value))(),
        (error) => settle(() => reject(error))(),
      );
      const turn = () => {
        if (settled) return;
        if (this.#hasUncaught) return reject(this.#uncaught);
        const event = this.#next();
        if (event === undefined)
          return reject(new Stuck("nothing is left to run, and the awaited never came"));
        if (this.turns > turnsEnd) return reject(new Stuck("too many turns without an end"));
        if (this.#nowMs > timeEndMs) return reject(new Stuck("too much simulated time without an end"));
        try {
          event.action();
        } catch (error) {
          return reject(error);
        }
        setImmediate(turn);
      };
      setImmediate(turn);
    });
  }

  /** An error that nobody handled: the run in progress fails with it. */
  fail(error: unknown): void {
    this.#hasUncaught = true;
    this.#uncaught = error;
  }

  #next(): Event | undefined {
    for (;;) {
      const event = pop(this.#heap);
      if (event === undefined) return undefined;
      if (event.cancelled || event.process?.dead) continue;
      this.turns++;
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      return event;
    }
  }
}

/** The clock as one process sees it. */
export class SimulatedProcess implements Clock {
  readonly #clock: SimulatedClock;
  dead = false;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  kill(): void {
    this.dead = true;
  }

  nowMs(): number {
    return this.#clock.passReadingTime();
  }

  wallMs(): number {
    return Date.UTC(2026, 0, 1) + Math.floor(this.#clock.passReadingTime());
  }

  after(delayMs: number, action: () => void): Timer {
    return this.#clock.schedule(delayMs, action, this);
  }

  soon(action: () => void): void {
    this.#clock.schedule(turnMs, action, this);
  }
}

function earlier(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!earlier(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && earlier(heap[child + 1]!, heap[child]!)) child++;
    if (!earlier(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
