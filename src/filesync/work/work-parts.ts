/** What the work on the entries of one target shares. */

import type { Clock, ExcludeRules, FileAttributes, SourceTree, TreePath } from "../../ports/mod.ts";
import type { DeletesPolicy } from "../../wire/filesync/mod.ts";
import { type SourcePlace, sourcePathOf } from "../capture/change.ts";
import type { DirectoryNode, DirectoryNodes } from "../capture/directory-node.ts";
import type { KeptComparison } from "../compare/kept-attributes.ts";
import type { Entry, NewEntry } from "../queue/entry.ts";
import type { TargetConnection } from "../threads/connection.ts";
import { lastName, parentPath } from "../tree-path.ts";
import type { DirtyDirectories } from "./dirty-directories.ts";
import type { HardLinks } from "./hard-links.ts";
import type { LinkSearch } from "./link-search.ts";
import type { SentFiles } from "./sent-files.ts";
import type { SourceReads } from "./source-reads.ts";
import type { UnreadChanges } from "./unread-changes.ts";

export interface WorkCounters {
  copiedFiles: number;
  removed: number;
  /** Files that changed during each try to read them. */
  torn: number;
  /** Entries that were appended behind others because the first try showed that more is to be done. */
  followUps: number;
}

export interface WorkParts {
  readonly source: SourceTree;
  readonly nodes: DirectoryNodes;
  readonly excludes: ExcludeRules;
  readonly deletes: DeletesPolicy;
  readonly links: HardLinks;
  readonly linkSearch: LinkSearch;
  readonly unread: UnreadChanges;
  readonly sent: SentFiles;
  readonly dirty: DirtyDirectories;
  readonly reads: SourceReads;
  readonly counters: WorkCounters;
  readonly clock: Clock;
  /** Whether what stands at both ends is equal as far as the target can keep what it differs in. */
  readonly kept: KeptComparison;
  /** Of a path that a comparison found; undefined: it is compared when its directory has come, or was looked for. */
  placeOf(path: TreePath): SourcePlace | undefined;
  /** Appends what was found besides. False: there was no room; its directory is compared in its place. */
  append(entry: NewEntry): boolean;
  /** Whether directories may stand elsewhere at the target than the last event said. */
  hasRenames(): boolean;
  /** Does something after so long, unless the target was stopped. */
  later(delayMs: number, action: () => void): void;
  /** So much is to be compared or sent below the path that a bulk is the way. */
  bulk(path: TreePath): void;
  readonly plants: ReadonlySet<string>;
  /** Trees are being compared until the returned function is called: what moves meanwhile may be missed. */
  comparing(): () => void;
  /** A connection is gone. */
  connectionEnded(connection: TargetConnection): void;
  /** A repair that the work asks for again and again helps nobody: false when it is enough. */
  mayRepair(path: TreePath): "now" | "later" | "never";
  repairLater(directory: DirectoryNode): void;
}

/** The place of a path. Undefined: its directory was moved or removed since the path was seen, or is not known yet. */
export function placeOf(nodes: DirectoryNodes, path: TreePath): SourcePlace | undefined {
  if (path === "") return { directory: nodes.root, name: "" };
  const directory = nodes.at(parentPath(path));
  return directory === undefined ? undefined : { directory, name: lastName(path) };
}

/** An entry for the end of the queue: there a place is called as it is now. None: it is gone, or compared when it is back. */
export function entryAt(place: SourcePlace | undefined, entry: Omit<NewEntry, "place" | "path">): NewEntry[] {
  if (place === undefined) return [];
  const path = sourcePathOf(place);
  if (path !== undefined) return [{ ...entry, place, path }];
  place.directory.miss(entry.depth ?? "one");
  return [];
}

/** Where an entry's place is now. Undefined: it is gone, or compared when it is back. */
export function sourcePath({ place, depth }: Entry): TreePath | undefined {
  const path = place === undefined ? undefined : sourcePathOf(place);
  if (path === undefined) place?.directory.miss(depth);
  return path;
}

export function placesOf(entries: readonly Entry[]): SourcePlace[] {
  return entries.flatMap(({ place }) => place ?? []);
}

/** What is at a place now is sent, or removed where nothing is: whatever was done for it before may have been of another. */
export function entriesAnew(place: SourcePlace): NewEntry[] {
  const node = place.name === "" ? place.directory : place.directory.child(place.name);
  const own = place.name === "" ? [] : entryAt(place, { kind: "remove" });
  if (place.name !== "") own.push(...entryAt(place, { kind: "create" }));
  if (node === undefined) return own;
  return [...own, ...entryAt({ directory: node, name: "" }, { kind: "repair", depth: "all" })];
}

/** Compares the directory that holds a place again, now or later; undefined: that does not help. */
export function repairAround(parts: WorkParts, place: SourcePlace | undefined): NewEntry[] | undefined {
  const directory = place?.directory;
  // It is gone, or it is away and compared when it has arrived.
  if (directory?.path === undefined) {
    directory?.miss("one");
    return [];
  }
  switch (parts.mayRepair(directory.path)) {
    case "never":
      return undefined;
    case "later":
      parts.repairLater(directory);
      return [];
    case "now":
      parts.counters.followUps += 1;
      return entryAt({ directory, name: "" }, { kind: "repair", depth: "one", isDirectory: true });
  }
}

/** A file of several names was sent or changed by one of them: the others are to follow. */
export function namesFollow(
  parts: WorkParts,
  place: SourcePlace | undefined,
  attributes: FileAttributes,
): void {
  if (place === undefined) return;
  parts.links.seen(attributes, place);
  parts.linkSearch.want(attributes, place);
}
