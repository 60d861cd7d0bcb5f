/**
 * One source directory and its targets: watched, compared, and kept equal (F1, F2, F14).
 *
 * Always holds: trouble is a state, not an end: a source that is gone, a kernel that gives no watches, a target that cannot
 * be reached are tried again. A source that comes back as another directory, or empty, removes nothing by itself. Errors of
 * calls: SOURCE_MISSING, MASS_DELETION, CANCELLED, SHUTTING_DOWN.
 */
import { asRopewalkError, RopewalkError } from "../base/errors.ts";
import type { AppendFile, Clock, Random, RootAttributes, SourceTree, Timer } from "../ports/mod.ts";
import { Capture } from "./capture/capture.ts";
import type { Change } from "./capture/change.ts";
import { ChangeJournal } from "./capture/change-journal.ts";
import type { BulkResult, PlannedChange } from "./compare/bulk.ts";
import type { SyncMode } from "./compare/tree-comparison.ts";
import type { VerifiedDifference } from "./compare/verification.ts";
import { compileExcludes, excludeTest } from "./exclude-rules.ts";
import { figuresOfLane, toldError } from "./lane-figures.ts";
import type {
  SynchronizationFigures,
  SynchronizationState,
  SynchronizationTargetFigures,
} from "./synchronization-figures.ts";
import type { SynchronizationSettings } from "./synchronization-settings.ts";
import { type SynchronizationTarget, TargetLane } from "./target-lane.ts";
import { shownPath } from "./tree-path.ts";
import { placeOf } from "./work/work-parts.ts";

/** A source or its watches that cannot be had are tried again so often. */
const RETRY_MS = 5000;

export interface SynchronizationParts {
  readonly name: string;
  /** The source directory, as shown. */
  readonly source: string;
  /** Again after it was lost. NOT_FOUND, PERMISSION_DENIED */
  readonly openSource: () => Promise<SourceTree>;
  readonly targets: readonly SynchronizationTarget[];
  /** 16 bytes, the same after a restart. */
  readonly id: Uint8Array;
  readonly journal?: AppendFile | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** A sentence for the log. */
  readonly report: (sentence: string) => void;
  readonly settings: SynchronizationSettings;
  readonly plants?: ReadonlySet<string> | undefined;
}

export interface SyncResult extends BulkResult {
  /** What would be done, where nothing was: of each target, some thousand at most. */
  readonly dryRun?: readonly PlannedChange[] | undefined;
}

export interface VerifyResult {
  readonly files: number;
  readonly bytes: number;
  readonly differences: number;
  readonly different: readonly (VerifiedDifference & { readonly to: string })[];
}

/** A time in which the source was there. */
interface Session {
  readonly tree: SourceTree;
  readonly capture: Capture;
  readonly lanes: readonly TargetLane[];
  isLive: boolean;
}

export class Synchronization {
  readonly #parts: SynchronizationParts;
  readonly #journal: ChangeJournal | undefined;
  #session: Session | undefined;
  #beginning: Promise<void> = Promise.resolve();
  #ending: Promise<void> = Promise.resolve();
  #state: "starting" | "running" | "source-missing" | "failed" = "starting";
  #error: RopewalkError | undefined;
  #root: RootAttributes | undefined;
  #isPaused = false;
  #isStopped = false;
  #acceptsOther = false;
  #retry: Timer | undefined;
  #waiters: (() => void)[] = [];

  constructor(parts: SynchronizationParts) {
    this.#parts = parts;
    if (parts.journal !== undefined)
      this.#journal = new ChangeJournal(parts.journal, {
        clock: parts.clock,
        failed: (error) => this.#report(`its journal failed: ${asRopewalkError(error).message}`),
      });
  }

  /** Begins. Does not reject: trouble is a state. */
  start(): void {
    this.#beginning = this.#begin();
  }

  // ---- what users ask for ----

  /** To all targets. MASS_DELETION, SOURCE_MISSING, CANCELLED, SHUTTING_DOWN */
  async sync(options: {
    readonly mode?: SyncMode | undefined;
    readonly allowDeletes?: boolean | undefined;
    readonly dryRun?: boolean | undefined;
  }): Promise<SyncResult> {
    const mode = options.mode ?? this.#parts.settings.mode;
    const allowDeletes = options.allowDeletes ?? false;
    if (allowDeletes && this.#state === "source-missing") {
      this.#acceptsOther = true;
      this.#retry?.cancel();
      this.start();
      await this.#beginning;
      // It was meant for what was there then; what comes later is looked at anew.
      this.#acceptsOther = false;
    }
    const { lanes } = await this.#live();
    if (options.dryRun === true) {
      const plans = await Promise.all(lanes.map(({ bulks }) => bulks.plan(mode)));
      return {
        ...sumOf(plans.map(({ result }) => result)),
        dryRun: plans.flatMap(({ changes }) => changes),
      };
    }
    const outcomes = await Promise.allSettled(
      lanes.map(({ bulks }) => bulks.run("", { mode, allowDeletes })),
    );
    const results: BulkResult[] = [];
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") throw outcome.reason;
      results.push(outcome.value);
    }
    return sumOf(results);
  }

  /** Ends the bulks that run; what they copied stays. */
  cancelSync(): void {
    for (const lane of this.#session?.lanes ?? []) lane.bulks.cancel();
  }

  /** Resolves when every target equals the source as of the call. SOURCE_MISSING, MASS_DELETION, SHUTTING_DOWN */
  async settled(): Promise<void> {
    const { capture, lanes } = await this.#live();
    await capture.drained();
    await Promise.all(lanes.map((lane) => lane.settle(capture.events)));
  }

  async verify(): Promise<VerifyResult> {
    const { lanes } = await this.#live();
    const results = await Promise.all(
      lanes.map(async (lane) => ({ to: lane.to, result: await lane.verify() })),
    );
    return {
      files: results.reduce((sum, { result }) => sum + result.files, 0),
      bytes: results.reduce((sum, { result }) => sum + result.bytes, 0),
      differences: results.reduce((sum, { result }) => sum + result.differences, 0),
      different: results.flatMap(({ to, result }) => result.different.map((each) => ({ to, ...each }))),
    };
  }

  pause(): void {
    this.#isPaused = true;
    for (const lane of this.#session?.lanes ?? []) lane.pause();
  }

  resume(): void {
    this.#isPaused = false;
    for (const lane of this.#session?.lanes ?? []) lane.resume();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#retry?.cancel();
    // A walk that has begun ends with it.
    await this.#session?.capture.close().catch(() => undefined);
    await this.#beginning;
    await this.#end();
    this.#wake();
    await this.#journal?.close();
  }

  figures(): SynchronizationFigures {
    const session = this.#session;
    const lanes = session?.lanes ?? [];
    const targets = lanes.map((lane) => figuresOfLane(lane));
    return {
      state: this.#shownState(targets),
      order: "per-file",
      error: toldError(this.#error),
      events: session?.capture.events ?? 0,
      overflows: session?.capture.overflows ?? 0,
      rescans: lanes.reduce((sum, lane) => sum + lane.figures.rescans, 0),
      watches: session?.capture.nodes.watches ?? 0,
      targets,
    };
  }

  #shownState(targets: readonly SynchronizationTargetFigures[]): SynchronizationState {
    if (this.#state !== "running") return this.#state;
    if (this.#isPaused) return "paused";
    if (this.#session?.isLive !== true) return "starting";
    for (const state of ["held", "waiting", "bulk"] as const)
      if (targets.some((target) => target.state === state)) return state;
    return targets.some(({ state }) => state === "connecting") ? "waiting" : "live";
  }

  // ---- sessions ----

  async #begin(): Promise<void> {
    if (this.#isStopped || this.#session !== undefined) return;
    this.#retry?.cancel();
    this.#state = "starting";
    let tree: SourceTree | undefined;
    try {
      // The source is opened once at a time.
      await this.#ending;
      tree = await this.#parts.openSource();
      await this.#checkRoot(tree);
      if (this.#isStopped) {
        await tree.close();
        return;
      }
      const session = this.#makeSession(tree);
      this.#session = session;
      this.#state = "running";
      this.#error = undefined;
      if (this.#isPaused) for (const lane of session.lanes) lane.pause();
      for (const lane of session.lanes) lane.start();
      await session.capture.begin();
      if (this.#session !== session || this.#isStopped) return;
      this.#goLive(session);
    } catch (error) {
      if (this.#session === undefined) await tree?.close().catch(() => undefined);
      await this.#lost(asRopewalkError(error));
    }
  }

  #makeSession(tree: SourceTree): Session {
    const { clock, random, settings, id, targets, plants } = this.#parts;
    const excludes = compileExcludes(settings.excludes);
    const capture: Capture = new Capture({
      tree,
      clock,
      excludes,
      isExcluded: excludeTest(excludes),
      plants: plants ?? new Set(),
      listener: {
        changed: (change) => this.#changed(session, change),
        failed: (failure) => this.#report(`${shownPath(failure.path)} cannot be read: ${failure.errno}`),
        lost: (reason) => void this.#lost(reason),
      },
    });
    const lanes = targets.map(
      (target) =>
        new TargetLane({
          target,
          source: tree,
          nodes: capture.nodes,
          excludes,
          settings,
          id,
          clock,
          random,
          plants: plants ?? new Set(),
          report: (sentence) => this.#report(sentence),
          drained: () => capture.eventsTold(),
          lookFor: (path) => capture.lookFor(path),
          found: () => capture.drained(),
          settled: () => {
            if (session.lanes.every((lane) => lane.isDurable)) this.#journal?.settled();
          },
        }),
    );
    const session: Session = { tree, capture, lanes, isLive: false };
    return session;
  }

  /** All is watched: what was left from before is looked at, then all is compared. */
  #goLive(session: Session): void {
    session.isLive = true;
    const { mode } = this.#parts.settings;
    for (const { path, below } of this.#journal?.left() ?? []) {
      const place = placeOf(session.capture.nodes, path);
      const directory = session.capture.nodes.at(path);
      if (place === undefined) continue;
      for (const lane of session.lanes)
        if (!below) lane.changed({ kind: "write", place, path, isDirectory: directory !== undefined });
        else if (directory !== undefined)
          lane.changed({
            kind: "repair",
            place: { directory, name: "" },
            path,
            depth: "all",
            isDirectory: true,
          });
    }
    for (const lane of session.lanes)
      lane.bulks.run("", { mode, allowDeletes: this.#acceptsOther }).catch(() => undefined);
    this.#acceptsOther = false;
    this.#wake();
  }

  #changed(session: Session, change: Change): void {
    this.#journal?.noted({ path: change.path, below: change.kind === "repair" || change.isDirectory });
    if (change.kind === "rename") this.#journal?.noted({ path: change.from, below: false });
    for (const lane of session.lanes) lane.changed(change);
  }

  async #checkRoot(tree: SourceTree): Promise<void> {
    const root = await tree.root();
    if (root.kind !== "directory")
      throw new RopewalkError("SOURCE_MISSING", `${this.#parts.source} is no directory.`);
    const before = this.#root;
    const isOther =
      before !== undefined &&
      (before.inode !== root.inode || before.device !== root.device || before.fileSystem !== root.fileSystem);
    if (isOther && !this.#acceptsOther)
      throw new RopewalkError(
        "SOURCE_MISSING",
        `${this.#parts.source} is another directory than before (unmounted, or replaced). If it is the right one, run the synchronization with --allow-deletes.`,
      );
    this.#root = root;
  }

  /** The source cannot be watched or read; it is tried again. */
  async #lost(error: RopewalkError): Promise<void> {
    if (this.#isStopped) return;
    // A root that is no directory is told as an argument that is not valid.
    const isGone =
      error.code === "SOURCE_MISSING" || error.code === "NOT_FOUND" || error.code === "INVALID_ARGUMENT";
    if (this.#error?.message !== error.message) this.#report(error.message);
    this.#state = isGone ? "source-missing" : "failed";
    this.#error = isGone && error.code !== "SOURCE_MISSING" ? missing(this.#parts.source, error) : error;
    this.#wake();
    const beginning = this.#beginning;
    await this.#end();
    // Somebody may have begun it again meanwhile, or stopped it.
    if (this.#isStopped || this.#beginning !== beginning) return;
    this.#retry?.cancel();
    this.#retry = this.#parts.clock.after(RETRY_MS, () => this.start());
  }

  #end(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session !== undefined) this.#ending = this.#endSession(session);
    return this.#ending;
  }

  /** Does not reject: what cannot be closed is told. */
  async #endSession({ capture, lanes, tree }: Session): Promise<void> {
    const ends = [
      () => capture.close(),
      () => Promise.all(lanes.map((lane) => lane.stop())),
      () => tree.close(),
    ];
    for (const end of ends)
      try {
        await end();
      } catch (error) {
        this.#report(`it did not end well: ${asRopewalkError(error).message}`);
      }
  }

  /** The session, once all is watched. SOURCE_MISSING, SHUTTING_DOWN and why it failed. */
  async #live(): Promise<Session> {
    for (;;) {
      if (this.#isStopped)
        throw new RopewalkError("SHUTTING_DOWN", `The synchronization ${this.#parts.name} was stopped.`);
      if (this.#state === "source-missing" || this.#state === "failed") throw this.#error!;
      if (this.#session?.isLive === true) return this.#session;
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  #report(sentence: string): void {
    this.#parts.report(`Synchronization ${this.#parts.name}: ${sentence}`);
  }
}

function missing(source: string, cause: RopewalkError): RopewalkError {
  const sentence = `${source} is not there; nothing is removed at the target. Bring it back, or delete the synchronization.`;
  return new RopewalkError("SOURCE_MISSING", sentence, { cause });
}

function sumOf(results: readonly BulkResult[]): BulkResult {
  return {
    copied: results.reduce((sum, { copied }) => sum + copied, 0),
    removed: results.reduce((sum, { removed }) => sum + removed, 0),
    bytes: results.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
