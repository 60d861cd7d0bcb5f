/**
 * The queue of one target: live changes and the copies of a bulk in one order (F2), with a limit on its length.
 *
 * Always holds: for every change that was appended, an entry that waits, or a directory that is to be compared again, or an
 * entry that was claimed after the change, is there until the target has it. Producers of live changes never wait: what
 * has no room becomes a directory to be compared. Those of a bulk wait for `room`, so that what is behind is soon reached.
 * Errors: TOO_MANY (marks), SHUTTING_DOWN to all who wait when it is closed.
 */
import { assert } from "../../base/assert.ts";
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { Clock, TreePath } from "../../ports/mod.ts";
import type { DirectoryNode } from "../capture/directory-node.ts";
import { parentPath } from "../tree-path.ts";
import { CopyRate } from "./copy-rate.ts";
import { type Entry, isControlKind, type NewEntry, QueuedEntry } from "./entry.ts";
import { EntryList } from "./entry-list.ts";
import { JoinedEntries } from "./joined-entries.ts";
import type { QueueFigures } from "./queue-figures.ts";
import { DEFAULT_QUEUE_SETTINGS, type QueueSettings } from "./queue-settings.ts";
import { RescanSet } from "./rescan-set.ts";
import { type Claim, type ClaimOutcome, Schedule } from "./schedule.ts";

/** Beyond `entriesMax`, for entries of no file and for what a bulk appends at once without asking for room. */
const RESERVED_ENTRIES = 4096;
const MARKS_MAX = 256;
/** Copies that a bulk may have in the queue for each thread before their rate is known, if they are little work (bytes). */
const FIRST_AHEAD = 512;
const FIRST_AHEAD_WORK = 8 * 2 ** 20;
/** A bulk has at most this part of the queue. */
const BULK_SHARE = 1 / 2;

/** Told in the same turn; a durable journal listens, and the simulator. */
export interface QueueObserver {
  appended?(entry: Entry): void;
  done?(entry: Entry): void;
  /** There was no room for it; the directory is to be compared. Undefined: the whole tree. */
  collapsed?(directory: DirectoryNode | undefined): void;
  /** All is done: no entry, nothing to be compared again. */
  emptied?(): void;
}

export interface CommandQueueOptions {
  readonly clock: Clock;
  /** The source's directories; the root stands for the whole tree. */
  readonly nodes: { readonly root: DirectoryNode; at(path: TreePath): DirectoryNode | undefined };
  /** 1 to 16, the main thread included. */
  readonly threads: number;
  readonly settings?: Partial<QueueSettings> | undefined;
  /** Known bugs to plant, to prove that tests and the simulator find them. */
  readonly plants?: ReadonlySet<string> | undefined;
  readonly observer?: QueueObserver | undefined;
}

interface PendingMark {
  readonly entry: NewEntry;
  /** It is appended when so many directories were taken out of the rescan set. */
  readonly rescansTaken: number;
  readonly reached: Deferred;
}

export class CommandQueue {
  readonly settings: QueueSettings;
  readonly threads: number;
  readonly schedule: Schedule;
  readonly #clock: Clock;
  readonly #nodes: CommandQueueOptions["nodes"];
  readonly #observer: QueueObserver;
  readonly #list = new EntryList();
  readonly #joined = new JoinedEntries();
  readonly #rescans: RescanSet;
  readonly #rate: CopyRate;
  readonly #whenDone = new Map<Entry, Deferred>();
  #pendingMarks: PendingMark[] = [];
  #marks = 0;
  /** Entries that are not done. */
  #repairs = 0;
  /** Of a directory; undefined once it is done. */
  #lastRename: QueuedEntry | undefined;
  #room: Deferred | undefined;
  #number = 0;
  #bulkEntries = 0;
  /** Copies of a bulk, and those of them that are claimed. */
  #copyWork = 0;
  #claimedWork = 0;
  #liveEntries = 0;
  #liveBytes = 0;
  #rescanned = 0;
  #closed: RopewalkError | undefined;
  /** Called when a thread may have something to do. */
  changed: () => void = () => undefined;

  constructor(options: CommandQueueOptions) {
    assert(options.threads >= 1 && options.threads <= 16, "a target has 1 to 16 connections (F3)");
    this.settings = { ...DEFAULT_QUEUE_SETTINGS, ...options.settings };
    this.threads = options.threads;
    this.#clock = options.clock;
    this.#nodes = options.nodes;
    this.#observer = options.observer ?? {};
    this.#rescans = new RescanSet(this.settings.rescansMax);
    this.#rate = new CopyRate(options.clock);
    this.schedule = new Schedule({
      list: this.#list,
      threads: options.threads,
      settings: this.settings,
      plants: options.plants ?? new Set(),
      claimed: (entry) => {
        this.#joined.claimed(entry);
        this.#claimedWork += this.#workOf(entry);
      },
      released: (entry) => (this.#claimedWork -= this.#workOf(entry)),
      isEnough: () => (this.#rate.timeMsOf(this.#claimedWork) ?? 0) > this.settings.bulkAheadMs,
      done: (entry) => this.#wasDone(entry),
    });
  }

  // Producers.

  /**
   * Appends an entry, or joins it to one that waits, which is then returned.
   * Undefined: there was no room, and its directory is compared again later.
   */
  append(entry: NewEntry): Entry | undefined {
    const joined = this.#joined.join(entry);
    if (joined !== undefined) return joined;
    const isFull = this.#list.length >= this.settings.entriesMax;
    if (isFull && !isControlKind(entry.kind) && entry.kind !== "sync-copy" && entry.isBulk !== true) {
      this.#collapse(entry);
      return undefined;
    }
    assert(
      this.#list.length < this.settings.entriesMax + RESERVED_ENTRIES,
      "a bulk waits for room before it appends",
    );
    return this.#append(entry);
  }

  /**
   * Resolves when a bulk may append: it has less than its share of the queue, and what it has there is done soon. It may
   * then append some tens of entries before it asks again. Errors: SHUTTING_DOWN.
   */
  async room(): Promise<void> {
    while (!this.#hasRoom()) {
      if (this.#closed !== undefined) throw this.#closed;
      this.#room ??= new Deferred();
      await this.#room.promise;
    }
    if (this.#closed !== undefined) throw this.#closed;
  }

  /**
   * Resolves when all that was appended before the call is processed, what is compared again included.
   * Errors: TOO_MANY, SHUTTING_DOWN.
   */
  mark(event: number): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (this.#marks >= MARKS_MAX)
      return Promise.reject(
        new RopewalkError("TOO_MANY", `More than ${MARKS_MAX} wait for this target; wait for one of them.`),
      );
    this.#marks++;
    const mark: PendingMark = {
      entry: { kind: "mark", event },
      rescansTaken: this.#rescans.added,
      reached: new Deferred(),
    };
    this.#pendingMarks.push(mark);
    this.#appendMarks();
    return mark.reached.promise;
  }

  /** Resolves when the entry is done. Errors: SHUTTING_DOWN. */
  whenDone(entry: Entry): Promise<void> {
    if (entry.state === "done") return Promise.resolve();
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    let deferred = this.#whenDone.get(entry);
    if (deferred === undefined) this.#whenDone.set(entry, (deferred = new Deferred()));
    return deferred.promise;
  }

  /** Whether directories may stand elsewhere at the target than the last event said. */
  get hasRenames(): boolean {
    return this.#lastRename !== undefined;
  }

  /** Whether directories are still to be compared: what moves out of them meanwhile is not seen there any more. */
  get hasRepairs(): boolean {
    return this.#repairs > 0 || this.#rescans.size > 0;
  }

  /** Resolves when the directories of the target stand where they were said to be at the call. Errors: SHUTTING_DOWN. */
  async renamed(): Promise<void> {
    if (this.#lastRename !== undefined) await this.whenDone(this.#lastRename);
  }

  /** Something happened in a directory that is not known; undefined: anywhere. */
  rescan(directory: DirectoryNode | undefined, depth: "one" | "all"): void {
    const atMs = this.#clock.nowMs();
    this.#rescanned++;
    if (directory === undefined) this.#rescans.addWhole(atMs);
    else this.#rescans.add(directory, { depth, atMs });
    this.#observer.collapsed?.(directory);
    this.#appendRescans();
    this.changed();
  }

  // Threads.

  claim(thread: number): Claim | undefined {
    if (this.#closed !== undefined) return undefined;
    const claim = this.schedule.claim(thread, this.#clock.nowMs());
    if (claim?.what === "copy") this.#rate.began();
    return claim;
  }

  /** `bytes`: what was looked at and sent for the entries, also for those that were put back. */
  finish(claim: Claim, outcome: ClaimOutcome & { readonly bytes: number }): void {
    if (claim.what === "copy") this.#rate.ended({ entries: outcome.done.length, bytes: outcome.bytes });
    this.schedule.finish(claim, outcome, this.#clock.nowMs());
    this.#settle();
  }

  /** The claim's connection is dead, or its work failed as a whole (F12). */
  free(claim: Claim): void {
    if (claim.what === "copy") this.#rate.ended({ entries: 0, bytes: 0 });
    this.schedule.free(claim);
    this.#settle();
  }

  // Looking.

  /** Nothing waits, nothing runs, nothing is to be compared again. */
  get isEmpty(): boolean {
    return this.#list.length === 0 && this.#rescans.size === 0;
  }

  get figures(): QueueFigures {
    const oldestMs = this.#oldestLiveMs();
    return {
      lag: {
        entries: this.#liveEntries + this.#rescans.size,
        bytes: this.#liveBytes,
        seconds: oldestMs === undefined ? 0 : Math.max(0, this.#clock.nowMs() - oldestMs) / 1000,
      },
      bulkEntries: this.#bulkEntries,
      copyBytesPerSecond: this.#rate.perSecond,
      rescans: this.#rescanned,
      rescansWaiting: this.#rescans.size,
    };
  }

  /** For those who look at all of it: tests and the simulator. */
  entries(): Iterable<Entry> {
    return this.#list;
  }

  /** Nothing is claimed any more; all who wait hear SHUTTING_DOWN. */
  close(): void {
    if (this.#closed !== undefined) return;
    this.#closed = new RopewalkError("SHUTTING_DOWN", "The replication to this target was stopped.");
    for (const { reached } of this.#pendingMarks) reached.reject(this.#closed);
    for (const deferred of this.#whenDone.values()) deferred.reject(this.#closed);
    this.#pendingMarks = [];
    this.#whenDone.clear();
    this.#room?.resolve();
  }

  #append(entry: NewEntry): QueuedEntry {
    const nowMs = this.#clock.nowMs();
    const queued = new QueuedEntry(++this.#number, entry, nowMs);
    this.#list.append(queued);
    this.schedule.appended(queued, nowMs);
    this.#joined.appended(queued);
    if (queued.kind === "rename" && queued.isDirectory) this.#lastRename = queued;
    if (queued.kind === "repair") this.#repairs++;
    this.#count(queued, 1);
    this.#observer.appended?.(queued);
    this.changed();
    return queued;
  }

  /** What the entry was about is found by comparing: its directory, and all of a directory that came or moved. */
  #collapse(entry: NewEntry): void {
    const { kind, place, path, from, isDirectory, depth, atMs } = entry;
    const { root } = this.#nodes;
    if (kind === "rename") this.#joined.renamed(entry);
    const options = { depth: "one" as const, atMs: atMs ?? this.#clock.nowMs() };
    const directory = place?.directory ?? root;
    const own = place === undefined || place.name === "" ? directory : directory.child(place.name);
    this.#rescanned++;
    if (kind === "repair") this.#rescans.add(own ?? directory, { ...options, depth: depth ?? "one" });
    else this.#rescans.add(directory, options);
    if ((kind === "create" || kind === "rename") && isDirectory !== false)
      this.#rescans.add(own ?? directory, { ...options, depth: "all" });
    if (from !== undefined) {
      const left = this.#nodes.at(parentPath(from));
      if (left !== undefined) this.#rescans.add(left, options);
      else this.#rescans.addWhole(options.atMs);
    }
    if (path !== undefined) this.#observer.collapsed?.(directory);
    this.changed();
  }

  /** The set is worked off once half of the queue is free, up to a quarter: live entries need room too. */
  #appendRescans(): void {
    const { entriesMax } = this.settings;
    if (this.#list.length > entriesMax / 2) return;
    // Those that make no entry do not count: nobody would ask for the next ones.
    for (let appended = 0; appended < Math.ceil(entriesMax / 4); ) {
      const sinceMs = this.#rescans.sinceMs;
      const rescan = this.#rescans.take();
      if (rescan === undefined) break;
      const directory = rescan.directory ?? this.#nodes.root;
      const { path } = directory;
      // A directory that is gone, or away, was taken out of another, which is to be compared for that.
      if (path === undefined) {
        directory.miss(rescan.depth);
        continue;
      }
      const entry: NewEntry = {
        kind: "repair",
        place: { directory, name: "" },
        path,
        depth: rescan.depth,
        atMs: sinceMs,
      };
      if (this.#joined.join(entry) !== undefined) continue;
      this.#append(entry);
      appended++;
    }
    this.#appendMarks();
  }

  #appendMarks(): void {
    while (this.#pendingMarks.length > 0) {
      const { entry, reached, rescansTaken } = this.#pendingMarks[0]!;
      if (this.#rescans.taken < rescansTaken) return;
      this.#pendingMarks.shift();
      this.#whenDone.set(this.#append(entry), reached);
    }
  }

  #wasDone(entry: QueuedEntry): void {
    this.#count(entry, -1);
    if (entry.kind === "mark") this.#marks--;
    if (entry === this.#lastRename) this.#lastRename = undefined;
    if (entry.kind === "repair") this.#repairs--;
    this.#observer.done?.(entry);
    entry.done?.(entry);
    this.#whenDone.get(entry)?.resolve();
    this.#whenDone.delete(entry);
  }

  /** After entries went, or came back. */
  #settle(): void {
    this.#appendRescans();
    if (this.isEmpty) this.#observer.emptied?.();
    // Then much at once: who appends as little as was just done leaves the threads as little to claim.
    if (this.#room !== undefined && this.#hasRoom(1 / 2)) {
      this.#room.resolve();
      this.#room = undefined;
    }
    this.changed();
  }

  /** `share`: of what a bulk may have in the queue. */
  #hasRoom(share = 1): boolean {
    const { bulkAheadMs, entriesMax } = this.settings;
    if (this.#bulkEntries >= entriesMax * BULK_SHARE * share || this.#list.length >= entriesMax) return false;
    // Every thread has something to do, however slow it is.
    if (this.#bulkEntries < 2 * this.threads) return true;
    const aheadMs = this.#rate.timeMsOf(this.#copyWork - this.#claimedWork);
    if (aheadMs !== undefined) return aheadMs <= bulkAheadMs * share;
    // Small files cost little, and only many show how fast they are done.
    return this.#bulkEntries < FIRST_AHEAD * this.threads * share && this.#copyWork < FIRST_AHEAD_WORK;
  }

  #count(entry: QueuedEntry, sign: 1 | -1): void {
    this.#copyWork += sign * this.#workOf(entry);
    if (entry.isBulk) this.#bulkEntries += sign;
    else if (entry.kind !== "mark") {
      this.#liveEntries += sign;
      this.#liveBytes += sign * entry.sizeBytes;
    }
  }

  /** Of a copy of a bulk. A large file lets others by while it is copied, so that its length is not what they wait for. */
  #workOf({ isBulk, kind, sizeBytes }: Entry): number {
    if (!isBulk || kind !== "sync-copy") return 0;
    return CopyRate.workOf({ entries: 1, bytes: Math.min(sizeBytes, this.settings.largeBytes) });
  }

  #oldestLiveMs(): number | undefined {
    let oldestMs = this.#rescans.sinceMs;
    for (const entry of this.#list) {
      if (entry.isBulk || entry.kind === "mark") continue;
      oldestMs = Math.min(oldestMs ?? entry.atMs, entry.atMs);
      break;
    }
    return oldestMs;
  }
}
