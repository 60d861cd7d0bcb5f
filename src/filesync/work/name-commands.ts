/**
 * Commands about names: renames, links and removals, in their order.
 *
 * Always holds: a removal is carried out only if nothing is at the source under that name. What a rename brought to its new
 * name is compared with the source, as it may have been sent before or behind it; what differs is appended as commands of
 * their own.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { FileAttributes, FileFailure, TreePath } from "../../ports/mod.ts";
import { BUNDLE_BYTES_MAX, type Operation, packOperation } from "../../wire/filesync/mod.ts";
import type { DirectoryNode } from "../capture/directory-node.ts";
import type { Entry, NewEntry } from "../queue/entry.ts";
import type { TargetConnection } from "../threads/connection.ts";
import { isWithin, movedPath } from "../tree-path.ts";
import { type CommandResults, commandFailed } from "./command-results.ts";
import type { ContentCommands } from "./content-commands.ts";
import { isGone, troubleOfTarget } from "./failure-kinds.ts";
import { entryAt, namesFollow, sourcePath, type WorkParts } from "./work-parts.ts";

interface FoundAtSource {
  readonly own: FileAttributes | undefined;
  /** Of a link: what it is to be made to. */
  readonly existing: FileAttributes | undefined;
}

export class NameCommands {
  readonly #parts: WorkParts;
  readonly #content: ContentCommands;

  constructor(parts: WorkParts, content: ContentCommands) {
    this.#parts = parts;
    this.#content = content;
  }

  async carryOut(
    entries: readonly Entry[],
    connection: TargetConnection,
    results: CommandResults,
  ): Promise<void> {
    const isThere = await this.#areThere(entries);
    for (let at = 0; at < entries.length; ) {
      const parts: Uint8Array[] = [];
      const asked: Entry[] = [];
      let bytes = 0;
      const { until, stale } = await this.#staleRenames(entries, at, connection);
      for (; at < until && bytes < BUNDLE_BYTES_MAX / 2; at += 1) {
        const entry = entries[at]!;
        // What a link is made to depends on what was renamed before.
        if (asked.length > 0 && (entry.kind === "link") !== (asked[0]!.kind === "link")) break;
        const operation =
          entry.kind === "link"
            ? this.#linkOf(entry, isThere[at]!, results)
            : stale.has(entry)
              ? this.#sendInstead(entry, results)
              : this.#operationOf(entry, isThere[at]!.own, results);
        if (operation === undefined) continue;
        asked.push(entry);
        parts.push(operation);
        bytes += operation.length;
      }
      if (asked.length === 0) continue;
      const { failures } = await connection.apply(Buffer.concat(parts), asked.length, "kept");
      const wrong = new Map(failures.map((failure) => [failure.operation, failure]));
      for (const [index, entry] of asked.entries()) this.#applied(entry, wrong.get(index), results);
      const moved = asked.filter(
        (entry, index) =>
          (entry.kind === "rename" || entry.kind === "link") && !wrong.has(index) && !stale.has(entry),
      );
      await this.#compareMoved(moved, connection, results);
      // A target that has no links, or not between these two: each name has a file of its own.
      const alone = asked.filter(
        ({ kind }, index) => kind === "link" && wrong.has(index) && !isGone(wrong.get(index)!),
      );
      if (alone.length > 0) await this.#content.send(alone, "content", connection, results, "alone");
      await this.#removeStuck(stuckPaths(asked, wrong), connection);
    }
  }

  /**
   * Renames of files of which the target has something old or half: a program that writes a file aside and renames it over
   * another must not show half of it there. `until`: behind that an entry needs what comes before.
   */
  async #staleRenames(
    entries: readonly Entry[],
    from: number,
    connection: TargetConnection,
  ): Promise<{ until: number; stale: ReadonlySet<Entry> }> {
    const asked: Entry[] = [];
    const touched = new Set<string>();
    let until = from;
    for (; until < entries.length; until += 1) {
      const entry = entries[until]!;
      if (entry.kind === "rename" && !entry.isDirectory) {
        if (touched.has(entry.from!)) break;
        asked.push(entry);
      }
      touched.add(entry.path);
      if (entry.from !== undefined) touched.add(entry.from);
      if (entry.kind === "rename" && entry.isDirectory) {
        until += 1;
        break;
      }
    }
    const stale = new Set<Entry>();
    if (asked.length === 0) return { until, stale };
    const { source, sent, kept } = this.#parts;
    const [ours, theirs] = await Promise.all([
      source.stat(asked.map((entry) => sourcePath(entry) ?? "")),
      connection.stat(asked.map((entry) => entry.from!)),
    ]);
    for (const [index, entry] of asked.entries()) {
      const [one, other] = [ours[index], theirs[index]];
      if (one?.kind !== "file" || other === undefined) continue;
      if (!sent.mayBe(entry.from!, one) || !kept.isSameContent(one, other)) stale.add(entry);
    }
    return { until, stale };
  }

  /** The old one goes, the new one comes whole. */
  #sendInstead(entry: Entry, results: CommandResults): Uint8Array | undefined {
    this.#parts.sent.removed(entry.from!, false);
    results.append.push(...this.#again(entry));
    return packed({ op: "remove", path: entry.from!, recursive: false }, results);
  }

  /** What is at the source now, where a removal says that something went, and of what a link is to be made. */
  async #areThere(entries: readonly Entry[]): Promise<FoundAtSource[]> {
    const asked: string[] = [];
    const ask = (path: string | undefined) => (path === undefined ? undefined : asked.push(path) - 1);
    const indexes = entries.map((entry) => {
      const isLink = entry.kind === "link";
      return {
        own: isLink || entry.kind === "remove" ? ask(sourcePath(entry)) : undefined,
        existing: isLink ? ask(entry.existing) : undefined,
      };
    });
    const found = asked.length === 0 ? [] : await this.#parts.source.stat(asked);
    const at = (index: number | undefined) => (index === undefined ? undefined : found[index]);
    return indexes.map(({ own, existing }) => ({ own: at(own), existing: at(existing) }));
  }

  /** Only to what is the same file at the source, and was when it was sent; else it gets its content. */
  #linkOf(entry: Entry, { own, existing }: FoundAtSource, results: CommandResults): Uint8Array | undefined {
    const isSameFile = own !== undefined && existing?.inode === own.inode && existing.device === own.device;
    if (own === undefined) return undefined;
    const { sent, linkSearch } = this.#parts;
    // Content was sent to this name since: then the other one is to be linked to it.
    if (isSameFile && sent.isNewer(entry.path, entry.existing!)) {
      if (entry.place !== undefined) linkSearch.want(own, entry.place);
      return undefined;
    }
    if (isSameFile && sent.mayBe(entry.existing!, own))
      return packed({ op: "link", path: entry.path, existing: entry.existing! }, results);
    results.append.push(...this.#again(entry));
    return undefined;
  }

  #operationOf(
    entry: Entry,
    there: FileAttributes | undefined,
    results: CommandResults,
  ): Uint8Array | undefined {
    const { path, from } = entry;
    switch (entry.kind) {
      case "rename":
        return packed({ op: "rename", from: from!, to: path }, results);
      case "remove":
        // Of changes in it before it went nobody may have been told.
        if (entry.isDirectory) this.#parts.unread.want();
        // Something else is there by now; its own command follows, or was joined to one that did.
        if (there !== undefined) return undefined;
        return packed({ op: "remove", path, recursive: true }, results);
      default:
        return undefined;
    }
  }

  #applied(entry: Entry, failure: FileFailure | undefined, results: CommandResults): void {
    const { counters, dirty, sent } = this.#parts;
    const { kind, path, from, isDirectory } = entry;
    const trouble = failure === undefined ? undefined : troubleOfTarget(failure);
    if (trouble !== undefined) throw trouble;
    dirty.touchedIn(path);
    if (kind === "remove") {
      dirty.removed(path, isDirectory);
      sent.removed(path, isDirectory);
      if (failure === undefined) counters.removed += 1;
      else if (!isGone(failure)) commandFailed(this.#parts, entry, { failure, side: "target", results });
      return;
    }
    if (kind === "rename") dirty.touchedIn(from!);
    if (kind === "link" && failure === undefined) sent.linked(path, entry.existing!);
    if (failure === undefined) return;
    // The target does not have what is renamed or linked: it gets the content.
    if (kind === "rename" || isGone(failure)) results.append.push(...this.#again(entry));
  }

  /** What could not be moved is at its old name still; it goes before later commands are about that name. */
  async #removeStuck(paths: readonly TreePath[], connection: TargetConnection): Promise<void> {
    if (paths.length === 0) return;
    const { dirty, sent } = this.#parts;
    const operations = paths.map((path) => packOperation({ op: "remove", path, recursive: true }));
    const { failures } = await connection.apply(Buffer.concat(operations), paths.length, "kept");
    for (const failure of failures) {
      const trouble = troubleOfTarget(failure);
      if (trouble !== undefined) throw trouble;
    }
    for (const path of paths) {
      dirty.touchedIn(path);
      dirty.removed(path, true);
      sent.removed(path, true);
    }
  }

  /** Whether the target has under the new name what the source has there. */
  async #compareMoved(
    moved: readonly Entry[],
    connection: TargetConnection,
    results: CommandResults,
  ): Promise<void> {
    if (moved.length === 0) return;
    const { source, sent, dirty, kept, counters } = this.#parts;
    const paths = moved.map((entry) => sourcePath(entry) ?? "");
    const [ours, theirs] = await Promise.all([
      source.stat(paths),
      connection.stat(moved.map(({ path }) => path)),
    ]);
    for (const [index, entry] of moved.entries()) {
      const { path, from, isDirectory, place } = entry;
      if (from !== undefined) dirty.renamed(from, path);
      if (isDirectory) dirty.add(path);
      const one = sourcePath(entry) === undefined ? undefined : ours[index];
      const other = theirs[index];
      if (one !== undefined && place !== undefined) this.#parts.links.seen(one, place);
      // It was renamed before it was linked to what it was to be linked to by its old name.
      if (one !== undefined && from !== undefined && other?.links !== one.links)
        namesFollow(this.#parts, place, one);
      const mayBe = one === undefined || from === undefined || sent.mayBe(from, one);
      if (from !== undefined) sent.renamed(from, path, isDirectory);
      if (one === undefined) {
        // A directory that is gone by now has moved on, mostly; if it was removed, that comes behind this.
        if (entry.moved !== undefined) continue;
        // Something happened to it since, of which a command tells; if that came too early, this one does.
        counters.followUps += 1;
        results.append.push(...entryAt(place, { kind: "remove", isDirectory }));
      } else if (one.kind === "directory" && other?.kind === "directory") continue;
      else if (!mayBe || other === undefined || !kept.isAlike(one, other))
        results.append.push(...this.#again(entry));
    }
  }

  /** Its content is sent anew, by a command behind all others. */
  #again({ place, isDirectory, moved }: Entry): NewEntry[] {
    this.#parts.counters.followUps += 1;
    const own = entryAt(place, { kind: "create", isDirectory });
    // By now it may be a directory, whatever it was.
    const node = place?.directory.child(place.name);
    if (node !== undefined) own.push(...comparedWhole(node));
    // The directory that was renamed has moved on, and its next rename takes along what the target has of it.
    if (moved !== undefined && moved !== node) {
      if (moved.parent !== undefined)
        own.push(...entryAt({ directory: moved.parent, name: moved.name }, { kind: "create" }));
      own.push(...comparedWhole(moved));
    }
    return own;
  }
}

/** A directory with everything below it, wherever it is; one that is away when it has arrived. */
function comparedWhole(directory: DirectoryNode): NewEntry[] {
  return entryAt({ directory, name: "" }, { kind: "repair", depth: "all", isDirectory: true });
}

/** Where that is now which renames of a bundle could not move: later commands of it may have taken it along. */
function stuckPaths(asked: readonly Entry[], wrong: ReadonlyMap<number, FileFailure>): TreePath[] {
  const stuck: TreePath[] = [];
  for (const [index, { kind, from }] of asked.entries()) {
    const failure = wrong.get(index);
    if (kind !== "rename" || failure === undefined || failure.errno === "ENOENT") continue;
    let path: TreePath | undefined = from;
    for (let later = index + 1; later < asked.length && path !== undefined; later += 1) {
      const entry = asked[later]!;
      if (wrong.has(later)) continue;
      if (entry.kind === "rename" && isWithin(path, entry.from!))
        path = movedPath(path, entry.from!, entry.path);
      else if (isWithin(path, entry.path)) path = undefined;
    }
    if (path !== undefined) stuck.push(path);
  }
  return stuck;
}

/** Undefined: a path is too long to be sent; no target has it. */
function packed(operation: Operation, { failures }: CommandResults): Uint8Array | undefined {
  try {
    return packOperation(operation);
  } catch (error) {
    if (!(error instanceof RopewalkError) || error.code !== "INVALID_ARGUMENT") throw error;
    const path = operation.op === "rename" ? operation.to : operation.path;
    failures.push({ path, errno: "ENAMETOOLONG", doing: operation.op });
    return undefined;
  }
}
