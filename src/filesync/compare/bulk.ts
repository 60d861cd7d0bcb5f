/**
 * A synchronization of a whole tree to one target, as entries of its queue: start, a SYNC_COPY for each file and directory
 * that differs, links, removals, finish (F2, F5, F9).
 *
 * Always holds: it never has more in the queue than the queue gives it room for, so live changes behind are soon reached;
 * removals come last, each is looked at again when its turn comes; if they are suspiciously many, none is done. Errors:
 * MASS_DELETION, SOURCE_MISSING and the like of the trees, CANCELLED, SHUTTING_DOWN.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { FileAttributes, FileFailure, TreePath } from "../../ports/mod.ts";
import { type DeletesPolicy, hasOtherNames } from "../../wire/filesync/mod.ts";
import { type SourcePlace, sourcePathOf } from "../capture/change.ts";
import type { CommandQueue } from "../queue/command-queue.ts";
import type { NewEntry } from "../queue/entry.ts";
import type { KeptComparison } from "./kept-attributes.ts";
import {
  type ComparisonProgress,
  type SyncMode,
  TreeComparison,
  type TreeDifference,
  type TreeScan,
} from "./tree-comparison.ts";

/** The guard lets so many removals pass without a question. */
const REMOVALS_FREE = 100;
/** Of the target's entries, so much may be removed. */
const REMOVED_SHARE_MAX = 1 / 2;
/** Kept in memory until all copies are queued; beyond, they are queued at once. */
const LATER_MAX = 65_536;
/** Files with several names that are known, some 300 bytes each; of one that is forgotten the names are found by their search. */
const GROUPS_MAX = 262_144;
/** A bulk may append so many entries, or so many bytes to be copied, before it asks for room again. */
const APPENDED_AT_ONCE = 64;
const APPENDED_BYTES_AT_ONCE = 2 ** 20;
/** Comparisons before it is believed that so much is gone. */
const GUARD_TRIES_MAX = 3;
const DRY_RUN_MAX = 10_000;

export interface BulkParts {
  readonly queue: CommandQueue;
  readonly source: TreeScan;
  readonly target: TreeScan;
  /** Undefined: its directory moved meanwhile, or has just come, and is compared for that. */
  readonly placeOf: (path: TreePath) => SourcePlace | undefined;
  readonly entryAt: (place: SourcePlace | undefined, entry: Omit<NewEntry, "place" | "path">) => NewEntry[];
  readonly kept: KeptComparison;
  readonly deletes: DeletesPolicy;
  /** A directory whose own attributes differ. */
  readonly dirty: (path: TreePath) => void;
  /** Another name of a file; gives back whether an earlier one was told of. */
  readonly linked: (attributes: FileAttributes, place: SourcePlace) => void;
  readonly failed: (failure: FileFailure) => void;
  /** Resolves when the target has followed all that happened before. */
  readonly settled: () => Promise<void>;
}

export interface BulkOptions {
  readonly path: TreePath;
  readonly mode: SyncMode;
  readonly allowDeletes: boolean;
  readonly signal: AbortSignal;
}

export interface BulkProgress {
  filesDone: number;
  filesTotal: number;
  bytesDone: number;
  bytesTotal: number;
  /** All of the tree was looked at, so that the totals are final. */
  isCounted: boolean;
}

export interface BulkResult {
  readonly copied: number;
  readonly removed: number;
  readonly bytes: number;
}

export interface PlannedChange {
  readonly path: TreePath;
  readonly what: "copy" | "attributes" | "remove";
}

interface LinkGroup {
  readonly first: SourcePlace;
  readonly firstTarget: FileAttributes | undefined;
}

export class Bulk {
  readonly progress: BulkProgress = {
    filesDone: 0,
    filesTotal: 0,
    bytesDone: 0,
    bytesTotal: 0,
    isCounted: false,
  };
  readonly #parts: BulkParts;
  readonly #options: BulkOptions;
  readonly #removals: {
    readonly path: TreePath;
    readonly place: SourcePlace | undefined;
    readonly isDirectory: boolean;
  }[] = [];
  readonly #attributes: { readonly place: SourcePlace; readonly entry: Omit<NewEntry, "place" | "path"> }[] =
    [];
  readonly #links: { readonly place: SourcePlace; readonly first: SourcePlace }[] = [];
  readonly #groups = new Map<string, LinkGroup>();
  /** Files with several names whose content is sent: it makes another file of the first name. */
  readonly #copiedGroups = new Set<string>();
  #hasTooMany = false;
  /** Since it asked for room; at first it asks. */
  #appended = APPENDED_AT_ONCE;
  #appendedBytes = 0;
  #removed = 0;

  constructor(parts: BulkParts, options: BulkOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  async run(): Promise<BulkResult> {
    const { queue, deletes } = this.#parts;
    const comparison = this.#comparison();
    queue.append({ kind: "sync-start" });
    let held: RopewalkError | undefined;
    try {
      for await (const differences of comparison.differences())
        for (const difference of differences) {
          // Mostly there is nothing to wait for, and a turn for each file costs more than the rest of it.
          const taken = this.#take(difference);
          if (taken !== undefined) await taken;
        }
      this.progress.isCounted = true;
      await this.#appendLater(this.#attributes);
      await this.#appendLinks();
      if (deletes !== "keep") held = await this.#guard(comparison.progress);
      for (let tries = 1; held !== undefined && tries < GUARD_TRIES_MAX; tries += 1)
        held = await this.#lookAgain();
      if (deletes !== "keep" && held === undefined) await this.#remove();
    } finally {
      // Also behind a comparison that failed: what was begun has an end.
      await this.#finish();
    }
    if (held !== undefined) throw held;
    return { copied: this.progress.filesTotal, removed: this.#removed, bytes: this.progress.bytesTotal };
  }

  /** A directory that was renamed meanwhile looks removed until the target has followed. */
  async #lookAgain(): Promise<RopewalkError | undefined> {
    await this.#parts.settled();
    this.#removals.length = 0;
    const comparison = this.#comparison();
    for await (const differences of comparison.differences())
      for (const difference of differences) if (difference.kind === "extra") await this.#take(difference);
    return this.#guard(comparison.progress);
  }

  /** What it would do, and nothing is done. At most some thousand changes are told. */
  async plan(): Promise<{ changes: PlannedChange[]; result: BulkResult }> {
    const changes: PlannedChange[] = [];
    const add = (path: TreePath, what: PlannedChange["what"]) => {
      if (changes.length < DRY_RUN_MAX) changes.push({ path, what });
    };
    let [copied, removed, bytes] = [0, 0, 0];
    for await (const differences of this.#comparison().differences())
      for (const { kind, path, ...difference } of differences) {
        if (kind === "copy") {
          copied += 1;
          if ("attributes" in difference) bytes += difference.attributes.sizeBytes;
          add(path, "copy");
        } else if (kind === "attributes") add(path, "attributes");
        else if (kind === "extra" && this.#parts.deletes !== "keep") {
          removed += 1;
          add(path, "remove");
        }
      }
    return { changes, result: { copied, removed, bytes } };
  }

  #comparison(): TreeComparison {
    const { source, target, kept, failed } = this.#parts;
    const { path, mode, signal } = this.#options;
    return new TreeComparison({ source, target, path, depth: "all", mode, kept, failed, signal });
  }

  /** Undefined: done already. */
  #take(difference: TreeDifference): Promise<void> | undefined {
    const { path } = difference;
    switch (difference.kind) {
      case "copy":
        return this.#copy(path, difference.attributes);
      case "attributes":
        return this.#sameContent(path, difference.attributes);
      case "linked":
        return this.#linked(path, difference.attributes, difference.target);
      case "extra":
        return this.#extra(path, difference.target);
    }
  }

  /** Removed at the end, when it is known how many they are; of too many the copies are made all the same. */
  async #extra(path: TreePath, target: FileAttributes): Promise<void> {
    if (this.#parts.deletes === "keep" || this.#hasTooMany) return;
    if (this.#removals.length >= LATER_MAX) {
      if (this.#options.allowDeletes) await this.#remove();
      else {
        this.#hasTooMany = true;
        return;
      }
    }
    this.#removals.push({
      path,
      place: this.#parts.placeOf(path),
      isDirectory: target.kind === "directory",
    });
  }

  #copy(path: TreePath, attributes: FileAttributes): Promise<void> | undefined {
    const place = this.#parts.placeOf(path);
    if (place === undefined) return undefined;
    const key = linkKey(attributes);
    // Of a file with several names the content is sent once.
    if (key !== undefined && this.#groups.has(key)) return undefined;
    if (key !== undefined) this.#copiedGroups.add(key);
    const { kind, sizeBytes } = attributes;
    const bytes = kind === "file" ? sizeBytes : 0;
    this.progress.filesTotal += 1;
    this.progress.bytesTotal += bytes;
    const room = this.#room(bytes);
    if (room !== undefined) return room.then(() => this.#appendCopy(place, kind, bytes));
    this.#appendCopy(place, kind, bytes);
    return undefined;
  }

  #appendCopy(place: SourcePlace, kind: FileAttributes["kind"], bytes: number): void {
    const [copy] = this.#parts.entryAt(place, {
      kind: "sync-copy",
      mode: this.#options.mode,
      isDirectory: kind === "directory",
      sizeBytes: bytes,
      done: this.#wasCopied,
    });
    if (copy !== undefined && this.#parts.queue.append(copy) !== undefined) return;
    this.progress.filesTotal -= 1;
    this.progress.bytesTotal -= bytes;
  }

  readonly #wasCopied = ({ sizeBytes }: { readonly sizeBytes: number }): void => {
    this.progress.filesDone += 1;
    this.progress.bytesDone += sizeBytes;
  };

  async #sameContent(path: TreePath, { kind }: FileAttributes): Promise<void> {
    if (kind === "directory") {
      this.#parts.dirty(path);
      return;
    }
    const place = this.#parts.placeOf(path);
    if (place !== undefined)
      this.#attributes.push({ place, entry: { kind: "attribute", isDirectory: false, isBulk: true } });
    if (this.#attributes.length >= LATER_MAX) await this.#appendLater(this.#attributes);
  }

  /** The first name of a file stands for its content, the others are linked to it where they are not yet. */
  #linked(
    path: TreePath,
    attributes: FileAttributes,
    target: FileAttributes | undefined,
  ): Promise<void> | undefined {
    const { placeOf, linked } = this.#parts;
    const place = placeOf(path);
    if (place === undefined) return undefined;
    linked(attributes, place);
    const key = linkKey(attributes)!;
    const group = this.#groups.get(key);
    if (group === undefined) {
      this.#groups.set(key, { first: place, firstTarget: target });
      this.#forgetOldest();
      return undefined;
    }
    const { firstTarget, first } = group;
    const isLinked =
      !this.#copiedGroups.has(key) &&
      target !== undefined &&
      firstTarget !== undefined &&
      target.inode === firstTarget.inode &&
      target.device === firstTarget.device;
    if (!isLinked) this.#links.push({ place, first });
    return this.#links.length >= LATER_MAX ? this.#appendLinks() : undefined;
  }

  #forgetOldest(): void {
    if (this.#groups.size <= GROUPS_MAX) return;
    const [oldest] = this.#groups.keys();
    this.#groups.delete(oldest!);
    this.#copiedGroups.delete(oldest!);
  }

  /** Commands between copies would stop all threads; so they come behind them, in one run. */
  async #appendLater(
    later: { readonly place: SourcePlace; readonly entry: Omit<NewEntry, "place" | "path"> }[],
  ): Promise<void> {
    for (const { place, entry } of later) {
      await this.#room();
      this.#append(place, entry);
    }
    later.length = 0;
  }

  async #appendLinks(): Promise<void> {
    for (const { place, first } of this.#links) {
      await this.#room();
      const existing = sourcePathOf(first);
      // Where the first one is gone by now, or away, the content was not sent, or is not there any more.
      if (existing === undefined) this.#append(place, { kind: "create", isDirectory: false, isBulk: true });
      else this.#append(place, { kind: "link", existing, isDirectory: false, isBulk: true });
    }
    this.#links.length = 0;
  }

  #append(place: SourcePlace | undefined, entry: Omit<NewEntry, "place" | "path">): void {
    for (const each of this.#parts.entryAt(place, entry)) this.#parts.queue.append(each);
  }

  /** How many files and directories would go; more than half of the target is more than anybody meant. */
  async #guard({ sourceEntries, targetEntries }: ComparisonProgress): Promise<RopewalkError | undefined> {
    if (this.#hasTooMany) return tooMany();
    if (this.#options.allowDeletes || this.#removals.length === 0) return undefined;
    // Just as it looks when it is not mounted.
    if (sourceEntries === 0 && this.#options.path === "") return emptied();
    let count = this.#removals.length;
    /** What is in directories that would go was not counted with the target's entries. */
    let inside = 0;
    const isTooMuch = () => count > Math.max(REMOVALS_FREE, (targetEntries + inside) * REMOVED_SHARE_MAX);
    const directories = this.#removals.filter(({ isDirectory }) => isDirectory).map(({ path }) => path);
    while (!isTooMuch() && directories.length > 0) {
      const { directories: found } = await this.#parts.target({
        paths: directories.splice(-64),
        withListings: false,
      });
      for (const { path, entries, directories: below } of found) {
        count += entries;
        inside += entries;
        for (const name of below) directories.push(`${path}/${name}`);
      }
    }
    return isTooMuch() ? tooMany() : undefined;
  }

  async #remove(): Promise<void> {
    for (const { place, isDirectory } of this.#removals) {
      await this.#room();
      this.#append(place, { kind: "remove", isDirectory, isBulk: true });
      this.#removed += 1;
    }
    this.#removals.length = 0;
  }

  async #finish(): Promise<void> {
    const { queue } = this.#parts;
    const finish = queue.append({ kind: "sync-finish" });
    if (finish !== undefined) await queue.whenDone(finish);
  }

  /** Undefined: there is room, as was asked a moment ago. */
  #room(bytes = 0): Promise<void> | undefined {
    if (this.#appended >= APPENDED_AT_ONCE || this.#appendedBytes >= APPENDED_BYTES_AT_ONCE)
      return this.#untilRoom(bytes);
    this.#appended += 1;
    this.#appendedBytes += bytes;
    return undefined;
  }

  async #untilRoom(bytes: number): Promise<void> {
    this.#appended = 1;
    this.#appendedBytes = bytes;
    if (this.#options.signal.aborted)
      throw new RopewalkError("CANCELLED", "The synchronization was cancelled.");
    await this.#parts.queue.room();
  }
}

function linkKey(attributes: FileAttributes): string | undefined {
  return hasOtherNames(attributes) ? `${attributes.device}:${attributes.inode}` : undefined;
}

function emptied(): RopewalkError {
  return new RopewalkError(
    "MASS_DELETION",
    "The source is empty and the target is not, so nothing was removed. Mount the source if it is not; if everything is meant to go, run the synchronization with --allow-deletes.",
  );
}

function tooMany(): RopewalkError {
  return new RopewalkError(
    "MASS_DELETION",
    "More than half of what the target has is not at the source, so nothing was removed. If that is meant, run the synchronization with --allow-deletes.",
  );
}
