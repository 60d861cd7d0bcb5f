/**
 * Who may work on what: the rules F4 to F8 and F10 to F12 of file replication, and nothing else.
 *
 * | rule | where |
 * | --- | --- |
 * | F4: the main thread processes every command, a sync thread only SYNC_COPY | `#claimOfMain`, `#claimOfSync` |
 * | F5: start and finish are commands of no file; at the finish every copy is complete | `#claimOfMain`, `#isFirst` |
 * | F6: a sync thread goes forward to the first uncompleted command that is no SYNC_COPY | `#claimOfSync` |
 * | F7: such a command is taken when every running copy is finished | `#isClear` |
 * | F8: nothing is processed before every connection said hello | `isReady` |
 * | F10: what changes while it is copied is copied first and changed afterwards | `#isClear`, `#putBack`, `#wasDone` |
 * | F11: after five idle seconds the sync threads close, never in mid-copy | `isWanted` |
 * | F12: a SYNC_COPY is claimed by exactly one thread; the claim of a dead connection is freed | `#mayClaim`, `free` |
 *
 * A copy of a large file may be put back in the middle: it then gives way to the commands that wait behind it, and goes on
 * in front of those that come later, so that neither starves. Always holds: thread 0 is the main thread; a thread has one
 * claim at a time, or several of small copies; every entry of the list is waiting or claimed; a copy that was begun holds
 * its place until it is done.
 */
import { assert } from "../../base/assert.ts";
import { isWithin, movedPath } from "../tree-path.ts";
import { ClaimedFront } from "./claimed-front.ts";
import { type Entry, isControlKind, isSyncKind, type QueuedEntry, touchesCopy } from "./entry.ts";
import type { EntryList } from "./entry-list.ts";
import type { QueueSettings } from "./queue-settings.ts";

export const MAIN_THREAD = 0;
/** So many commands a sync thread passes at most, with the barrier over paths: each is compared with each copy. */
const PASSED_MAX = 64;
/** A copy that is put back gives way to at most so many commands at a time. */
const YIELDED_MAX = 1024;

export interface Claim {
  readonly thread: number;
  /** `copy`: SYNC_COPY entries only; `commands`: no SYNC_COPY, in their order. */
  readonly what: "copy" | "commands";
  readonly entries: readonly Entry[];
}

export interface ClaimOutcome {
  readonly done: readonly Entry[];
  /** Of a copy: a part of each was sent, and its file at the target is kept open. */
  readonly putBack?: readonly Entry[];
  /** Not begun. Of commands: the last ones. */
  readonly untouched?: readonly Entry[];
}

/** Where a thread stands. */
export interface Standing {
  readonly doing: "closed" | "copying" | "processing" | "waiting";
  /** Of the entry it works on, or of the command that it waits at; 0: at the end of the queue. */
  readonly number: number;
}

export interface ScheduleOptions {
  readonly list: EntryList;
  /** 1 to 16, the main thread included. */
  readonly threads: number;
  readonly settings: QueueSettings;
  readonly plants: ReadonlySet<string>;
  readonly claimed: (entry: QueuedEntry) => void;
  /** It is claimed no more: it waits again, or is done next. */
  readonly released: (entry: QueuedEntry) => void;
  /** Whether the copies that are claimed take so long that no thread needs another claim beside one that it has. */
  readonly isEnough: () => boolean;
  readonly done: (entry: QueuedEntry) => void;
}

interface OpenClaim extends Claim {
  readonly entries: readonly QueuedEntry[];
}

export class Schedule {
  readonly #options: ScheduleOptions;
  readonly #list: EntryList;
  readonly #front: ClaimedFront;
  readonly #saidHello = new Set<number>();
  /** By thread; none has an empty set. */
  readonly #claims = new Map<number, Set<OpenClaim>>();
  /** SYNC_COPY entries that are claimed. */
  readonly #running = new Set<QueuedEntry>();
  /** SYNC_COPY entries of which a part was sent. */
  readonly #parts = new Set<QueuedEntry>();
  #syncEntries = 0;
  #waitingCopies = 0;
  #commands = 0;
  #lastSyncMs = Number.NEGATIVE_INFINITY;

  constructor(options: ScheduleOptions) {
    this.#options = options;
    this.#list = options.list;
    this.#front = new ClaimedFront(options.list);
  }

  /** An entry came to the end of the list. */
  appended(entry: QueuedEntry, nowMs: number): void {
    if (isSyncKind(entry.kind)) {
      this.#syncEntries++;
      this.#lastSyncMs = nowMs;
    }
    if (entry.kind === "sync-copy") this.#waitingCopies++;
    else if (!isPassable(entry)) this.#commands++;
  }

  // F8 and F11: who is connected.

  /** The thread's connection has told its configuration. */
  saidHello(thread: number): void {
    this.#saidHello.add(thread);
  }

  /** The thread has no connection any more, and nothing of it is in work. */
  closed(thread: number): void {
    this.#saidHello.delete(thread);
    for (const part of this.#parts) if (part.heldBy === thread) part.heldBy = undefined;
  }

  /** F11. A copy that runs or is put back is a command of a synchronization: it keeps every thread open. */
  isWanted(thread: number, nowMs: number): boolean {
    if (thread === MAIN_THREAD || this.#syncEntries > 0) return true;
    return nowMs < this.#lastSyncMs + this.#options.settings.idleCloseMs;
  }

  /** When `isWanted` may next become false, with nothing appended until then; undefined: not so. */
  closesAtMs(): number | undefined {
    if (this.#syncEntries > 0 || this.#lastSyncMs === Number.NEGATIVE_INFINITY) return undefined;
    return this.#lastSyncMs + this.#options.settings.idleCloseMs;
  }

  /** F8. */
  isReady(nowMs: number): boolean {
    for (let thread = 0; thread < this.#options.threads; thread++)
      if (!this.#saidHello.has(thread) && this.isWanted(thread, nowMs)) return false;
    return true;
  }

  // F4 to F7, F12: who takes what.

  /** What the thread works on next, claimed for it; undefined: it waits. */
  claim(thread: number, nowMs: number): Claim | undefined {
    const held = this.#claims.get(thread);
    if (held !== undefined && !this.#mayHaveAnother(held)) return undefined;
    if (!this.#saidHello.has(thread) || !this.isReady(nowMs)) return undefined;
    const entries = thread === MAIN_THREAD ? this.#claimOfMain() : this.#claimOfSync(thread);
    if (entries === undefined) return undefined;
    const what = entries[0]!.kind === "sync-copy" ? "copy" : "commands";
    const claim: OpenClaim = { thread, what, entries };
    if (held === undefined) this.#claims.set(thread, new Set([claim]));
    // What stands next is for a thread that has nothing else, or too little for another claim: more may come.
    else if (!this.isShort(claim) || !this.#isFull(claim)) return undefined;
    else held.add(claim);
    for (const entry of entries) {
      if (what === "copy" && entry.state === "waiting") this.#waitingCopies--;
      entry.state = "claimed";
      entry.claimedBy = thread;
      if (what === "copy") this.#running.add(entry);
      this.#options.claimed(entry);
    }
    return claim;
  }

  /** Whether the claim is of small copies, beside which its thread may have others. */
  isShort({ what, entries: [first] }: Claim): boolean {
    const { largeBytes } = this.#options.settings;
    return what === "copy" && first!.sizeBytes <= largeBytes && !this.#parts.has(first as QueuedEntry);
  }

  #isFull({ entries }: Claim): boolean {
    const { copyRunBytesMax, copyRunEntriesMax } = this.#options.settings;
    if (entries.length >= copyRunEntriesMax / 2) return true;
    let bytes = 0;
    for (const { sizeBytes } of entries) bytes += sizeBytes;
    return bytes >= copyRunBytesMax / 2;
  }

  #mayHaveAnother(held: ReadonlySet<OpenClaim>): boolean {
    const { copyRunsMax } = this.#options.settings;
    for (const claim of held) if (!this.isShort(claim)) return false;
    return held.size < copyRunsMax && !this.#options.isEnough();
  }

  /**
   * The main thread goes through the queue in order. It claims what no other has claimed, and waits at the first command
   * that is not clear. A finish that is not yet its turn is passed by live commands (they may wait for nothing that is
   * running, see `#isClear`), but by no copy.
   */
  #claimOfMain(): QueuedEntry[] | undefined {
    let isFinishAhead = false;
    for (let entry = this.#front.next(); entry !== undefined; entry = entry.next) {
      if (entry.kind === "sync-copy") {
        if (!isFinishAhead && this.#mayClaim(entry, MAIN_THREAD)) return this.#copiesFrom(entry, MAIN_THREAD);
      } else if (isPassable(entry)) {
        if (this.#isFirst(entry)) return [entry];
        if (entry.kind === "sync-finish") isFinishAhead = true;
      } else return this.#isClear(entry) ? this.#commandsFrom(entry) : undefined;
    }
    return undefined;
  }

  /** F6. With the barrier over paths it also passes commands that its copy has nothing to do with. */
  #claimOfSync(thread: number): QueuedEntry[] | undefined {
    const claimsTwice = this.#options.plants.has("filesync-double-claim");
    if (this.#waitingCopies === 0 && !claimsTwice) return undefined;
    const passed: QueuedEntry[] = [];
    for (
      let entry = claimsTwice ? this.#list.first : this.#front.next();
      entry !== undefined;
      entry = entry.next
    ) {
      if (entry.kind === "sync-copy") {
        if (this.#mayClaim(entry, thread) && !passed.some((command) => touchesCopy(command, entry)))
          return this.#copiesFrom(entry, thread, passed);
      } else if (entry.kind !== "mark" && !this.#mayPass(entry, passed)) return undefined;
    }
    return undefined;
  }

  #mayPass(command: QueuedEntry, passed: QueuedEntry[]): boolean {
    if (this.#options.settings.barrier === "tree" || isControlKind(command.kind)) return false;
    if (passed.length === PASSED_MAX) return false;
    passed.push(command);
    return true;
  }

  /** F12. One that was put back goes on in the thread that holds its file, and after the commands it gave way to. */
  #mayClaim(copy: QueuedEntry, thread: number): boolean {
    if (copy.state === "claimed") {
      return this.#options.plants.has("filesync-double-claim") && copy.claimedBy !== thread;
    }
    return copy.yieldsTo === 0 && (copy.heldBy === undefined || copy.heldBy === thread);
  }

  /** F7, and F10: nothing changes while a copy of it runs. */
  #isClear(command: QueuedEntry): boolean {
    const { plants, settings } = this.#options;
    if (plants.has("filesync-skip-barrier")) return true;
    const isOverTree = settings.barrier === "tree";
    for (const copy of this.#running) {
      if (plants.has("filesync-late-copy") && copy.path === command.path) continue;
      if (isOverTree || touchesCopy(command, copy)) return false;
    }
    for (const part of this.#parts) {
      if (part.number > command.number || part.yieldsTo >= command.number) continue;
      if (isOverTree || touchesCopy(command, part)) return false;
    }
    return true;
  }

  /** F5: everything before it is done, as the list has only what is not. */
  #isFirst(entry: QueuedEntry): boolean {
    if (entry.kind === "sync-finish" && this.#options.plants.has("filesync-early-finish")) return true;
    return this.#list.first === entry;
  }

  /** Copies that stand together, shared out among the threads. */
  #copiesFrom(first: QueuedEntry, thread: number, passed: readonly QueuedEntry[] = []): QueuedEntry[] {
    const { settings, threads } = this.#options;
    const share = Math.ceil(this.#waitingCopies / threads);
    const entriesMax = Math.max(1, Math.min(settings.copyRunEntriesMax, share));
    const entries = [first];
    let bytes = first.sizeBytes;
    if (this.#parts.has(first) || bytes > settings.largeBytes) return entries;
    for (let entry = first.next; entry !== undefined && entries.length < entriesMax; entry = entry.next) {
      if (entry.kind === "mark") continue;
      if (entry.kind !== "sync-copy" || !this.#mayClaim(entry, thread)) break;
      bytes += entry.sizeBytes;
      if (bytes > settings.copyRunBytesMax || entry.sizeBytes > settings.largeBytes) break;
      const copy = entry;
      if (this.#parts.has(copy) || passed.some((command) => touchesCopy(command, copy))) break;
      entries.push(copy);
    }
    return entries;
  }

  /** F7: between two commands nothing is waited for. Those of no file, and repairs, which append, are taken alone. */
  #commandsFrom(first: QueuedEntry): QueuedEntry[] {
    const { runBytesMax, runEntriesMax } = this.#options.settings;
    const entries = [first];
    let bytes = first.sizeBytes;
    if (isControlKind(first.kind) || first.kind === "repair") return entries;
    for (let entry = first.next; entry !== undefined && entries.length < runEntriesMax; entry = entry.next) {
      if (entry.kind === "sync-copy" || isControlKind(entry.kind) || entry.kind === "repair") break;
      bytes += entry.sizeBytes;
      if (bytes > runBytesMax || !this.#isClear(entry)) break;
      entries.push(entry);
    }
    return entries;
  }

  // What came of a claim.

  /** Every entry of the claim is in one of the outcome's lists. */
  finish(claim: Claim, outcome: ClaimOutcome, nowMs: number): void {
    const open = this.#given(claim);
    assert(open !== undefined, "a claim is finished once, by the thread that has it");
    const done = new Set(outcome.done);
    const putBack = new Set(outcome.putBack);
    const untouched = new Set(outcome.untouched);
    assert(
      done.size + putBack.size + untouched.size === open.entries.length,
      "every entry of a claim is done, put back or untouched",
    );
    for (const entry of open.entries) {
      this.#release(entry);
      if (done.has(entry)) this.#wasDone(entry, nowMs);
      else {
        assert(putBack.has(entry) || untouched.has(entry), "an outcome is about the entries of its claim");
        this.#front.waitsAgain(entry);
        if (putBack.has(entry)) this.#putBack(entry, claim.thread);
      }
    }
  }

  /** F12: what was claimed is as if it had not been begun. */
  free(claim: Claim): void {
    for (const entry of this.#given(claim)?.entries ?? []) {
      this.#release(entry);
      this.#front.waitsAgain(entry);
    }
  }

  /** The claim is its thread's no more; undefined: it was not. */
  #given(claim: Claim): OpenClaim | undefined {
    const held = this.#claims.get(claim.thread);
    const open = claim as OpenClaim;
    if (held === undefined || !held.delete(open)) return undefined;
    if (held.size === 0) this.#claims.delete(claim.thread);
    return open;
  }

  #release(entry: QueuedEntry): void {
    // Only with a planted bug another thread has finished it.
    if (entry.state !== "claimed") return;
    entry.state = "waiting";
    entry.claimedBy = undefined;
    this.#running.delete(entry);
    if (entry.kind === "sync-copy") this.#waitingCopies++;
    this.#options.released(entry);
  }

  /**
   * The copy keeps its place, and gives way to the commands that now stand next behind it, which are followed by a copy or
   * by nothing. Those that come later wait for its next part.
   */
  #putBack(copy: QueuedEntry, thread: number): void {
    if (copy.state !== "waiting") return;
    assert(copy.kind === "sync-copy", "only a copy is put back");
    this.#parts.add(copy);
    copy.heldBy = thread;
    copy.isTouched = false;
    copy.yieldsTo = 0;
    let seen = 0;
    for (let entry = copy.next; entry !== undefined && seen < YIELDED_MAX; entry = entry.next) {
      if (entry.kind === "sync-copy") {
        if (seen > 0) return;
      } else if (!isPassable(entry)) {
        copy.yieldsTo = entry.number;
        seen++;
      }
    }
  }

  #wasDone(entry: QueuedEntry, nowMs: number): void {
    if (entry.state === "done") return;
    entry.state = "done";
    this.#front.leaves(entry);
    this.#list.remove(entry);
    if (isSyncKind(entry.kind)) {
      this.#syncEntries--;
      this.#lastSyncMs = nowMs;
    }
    if (entry.kind === "sync-copy") {
      this.#waitingCopies--;
      this.#parts.delete(entry);
    } else if (!isPassable(entry)) {
      this.#commands--;
      this.#tellParts(entry);
    }
    this.#options.done(entry);
  }

  /** F10: a command was processed while copies before it are half done. */
  #tellParts(command: QueuedEntry): void {
    for (const part of this.#parts) {
      if (part.yieldsTo === command.number) part.yieldsTo = 0;
      if (part.number > command.number || part.state === "claimed") continue;
      if (touchesCopy(command, part) && !this.#options.plants.has("filesync-late-copy"))
        part.isTouched = true;
      // Its place at the source follows its directory, but not its name: another file may be called so by now.
      if (command.from !== undefined && part.path !== command.from && isWithin(part.path, command.from))
        part.path = movedPath(part.path, command.from, command.path);
    }
  }

  // For those who work, and those who look.

  /** Whether a copy that has run for its slice of time is to be put back: a command waits behind it. */
  commandWaits(): boolean {
    return this.#commands > 0;
  }

  isRunning(): boolean {
    return this.#claims.size > 0;
  }

  /** SYNC_COPY, start and finish entries that are not done. */
  get syncEntries(): number {
    return this.#syncEntries;
  }

  /** The copy of the path that is half done and put back, if there is one: what it still does covers a change of the file. */
  partOf(path: string): Entry | undefined {
    for (const part of this.#parts) if (part.path === path && part.state === "waiting") return part;
    return undefined;
  }

  standing(thread: number): Standing {
    if (!this.#saidHello.has(thread)) return { doing: "closed", number: 0 };
    const [claim] = this.#claims.get(thread) ?? [];
    if (claim !== undefined)
      return { doing: claim.what === "copy" ? "copying" : "processing", number: claim.entries[0]!.number };
    for (let entry = this.#list.first; entry !== undefined; entry = entry.next)
      if (entry.kind !== "sync-copy" && entry.kind !== "mark")
        return { doing: "waiting", number: entry.number };
    return { doing: "waiting", number: 0 };
  }
}

/** What is told when all before it is done, and holds back no live command that stands behind it. */
function isPassable(entry: Entry): boolean {
  return entry.kind === "mark" || entry.kind === "sync-finish";
}
