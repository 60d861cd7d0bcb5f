/**
 * The work on the entries of one target: who does what.
 * Always holds: before a mark or the end of a synchronization is done, attributes of directories have followed what was
 * done in them, and all of it is durable at the target.
 */
import { sourcePathOf } from "../capture/change.ts";
import { DirectoryNode } from "../capture/directory-node.ts";
import type { Entry } from "../queue/entry.ts";
import type { TargetAbilities, TargetConnection } from "../threads/connection.ts";
import type { CopyResult, EntryWork, RunBudget, WorkResult } from "../threads/entry-work.ts";
import { CommandWork } from "./command-work.ts";
import { CopyWork } from "./copy-work.ts";
import { troubleOfTarget } from "./failure-kinds.ts";
import type { FoundFile } from "./link-search.ts";
import { RepairWork } from "./repair-work.ts";
import { sendPaths } from "./send-paths.ts";
import { entryAt, type WorkParts } from "./work-parts.ts";

/** Directories whose attributes are sent at a time. */
const SETTLED_MAX = 1024;
/** So long after a new name of a file its other names are looked for. */
const SEARCH_MS = 500;

export class TreeWork implements EntryWork {
  readonly #parts: WorkParts;
  readonly #copies: CopyWork;
  readonly #commands: CommandWork;
  readonly #repairs: RepairWork;
  #search: Promise<void> = Promise.resolve();
  #isSearching = false;
  /** How long the last walk took. */
  #searchMs = 0;
  readonly #opened: (opening: { connection: TargetConnection; abilities: TargetAbilities }) => void;

  constructor(
    parts: WorkParts,
    opened: (opening: { connection: TargetConnection; abilities: TargetAbilities }) => void,
  ) {
    this.#parts = parts;
    this.#copies = new CopyWork(parts);
    this.#commands = new CommandWork(parts);
    this.#repairs = new RepairWork(parts);
    this.#opened = opened;
  }

  copyRun(entries: readonly Entry[], connection: TargetConnection, budget: RunBudget): Promise<CopyResult> {
    return this.#copies.run(entries, connection, budget);
  }

  async nonSyncRun(entries: readonly Entry[], connection: TargetConnection): Promise<WorkResult> {
    const [first] = entries;
    switch (first?.kind) {
      case "repair":
        return await this.#repairs.run(first, connection);
      case "mark":
      case "sync-finish":
        await this.#searchLinks();
        this.#parts.dirty.retryAway();
        while (this.#parts.dirty.size > 0) await this.settle(connection);
        await this.#checkReads();
        await connection.sync();
        return { done: entries, untouched: [], append: [], failures: [] };
      case "sync-start":
        return { done: entries, untouched: [], append: [], failures: [] };
      default:
        return await this.#commands.run(entries, connection);
    }
  }

  get isUnsettled(): boolean {
    const { dirty, linkSearch, unread } = this.#parts;
    if ((linkSearch.isWanted || unread.isWanted) && !this.#isSearching) this.#searchSoon();
    return dirty.size > 0;
  }

  /** Many new names come together, and one walk finds the others of all. */
  #searchSoon(): void {
    this.#isSearching = true;
    // On a tree in which a walk takes long it is taken less often.
    this.#parts.later(Math.max(SEARCH_MS, 4 * this.#searchMs), () => {
      this.#isSearching = false;
      this.#searchLinks().catch(() => undefined);
    });
  }

  /** One at a time; what is wanted when the one before ends is looked for by the next. */
  #searchLinks(): Promise<void> {
    const done = this.#search.then(() => this.#searchOnce());
    this.#search = done.catch(() => undefined);
    return done;
  }

  async #searchOnce(): Promise<void> {
    const { clock, linkSearch, unread } = this.#parts;
    if (!linkSearch.isWanted && !unread.isWanted) return;
    const startedMs = clock.nowMs();
    await this.#searchNames();
    await this.#searchUnread();
    this.#searchMs = clock.nowMs() - startedMs;
  }

  /** Changes by names that were gone before anybody read them. */
  async #searchUnread(): Promise<void> {
    const { unread, source, links, counters, append } = this.#parts;
    for (const place of await unread.run(source, links))
      for (const entry of entryAt(place, { kind: "attribute", isDirectory: false })) {
        counters.followUps += 1;
        append(entry);
      }
  }

  async #searchNames(): Promise<void> {
    const { linkSearch, links, source, excludes, placeOf, append, counters, sent, reads } = this.#parts;
    if (!linkSearch.isWanted) return;
    const { moves } = DirectoryNode;
    const files = await linkSearch.run(source, excludes);
    await reads.told();
    const whole = DirectoryNode.moves === moves ? new Set(files) : await this.#wholeAfterMoves(files);
    for (const file of files) {
      const { attributes, paths, sentTo } = file;
      if (!whole.has(file)) {
        counters.followUps += 1;
        linkSearch.want(attributes, sentTo);
      }
      // What was sent to a name that is gone by now is to be sent to one that is left.
      const isLeft = paths.includes(sourcePathOf(sentTo) ?? "");
      // The others get the content that was sent last.
      const first = paths.reduce((best, path) => (sent.isNewer(path, best) ? path : best), paths[0] ?? "");
      for (const path of paths) {
        const place = placeOf(path);
        if (place === undefined) continue;
        links.seen(attributes, place);
        if (path === first && isLeft) continue;
        const kind = path === first ? "write" : "link";
        for (const entry of entryAt(place, { kind, existing: first, isDirectory: false })) {
          counters.followUps += 1;
          // Comparing its directory in place of that does not find a link that is missing.
          if (!append(entry)) linkSearch.want(attributes, sentTo);
        }
      }
    }
  }

  /**
   * Directories moved while they were walked over: one of them may have been passed by, and what was found may be elsewhere.
   * Gives those of the files all of whose names are where they were found.
   */
  async #wholeAfterMoves(files: readonly FoundFile[]): Promise<Set<FoundFile>> {
    const { source, reads } = this.#parts;
    const { moves } = DirectoryNode;
    const found = await source.stat(files.flatMap(({ paths }) => paths));
    await reads.told();
    if (DirectoryNode.moves !== moves) return new Set();
    let at = 0;
    return new Set(
      files.filter(({ attributes: { device, inode, links }, paths }) => {
        const own = found.slice(at, (at += paths.length));
        return own.length >= links && own.every((each) => each?.inode === inode && each.device === device);
      }),
    );
  }

  /** Once it is known that all was read where it was meant to be, no directory's attributes are another's. */
  async #checkReads(): Promise<void> {
    const { dirty, reads, hasRenames } = this.#parts;
    const sendings = dirty.sendings;
    await reads.checked();
    if (!hasRenames() && dirty.sendings === sendings) dirty.confirmed();
  }

  async settle(connection: TargetConnection): Promise<void> {
    const { dirty, source } = this.#parts;
    const items = dirty.take(SETTLED_MAX);
    try {
      const result = await sendPaths({
        source,
        connection,
        items,
        pathOf: (path) => ({ source: path, target: path }),
        what: "attributes",
        order: "kept",
      });
      for (const path of result.absent) dirty.isAway(path);
      for (const { item, failure, side } of result.failed)
        if (side === "target" && troubleOfTarget(failure) === undefined) dirty.isAway(item);
      dirty.wereSent(result.sent.map(({ item }) => item));
    } catch (error) {
      for (const path of items) dirty.add(path);
      throw error;
    }
  }

  connectionOpened(connection: TargetConnection, abilities: TargetAbilities): void {
    this.#opened({ connection, abilities });
  }

  connectionEnded(connection: TargetConnection): void {
    this.#parts.connectionEnded(connection);
    this.#copies.connectionEnded(connection);
  }
}
