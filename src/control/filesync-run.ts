/**
 * One synchronization as the daemon runs it: started from its definition, with the bulk and the verification that
 * somebody asked for, and those who wait for it.
 *
 * Always holds: what cannot be started is shown as failed, with the reason, and is tried again by `resume`; after `stop`
 * nobody waits. Errors: those of the synchronization; TOO_MANY, CANCELLED.
 */
import { asRopewalkError, RopewalkError } from "../base/errors.ts";
import { quoted } from "../base/object-name.ts";
import {
  type SynchronizationFigures,
  type SynchronizationSettings,
  type SynchronizationTargetFigures,
  type SyncMode,
  type SyncResult,
  shownPath,
  type VerifyResult,
} from "../filesync/mod.ts";
import type { AppendFile } from "../ports/mod.ts";
import { nameAtTarget } from "./filesync-connectors.ts";
import type { FilesyncDefinition } from "./filesync-definition.ts";
import { parseDestination } from "./filesync-destination.ts";
import { parseFilesyncKey } from "./filesync-key.ts";
import type { FilesyncWorld, RunningSynchronization } from "./filesync-world.ts";
import { LongWork } from "./long-work.ts";
import { SettlePoints } from "./settle-points.ts";

const IDLE_CLOSE_MS = 5_000;
const QUEUE_ENTRIES_MAX = 16_384;
const COPY_RUN_ENTRIES_MAX = 128;

export interface SyncWish {
  readonly mode?: SyncMode | undefined;
  readonly allowDeletes?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

export class FilesyncRun {
  readonly name: string;
  definition: FilesyncDefinition;
  /** The bulk that was asked for last. */
  readonly sync: LongWork<SyncWish, never, SyncResult>;
  readonly verification: LongWork<undefined, never, VerifyResult>;
  readonly points: SettlePoints;
  readonly #world: FilesyncWorld;
  #synchronization: RunningSynchronization | undefined;
  #journal: AppendFile | undefined;
  #error: RopewalkError | undefined;
  #syncWish = "";

  constructor(name: string, definition: FilesyncDefinition, world: FilesyncWorld) {
    this.name = name;
    this.definition = definition;
    this.#world = world;
    const { clock } = world;
    this.points = new SettlePoints(clock);
    this.sync = new LongWork(clock, (wish, { signal }) => this.#sync(wish, signal));
    this.verification = new LongWork(clock, (_input, { signal }) => this.#verify(signal));
  }

  /** Does not reject. */
  async start(): Promise<void> {
    try {
      this.#journal = await this.#world.machine.openJournal(this.name);
      const synchronization = this.#make(this.#journal);
      this.#error = undefined;
      this.#synchronization = synchronization;
      if (this.definition.isPaused) synchronization.pause();
      synchronization.start();
    } catch (error) {
      this.#error = asRopewalkError(error);
      this.#world.report(this.name, `the synchronization cannot be started: ${this.#error.message}`);
      await this.#closeJournal();
    }
  }

  /** Why it could not be started. */
  get failure(): RopewalkError | undefined {
    return this.#error;
  }

  /** Of all targets, also while there is nothing to say of them. */
  figures(): SynchronizationFigures {
    const figures = this.#synchronization?.figures() ?? this.#failedFigures();
    const targets = this.definition.targets.map(
      ({ to }) => figures.targets.find((target) => target.to === to) ?? idleTarget(to),
    );
    return { ...figures, targets };
  }

  /** Begins a bulk, or joins one that was asked for in the same way. TOO_MANY */
  startSync(wish: SyncWish): void {
    const text = JSON.stringify([wish.mode ?? this.definition.mode, !!wish.allowDeletes, !!wish.dryRun]);
    if (this.sync.report().state === "running" && text !== this.#syncWish)
      throw new RopewalkError(
        "TOO_MANY",
        `Another bulk of ${quoted(this.name)} was asked for and runs; wait for its end.`,
      );
    this.#running();
    this.#syncWish = text;
    this.sync.start(wish);
  }

  startVerification(): void {
    this.#running();
    this.verification.start(undefined);
  }

  /** A number by which it can be asked whether the targets equal the source as of now. */
  beginWait(): number {
    const synchronization = this.#running();
    return this.points.begin(() => synchronization.settled());
  }

  pause(): Promise<void> {
    this.#synchronization?.pause();
    return Promise.resolve();
  }

  async resume(): Promise<void> {
    if (this.#synchronization === undefined) await this.start();
    else this.#synchronization.resume();
  }

  async stop(): Promise<void> {
    const synchronization = this.#synchronization;
    this.#synchronization = undefined;
    this.#error = new RopewalkError("SHUTTING_DOWN", "The synchronization was stopped.");
    await Promise.all([this.sync.cancel(), this.verification.cancel(), synchronization?.stop()]);
    // It closes the journal, too.
    if (synchronization !== undefined) this.#journal = undefined;
    await this.#closeJournal();
  }

  /** What was copied when it is cancelled stays. */
  async #sync(wish: SyncWish, signal: AbortSignal): Promise<SyncResult> {
    const synchronization = this.#running();
    const cancel = () => {
      if (wish.dryRun !== true) synchronization.cancelSync();
    };
    signal.addEventListener("abort", cancel);
    try {
      const { dryRun, ...result } = await whileWaited(signal, synchronization.sync(wish));
      if (dryRun === undefined) return result;
      return { ...result, dryRun: dryRun.map(({ path, what }) => ({ path: shownPath(path), what })) };
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  async #verify(signal: AbortSignal): Promise<VerifyResult> {
    const { different, ...result } = await whileWaited(signal, this.#running().verify());
    return { ...result, different: different.map((each) => ({ ...each, path: shownPath(each.path) })) };
  }

  #failedFigures(): SynchronizationFigures {
    const error = this.#error;
    return {
      state: error === undefined ? "starting" : "failed",
      order: "per-file",
      ...(error === undefined ? {} : { error: { code: error.code, message: error.message } }),
      events: 0,
      overflows: 0,
      rescans: 0,
      watches: 0,
      targets: [],
    };
  }

  #make(journal: AppendFile): RunningSynchronization {
    const { clock, random, machine, connector, makeSynchronization, report } = this.#world;
    const { id, source, targets, excludes, threads, mode, deletes, barrier, bandwidthBytesPerSecond } =
      this.definition;
    const settings: SynchronizationSettings = {
      threads,
      mode,
      deletes,
      excludes,
      barrier,
      bandwidthBytesPerSecond,
      idleCloseMs: IDLE_CLOSE_MS,
      queueEntriesMax: QUEUE_ENTRIES_MAX,
      copyRunEntriesMax: COPY_RUN_ENTRIES_MAX,
    };
    return makeSynchronization({
      name: this.name,
      source,
      openSource: () => machine.openSourceTree(source),
      targets: targets.map(({ to, key }) => {
        const destination = parseDestination(to);
        const way = {
          destination,
          key: key === undefined ? undefined : parseFilesyncKey(key),
          threads,
          source,
        };
        return { to, connector: connector(way), name: nameAtTarget(destination) };
      }),
      id: Buffer.from(id, "hex"),
      journal,
      clock,
      random,
      report: (sentence) => report(this.name, sentence),
      settings,
    });
  }

  #running(): RunningSynchronization {
    if (this.#synchronization) return this.#synchronization;
    throw this.#error ?? new RopewalkError("SHUTTING_DOWN", "The synchronization does not run yet.");
  }

  async #closeJournal(): Promise<void> {
    const journal = this.#journal;
    this.#journal = undefined;
    await journal?.close();
  }
}

/** Ends with CANCELLED at the signal, whether what is waited for ends or not. */
async function whileWaited<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  const left = Promise.withResolvers<never>();
  const leave = () => left.reject(new RopewalkError("CANCELLED", "It was cancelled; what was done stays."));
  signal.addEventListener("abort", leave);
  work.catch(() => {});
  try {
    return await Promise.race([work, left.promise]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

function idleTarget(to: string): SynchronizationTargetFigures {
  return {
    to,
    state: "waiting",
    connections: 0,
    lag: { seconds: 0, entries: 0, bytes: 0 },
    sentBytes: 0,
    copiedFiles: 0,
    removed: 0,
    tornReads: 0,
    failures: 0,
    lastFailures: [],
  };
}
