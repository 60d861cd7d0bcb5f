/**
 * One simulated machine: a disk, a clock, the model, and the pool's processes, which live and die one after
 * the other.
 *
 * Always holds: an answer that comes after its process died is never seen; every error that nobody expected
 * and every broken check ends the run.
 */
import { asRopewalkError, type ErrorCode } from "../src/base/errors.ts";
import type { Completion } from "../src/device/mod.ts";
import type { Pool, PoolSettings, PoolWorld } from "../src/pool/mod.ts";
import { CheckFailed } from "./check-failed.ts";
import { ModelHistory } from "./model-history.ts";
import { type AppendEvent, Requests } from "./requests.ts";
import { SimulatedClock, type SimulatedProcess, Stuck } from "./simulated-clock.ts";
import { type CrashMode, type DiskOptions, SimulatedDisk } from "./simulated-disk.ts";
import { SimulatedPageThreads } from "./simulated-page-threads.ts";
import { SimulatedRandom } from "./simulated-random.ts";
import { UnitContent } from "./unit-content.ts";

/** What is simulated: the pool, or in tests something simpler. */
export type Engine = Pick<typeof Pool, "format" | "open">;

export interface MachineOptions {
  readonly seed: string | number;
  readonly engine: Engine;
  readonly settings: Partial<PoolSettings>;
  /** Bugs that the pool plants in itself. */
  readonly plants?: ReadonlySet<string>;
  readonly disk?: DiskOptions;
}

/** Errors that any request may end with once the disk failed a call. */
const errorsOfFailingDisk: readonly ErrorCode[] = ["IO_ERROR", "POOL_READ_ONLY", "NO_SPACE"];

export class Machine {
  readonly seed: string | number;
  readonly engine: Engine;
  readonly settings: Partial<PoolSettings>;
  readonly plants: ReadonlySet<string>;
  readonly clock = new SimulatedClock();
  readonly disk: SimulatedDisk;
  readonly random: SimulatedRandom;
  readonly content: UnitContent;
  readonly history: ModelHistory;
  lives = 0;
  #life: Life | undefined;

  constructor(options: MachineOptions, origin?: Machine) {
    this.content = origin?.content ?? new UnitContent();
    this.history = origin?.history.copy() ?? new ModelHistory(this.content);
    this.seed = options.seed;
    this.engine = options.engine;
    this.settings = options.settings;
    this.plants = options.plants ?? new Set();
    this.random = new SimulatedRandom(`${options.seed}/machine`);
    this.disk =
      origin?.disk.copy(this.clock, options.seed, options.disk) ??
      new SimulatedDisk(this.clock, options.seed, options.disk);
  }

  /** Another machine with the same disk and the same history; no process may be alive. */
  again(seed: string, disk: DiskOptions): Machine {
    const { engine, settings, plants } = this;
    return new Machine({ seed, engine, settings, plants, disk }, this);
  }

  /** A new process, which has not opened the pool yet. */
  start(): Life {
    this.lives++;
    this.#life = new Life(this);
    return this.#life;
  }

  /** Lets time pass until `work` is done; when it gets stuck, the error says what was not answered. */
  async run<T>(work: Promise<T>): Promise<T> {
    try {
      return await this.clock.run(work);
    } catch (error) {
      if (!(error instanceof Stuck)) throw error;
      const waiting = this.#life?.waiting() ?? [];
      throw new Stuck(`${error.message}; life ${this.lives} waits for ${waiting.join(", ") || "nothing"}`);
    }
  }

  /** The process is dead, and the power may be. */
  crash(life: Life, mode: CrashMode): void {
    life.process.kill();
    life.pageThreads.end();
    this.disk.disarmCrash();
    if (this.disk.faults.struck > 0) this.history.diskFailed = true;
    this.disk.faults.clear();
    this.disk.powerCut(mode);
    this.history.crashed(mode !== "clean");
  }
}

/** The answer will never come: its process is dead. A promise of its own each time, so that it keeps nobody in memory. */
function never(): Promise<never> {
  return new Promise(() => {});
}

/** One process of the pool, from its start to its death. */
export class Life {
  readonly machine: Machine;
  readonly process: SimulatedProcess;
  readonly pageThreads: SimulatedPageThreads;
  readonly requests: Requests;
  /** Resolves when the process died at a point of the disk. */
  readonly died: Promise<"died">;
  readonly #world: PoolWorld;
  readonly #listeners = new Set<(event: AppendEvent) => void>();
  readonly #waiting = new Map<Promise<unknown>, string>();
  #onDeath: () => void = () => {};
  #pool: Pool | undefined;
  #recoveredAt: number | undefined;

  constructor(machine: Machine) {
    this.machine = machine;
    this.process = machine.clock.startProcess();
    this.requests = new Requests(machine.history);
    this.died = new Promise((resolve) => {
      this.#onDeath = () => resolve("died");
    });
    this.pageThreads = new SimulatedPageThreads(
      this.process,
      machine.random.fork(`threads ${machine.lives}`),
    );
    const world = {
      disk: machine.disk.attach(this.process),
      clock: this.process,
      random: machine.random.fork(`life ${machine.lives}`),
      pageThreads: this.pageThreads,
      observer: (event: AppendEvent) => this.#appended(event),
      plants: machine.plants,
    };
    this.#world = world;
  }

  get alive(): boolean {
    return !this.process.dead;
  }

  get pool(): Pool {
    if (this.#pool === undefined) throw new Error("the pool is not open");
    return this.#pool;
  }

  /** The process dies at the n-th point of the disk from now. */
  dieAfter(points: number): void {
    this.machine.disk.crashAfter(points, this.#onDeath);
  }

  /** The process dies where it stands. */
  kill(): void {
    this.process.kill();
    this.#onDeath();
  }

  format(): Promise<void> {
    return this.answer(this.machine.engine.format(this.#world, this.machine.settings), "format");
  }

  /** Opens the pool and holds the sequence at which it stands against the promises. */
  async open(): Promise<void> {
    const { engine, settings, history } = this.machine;
    // The size is kept in the pool, where `set` may have changed it.
    const { sizeBytes: _, ...kept } = settings;
    this.#pool = await this.answer(engine.open(this.#world, kept), "open");
    this.#standsAt(this.#pool.status().sequence);
    if (this.#pool.status().sequence !== history.lastSequence && history.lastSequence > this.#recoveredAt!)
      throw new CheckFailed(
        "order",
        `the pool says ${this.#pool.status().sequence} after ${history.lastSequence}`,
      );
  }

  /** What the pool recovered to: the sequence before its first record, which may come before `open` is through. */
  #standsAt(sequence: number): void {
    if (this.#recoveredAt !== undefined) return;
    this.#recoveredAt = sequence;
    this.machine.history.recoverTo(sequence);
  }

  /** The promise's outcome, as long as the process lives. */
  async answer<T>(promise: Promise<T>, what = "the pool"): Promise<T> {
    this.#waiting.set(promise, what);
    try {
      const value = await promise;
      return this.alive ? value : await never();
    } catch (error) {
      if (!this.alive) return never();
      throw error;
    } finally {
      this.#waiting.delete(promise);
    }
  }

  /** What the pool has not answered, for messages. */
  waiting(): string[] {
    return [...this.#waiting.values(), ...this.requests.describe()];
  }

  /** Starts a request of a device and waits for its completion. */
  completion(start: () => Completion, what = "a device"): Promise<void> {
    return this.answer((async () => start())(), what);
  }

  /** Like `answer`, for what must not fail now. */
  async must<T>(promise: Promise<T>, what: string): Promise<T> {
    try {
      return await this.answer(promise, what);
    } catch (error) {
      this.expectError(error, what, []);
      throw error;
    }
  }

  /** Resolves after a while of this life. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.process.after(delayMs, resolve));
  }

  /** Calls `listener` after each record that entered the log. */
  onAppend(listener: (event: AppendEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Accepts the error when it is one of `codes`, or what a failing disk excuses; else the run ends with it. */
  expectError(error: unknown, doing: string, codes: readonly ErrorCode[]): ErrorCode {
    if (error instanceof CheckFailed) throw error;
    const { code, message, cause } = asRopewalkError(error);
    if (codes.includes(code)) return code;
    if (this.machine.disk.faults.struck > 0 && errorsOfFailingDisk.includes(code)) return code;
    const detail =
      cause instanceof Error ? `\n${cause.stack}` : error instanceof Error ? `\n${error.stack}` : "";
    throw new CheckFailed("unexpected-error", `${doing}: ${code}: ${message}${detail}`);
  }

  /**
   * The pool calls us in the middle of an append; it must not see our errors as its own. What a dead process appends in
   * its memory reaches no disk.
   */
  #appended(event: AppendEvent): void {
    if (!this.alive) return;
    try {
      this.#standsAt(event.sequence - 1);
      this.requests.appended(event);
      for (const listener of this.#listeners) listener(event);
    } catch (error) {
      this.machine.clock.fail(error);
    }
  }
}
