/**
 * The main thread and the sync threads of one target, over one command queue (F3). Each target has its own, so that a slow
 * one holds back no other (F14).
 *
 * Always holds: thread 0 is the main thread and is always connected or trying; sync threads are connected while there are
 * commands of a synchronization, and `idleCloseMs` longer (F11). Pausing keeps connections and what is put back.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { Clock, FileFailure, Random, Timer } from "../../ports/mod.ts";
import type { CommandQueue } from "../queue/command-queue.ts";
import type { QueueFigures } from "../queue/queue-figures.ts";
import type { Standing } from "../queue/schedule.ts";
import { Bandwidth } from "./bandwidth.ts";
import type { Connector, TargetConfiguration } from "./connection.ts";
import type { EntryWork } from "./entry-work.ts";
import type { SentBytes } from "./limited-connection.ts";
import { TargetThread, type ThreadEvent, type ThreadSurroundings } from "./target-thread.ts";
import { DEFAULT_THREAD_SETTINGS, type ThreadSettings } from "./thread-settings.ts";
import { WakeUp } from "./wake-up.ts";

/** The failures of single files that are kept to be shown. */
const FAILURES_MAX = 100;

export interface TargetThreadsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly queue: CommandQueue;
  readonly work: EntryWork;
  readonly connector: Connector;
  readonly configuration: TargetConfiguration;
  readonly settings?: Partial<ThreadSettings> | undefined;
  /** All connections together; 0: no limit. */
  readonly bytesPerSecond?: number | undefined;
  readonly observer?: ((event: ThreadEvent) => void) | undefined;
}

export interface TargetFigures extends QueueFigures {
  /** `waiting`: something has failed and is tried again, see `error`. */
  readonly state: "running" | "waiting" | "paused" | "stopped";
  readonly error: RopewalkError | undefined;
  readonly connected: number;
  readonly connections: number;
  /** Content that was handed to the connections. */
  readonly sentBytes: number;
  /** The last ones of single files, and how many there were. */
  readonly failures: readonly FileFailure[];
  readonly failureCount: number;
  readonly standings: readonly Standing[];
}

export class TargetThreads {
  readonly #options: TargetThreadsOptions;
  readonly #around: ThreadSurroundings;
  readonly #threads: readonly TargetThread[];
  readonly #sent: SentBytes = { sentBytes: 0 };
  readonly #failures: FileFailure[] = [];
  readonly #wakeUp = new WakeUp();
  #failureCount = 0;
  #running: Promise<unknown> | undefined;
  #isStopped = false;
  #closing: Timer | undefined;

  constructor(options: TargetThreadsOptions) {
    const { bytesPerSecond, clock, configuration, connector, queue, random, settings, work } = options;
    this.#options = options;
    this.#around = {
      clock,
      random,
      queue,
      work,
      connector,
      configuration,
      settings: { ...DEFAULT_THREAD_SETTINGS, ...settings },
      bandwidth: new Bandwidth(clock, bytesPerSecond ?? 0),
      sent: this.#sent,
      wakeUp: this.#wakeUp,
      tell: (event) => this.#tell(event),
      isPaused: false,
      isStopping: false,
    };
    this.#threads = Array.from(
      { length: queue.threads },
      (_, number) => new TargetThread(number, this.#around),
    );
  }

  /** Once. A defect of the program ends the process. */
  start(): void {
    this.#options.queue.changed = () => this.#changed();
    this.#running = Promise.all(this.#threads.map((thread) => thread.run()));
  }

  /** Nothing new is begun; resolves when nothing is in work. */
  async pause(): Promise<void> {
    this.#around.isPaused = true;
    while (this.#around.isPaused && this.#options.queue.schedule.isRunning()) await this.#wakeUp.wait();
  }

  resume(): void {
    this.#around.isPaused = false;
    this.#wakeUp.wake();
  }

  get isPaused(): boolean {
    return this.#around.isPaused;
  }

  /** Bytes a second of all connections together, from the next request on; 0: no limit. */
  limitBandwidth(bytesPerSecond: number): void {
    this.#around.bandwidth.limit(bytesPerSecond);
  }

  /** Ends what is in work, closes the queue and all connections. What is not done stays in the queue's journal. */
  async stop(): Promise<void> {
    const { bandwidth, clock, settings } = this.#around;
    this.#around.isStopping = true;
    this.#options.queue.close();
    bandwidth.close();
    this.#closing?.cancel();
    this.#wakeUp.wake();
    const reason = new RopewalkError("SHUTTING_DOWN", "The replication to this target was stopped.");
    const cut = clock.after(settings.stopMsMax, () => {
      for (const thread of this.#threads) thread.abandon(reason);
    });
    await this.#running;
    cut.cancel();
    this.#isStopped = true;
  }

  get figures(): TargetFigures {
    const { queue } = this.#options;
    const error = this.#threads.find((thread) => thread.error !== undefined)?.error;
    let state: TargetFigures["state"] = error === undefined ? "running" : "waiting";
    if (this.#around.isPaused) state = "paused";
    if (this.#isStopped) state = "stopped";
    return {
      ...queue.figures,
      state,
      error,
      connected: this.#threads.filter((thread) => thread.isConnected).length,
      connections: this.#threads.length,
      sentBytes: this.#sent.sentBytes,
      failures: this.#failures,
      failureCount: this.#failureCount,
      standings: this.#threads.map(({ number }) => queue.schedule.standing(number)),
    };
  }

  /** One that was found besides the work, as by a comparison. */
  fileFailed(failure: FileFailure): void {
    this.#tell({ type: "fileFailed", failure });
  }

  #tell(event: ThreadEvent): void {
    if (event.type === "fileFailed") {
      this.#failureCount++;
      if (this.#failures.push(event.failure) > FAILURES_MAX) this.#failures.shift();
    }
    this.#options.observer?.(event);
    if (event.type === "finished" || event.type === "freed") this.#wakeUp.wake();
  }

  #changed(): void {
    this.#wakeUp.wake();
    this.#armClosing();
  }

  /** Wakes the threads when it is time for them to close (F11). One timer, however many changes come meanwhile. */
  #armClosing(): void {
    const { clock, isStopping } = this.#around;
    const atMs = this.#options.queue.schedule.closesAtMs();
    if (atMs === undefined || isStopping || this.#closing !== undefined) return;
    const delayMs = atMs - clock.nowMs();
    if (delayMs <= 0) return;
    this.#closing = clock.after(delayMs, () => {
      this.#closing = undefined;
      this.#wakeUp.wake();
      this.#armClosing();
    });
  }
}
