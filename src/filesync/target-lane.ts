/**
 * One target of a synchronization: its queue, its threads, its bulks. Each has its own, so that a slow one holds back no
 * other (F14).
 *
 * Always holds: after the connection was lost the trees are compared again, as the target may have lost what it had not yet
 * made durable. What was appended is done, or repaired, or in the journal.
 */

import type {
  Clock,
  ExcludeRules,
  FileFailure,
  Random,
  ScanRequest,
  SourceTree,
  Timer,
  TreePath,
} from "../ports/mod.ts";
import type { Change, SourcePlace } from "./capture/change.ts";
import type { DirectoryNode, DirectoryNodes } from "./capture/directory-node.ts";
import type { BulkParts } from "./compare/bulk.ts";
import { describeDropped, KeptComparison } from "./compare/kept-attributes.ts";
import type { TreeScan } from "./compare/tree-comparison.ts";
import { Verification, type VerificationResult } from "./compare/verification.ts";
import { LaneBulks } from "./lane-bulks.ts";
import { CommandQueue } from "./queue/command-queue.ts";
import type { NewEntry } from "./queue/entry.ts";
import type { SynchronizationSettings } from "./synchronization-settings.ts";
import type { Connector, TargetAbilities } from "./threads/connection.ts";
import { OpenConnections } from "./threads/open-connections.ts";
import { type TargetFigures, TargetThreads } from "./threads/target-threads.ts";
import { DirtyDirectories } from "./work/dirty-directories.ts";
import { HardLinks } from "./work/hard-links.ts";
import { LateRepairs } from "./work/late-repairs.ts";
import { LinkSearch } from "./work/link-search.ts";
import { RepairLimits } from "./work/repair-limits.ts";
import { SentFiles } from "./work/sent-files.ts";
import { SourceReads } from "./work/source-reads.ts";
import { TreeWork } from "./work/tree-work.ts";
import { UnreadChanges } from "./work/unread-changes.ts";
import { entriesAnew, entryAt, placeOf, type WorkParts } from "./work/work-parts.ts";

/** A queue that stays empty for so long is made durable at the target. */
const SETTLE_MS = 1000;
/** So often what followed from what followed is waited for; a tree that changes all the time has always more. */
const FOLLOW_UPS_MAX = 64;
/** Of all connections together: claims of copies at the same time. */
const COPY_RUNS = 32;

export interface SynchronizationTarget {
  /** As shown: a local path or a URL. */
  readonly to: string;
  readonly connector: Connector;
  /** NAME at the target's daemon; empty for a local path. */
  readonly name: string;
}

export interface TargetLaneParts {
  readonly target: SynchronizationTarget;
  readonly source: SourceTree;
  readonly nodes: DirectoryNodes;
  readonly excludes: ExcludeRules;
  readonly settings: SynchronizationSettings;
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
  readonly plants: ReadonlySet<string>;
  readonly report: (sentence: string) => void;
  /** Resolves when every event that happened before the call was told. */
  readonly drained: () => Promise<void>;
  /** The directory of this path is not known: it is looked for. */
  readonly lookFor: (path: TreePath) => void;
  /** Resolves when all that was looked for is found and told. */
  readonly found: () => Promise<void>;
  /** All that was told is at the target, durably. */
  readonly settled: () => void;
}

export class TargetLane {
  readonly to: string;
  readonly queue: CommandQueue;
  readonly bulks: LaneBulks;
  readonly links = new HardLinks();
  readonly counters = { copiedFiles: 0, removed: 0, torn: 0, followUps: 0 };
  readonly #parts: TargetLaneParts;
  readonly #threads: TargetThreads;
  readonly #dirty = new DirtyDirectories();
  readonly #abort = new AbortController();
  readonly #connections = new OpenConnections();
  readonly #repairs: RepairLimits;
  readonly #lateRepairs: LateRepairs;
  /** Something was found in a directory that is not known. */
  #isLooking = false;
  readonly #kept = new KeptComparison();
  #comparisons = 0;
  #wasConnected = false;
  #settlesSoon: Timer | undefined;
  /** Nothing was appended since all was durable at the target. */
  isDurable = false;

  constructor(parts: TargetLaneParts) {
    const { target, clock, nodes, settings, plants } = parts;
    this.#parts = parts;
    this.#repairs = new RepairLimits(clock);
    this.to = target.to;
    this.queue = new CommandQueue({
      clock,
      nodes,
      threads: settings.threads,
      plants,
      settings: {
        entriesMax: settings.queueEntriesMax,
        barrier: settings.barrier,
        idleCloseMs: settings.idleCloseMs,
        copyRunEntriesMax: settings.copyRunEntriesMax,
        copyRunBytesMax: 2 ** 20,
        copyRunsMax: Math.ceil(COPY_RUNS / settings.threads),
      },
      observer: {
        appended: () => (this.isDurable = false),
        emptied: () => this.#settleSoon(),
      },
    });
    this.#lateRepairs = new LateRepairs({
      clock,
      limits: this.#repairs,
      signal: this.#abort.signal,
      repair: (directory) => this.queue.rescan(directory, "one"),
    });
    this.bulks = new LaneBulks({
      bulk: this.#bulkParts(),
      clock,
      signal: this.#abort.signal,
      comparing: () => this.#comparing(),
      report: (sentence) => parts.report(`${this.to}: ${sentence}`),
    });
    const work = new TreeWork(this.#workParts(), ({ connection, abilities }) => {
      this.#keeps(abilities);
      this.#connections.opened(connection);
    });
    this.#threads = new TargetThreads({
      clock,
      random: parts.random,
      queue: this.queue,
      work,
      connector: target.connector,
      configuration: {
        target: target.name,
        synchronization: parts.id,
        modes: ["full", "incremental", "attributes"],
        deletes: settings.deletes,
      },
      bytesPerSecond: settings.bandwidthBytesPerSecond,
      observer: (event) => {
        if (event.type === "connected" && event.thread === 0) this.#mainConnected();
      },
    });
  }

  start(): void {
    this.#threads.start();
  }

  /** Something happened at the source. */
  changed(change: Change | NewEntry): void {
    this.#repairs.sourceChanged();
    // What is compared meanwhile, or is to be, may look for it where it is not any more, or was not yet.
    const isCompared = this.#comparisons > 0 || this.queue.hasRepairs;
    this.queue.append(change);
    if (change.kind === "rename" && change.isDirectory && isCompared) this.#compareMoved(change);
  }

  #compareMoved({ place }: Change | NewEntry): void {
    const directory = place?.directory.child(place.name);
    if (directory === undefined) return;
    const repair = entryAt({ directory, name: "" }, { kind: "repair", depth: "all", isDirectory: true });
    for (const entry of repair) this.queue.append(entry);
  }

  /** Until the returned function is called, and what happened until then is known. */
  #comparing(): () => void {
    this.#comparisons += 1;
    return () => {
      const ended = () => {
        this.#comparisons -= 1;
      };
      this.#parts.drained().then(ended, ended);
    };
  }

  // ---- waiting ----

  /** All that was told before the call, and all that followed from it, is durable at the target. */
  async settle(event: number): Promise<void> {
    // What is in work when this begins has appended what follows from it when the first mark is reached.
    await this.queue.mark(event);
    for (let round = 0; round < FOLLOW_UPS_MAX; round += 1) {
      const { followUps } = this.counters;
      // A comparison that is due anyway: what the target lost is found by it.
      if (this.bulks.comparesSoon) this.bulks.compareNow();
      this.#lateRepairs.repairAll();
      await this.bulks.ended();
      if (this.#isLooking) await this.#looked();
      const { held, error } = this.bulks;
      if (held !== undefined) throw held;
      if (error !== undefined) throw error;
      if (this.#parts.plants.has("filesync-early-mark")) return;
      await this.queue.mark(event);
      if (this.counters.followUps === followUps && this.#lateRepairs.isEmpty && this.bulks.isEmpty) return;
    }
  }

  /** What was found since then is looked for in the next round. */
  async #looked(): Promise<void> {
    this.#isLooking = false;
    this.counters.followUps += 1;
    await this.#parts.found();
  }

  /** A queue that stays empty is made durable by itself. */
  #settleSoon(): void {
    if (this.#settlesSoon !== undefined || this.isDurable) return;
    this.#settlesSoon = this.#parts.clock.after(SETTLE_MS, () => {
      this.#settlesSoon = undefined;
      if (this.isDurable || !this.queue.isEmpty || this.#abort.signal.aborted) return;
      this.queue.mark(0).then(
        () => {
          // What a target lost with its connection is found by the comparison that follows.
          const isKnown = !this.bulks.comparesSoon && this.bulks.isEmpty;
          if (!this.queue.isEmpty || !isKnown) return;
          this.isDurable = true;
          this.#parts.settled();
        },
        () => undefined,
      );
    });
  }

  async verify(): Promise<VerificationResult> {
    const { source, settings } = this.#parts;
    return await new Verification({
      source,
      scanSource: this.#scanSource,
      scanTarget: this.#scanTarget,
      hashesOfTarget: (path, request) =>
        this.#connections.overAny((connection) => connection.hashes(path, request)),
      kept: this.#kept,
      keepsExtra: settings.deletes === "keep",
      failed: (failure) => this.#failed(failure),
      signal: this.#abort.signal,
    }).run();
  }

  // ---- the rest ----

  pause(): void {
    void this.#threads.pause();
  }

  resume(): void {
    this.#threads.resume();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.bulks.stop();
    this.#settlesSoon?.cancel();
    this.#connections.stop();
    await this.#threads.stop();
    await this.bulks.ended();
  }

  get figures(): TargetFigures {
    return this.#threads.figures;
  }

  #bulkParts(): BulkParts {
    return {
      queue: this.queue,
      source: this.#scanSource,
      target: this.#scanTarget,
      placeOf: (path) => this.#placeOf(path),
      entryAt,
      kept: this.#kept,
      deletes: this.#parts.settings.deletes,
      dirty: (path) => this.#dirty.differs(path),
      linked: (attributes, place) => this.links.seen(attributes, place),
      settled: async () => {
        await this.#parts.drained();
        await this.queue.mark(0);
      },
      failed: (failure) => this.#failed(failure),
    };
  }

  #workParts(): WorkParts {
    const { source, nodes, excludes, settings, plants } = this.#parts;
    return {
      source,
      nodes,
      excludes,
      deletes: settings.deletes,
      links: this.links,
      linkSearch: new LinkSearch(),
      unread: new UnreadChanges(this.#parts.clock),
      sent: new SentFiles(() => this.#kept.kept.timeStepNanoseconds / 1e6),
      dirty: this.#dirty,
      reads: new SourceReads({
        drained: this.#parts.drained,
        stale: (place) => this.#doAnew(place),
      }),
      counters: this.counters,
      clock: this.#parts.clock,
      plants,
      kept: this.#kept,
      placeOf: (path) => this.#placeOf(path),
      append: (entry) => this.queue.append(entry) !== undefined,
      hasRenames: () => this.queue.hasRenames,
      later: (delayMs, action) => {
        this.#parts.clock.after(delayMs, () => {
          if (!this.#abort.signal.aborted) action();
        });
      },
      bulk: (path) => this.bulks.compare(path),
      mayRepair: (path) => this.#repairs.mayRepair(path),
      repairLater: (directory) => this.#repairLater(directory),
      comparing: () => this.#comparing(),
      connectionEnded: (connection) => this.#connections.ended(connection),
    };
  }

  #placeOf(path: TreePath): SourcePlace | undefined {
    const { nodes, lookFor } = this.#parts;
    const place = placeOf(nodes, path);
    if (place === undefined) {
      this.#isLooking = true;
      lookFor(path);
    }
    return place;
  }

  #doAnew(place: SourcePlace): void {
    if (this.#parts.plants.has("filesync-stale-reads")) return;
    this.counters.followUps += 1;
    for (const entry of entriesAnew(place)) this.queue.append(entry);
  }

  #repairLater(directory: DirectoryNode): void {
    this.counters.followUps += 1;
    this.#lateRepairs.add(directory);
  }

  #failed(failure: FileFailure): void {
    this.#threads.fileFailed(failure);
  }

  // ---- connections ----

  /** A connection that was lost may have been lost with the target's machine. */
  #mainConnected(): void {
    if (this.#wasConnected) this.bulks.compareSoon();
    this.#wasConnected = true;
  }

  #keeps(abilities: TargetAbilities): void {
    const dropped = describeDropped(abilities);
    if (dropped !== undefined && dropped !== describeDropped(this.#kept.kept))
      this.#parts.report(`${this.to}: ${dropped}`);
    this.#kept.kept = abilities;
  }

  readonly #scanSource: TreeScan = (request) => {
    const { source, excludes } = this.#parts;
    return source.scan({ ...request, excludes });
  };

  readonly #scanTarget: TreeScan = (request) => {
    const { excludes } = this.#parts;
    const whole: ScanRequest = { ...request, excludes };
    return this.#connections.overAny((connection) => connection.scan(whole));
  };
}
