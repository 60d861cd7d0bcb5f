/**
 * Compares a directory tree at source and target: directories by the digests of their listings, and where these differ,
 * their listings name by name. Costs what the trees cost to be read, and on the wire what differs.
 *
 * Always holds: memory is bounded by the directories under way, not by the tree; a directory of the source is told
 * before what stands in it; what the target has beyond the source is told once, at its highest directory. Both trees may
 * change meanwhile: a difference says where to look, and whoever acts on it looks again. Failures of single directories
 * are handed on and their contents left alone. Errors: those of the trees as a whole; CANCELLED.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { FileAttributes, FileFailure, ScannedDirectory, ScanResult, TreePath } from "../../ports/mod.ts";
import {
  hasOtherNames,
  isSameCompared,
  isSameContent,
  type ListingEntry,
  readListing,
  type SendMode,
} from "../../wire/filesync/mod.ts";
import { joinPath } from "../tree-path.ts";
import type { KeptComparison } from "./kept-attributes.ts";

/** Directories compared in one request. */
const BATCH_PATHS = 64;
/** Entries of directories whose listings are asked for at once, if they are more than one. */
const LISTED_ENTRIES_MAX = 100_000;
/** Requests under way at once. */
const BATCHES_MAX = 4;

export type TreeScan = (request: {
  readonly paths: readonly TreePath[];
  readonly withListings: boolean;
  readonly withExtended?: boolean;
}) => Promise<ScanResult>;

/** `full`, `incremental`: every file is told, as its attributes prove nothing. `attributes`: those whose attributes differ (F9). */
export type SyncMode = SendMode;

export interface ComparisonOptions {
  readonly source: TreeScan;
  readonly target: TreeScan;
  readonly path: TreePath;
  /** `one`: the directory alone, and whole directories that the target does not have. */
  readonly depth: "one" | "all";
  readonly mode: SyncMode;
  /** Leaves out what the target cannot keep; without it everything counts. */
  readonly kept?: Pick<KeptComparison, "isSame" | "isSameContent">;
  readonly failed: (failure: FileFailure) => void;
  readonly signal?: AbortSignal;
}

export type TreeDifference =
  /** The target has no such name, or another kind, or its content may differ. */
  | {
      readonly kind: "copy";
      readonly path: TreePath;
      readonly attributes: FileAttributes;
      readonly target: FileAttributes | undefined;
    }
  /** Content alike by size and time, or a directory; mode, owner, times or extended attributes differ. */
  | { readonly kind: "attributes"; readonly path: TreePath; readonly attributes: FileAttributes }
  /** Only the target has it. */
  | { readonly kind: "extra"; readonly path: TreePath; readonly target: FileAttributes }
  /** A name of a file with several; `target`: the file that the target has there, if it is alike. */
  | {
      readonly kind: "linked";
      readonly path: TreePath;
      readonly attributes: FileAttributes;
      readonly target: FileAttributes | undefined;
    };

/** What was looked at so far. */
export interface ComparisonProgress {
  directories: number;
  sourceEntries: number;
  sourceBytes: number;
  targetEntries: number;
}

interface DirectoryPair {
  readonly source: ScannedDirectory;
  readonly target: ScannedDirectory;
}

interface Visit {
  readonly path: TreePath;
  /** The target has no such directory: all in it is new. */
  readonly isNew: boolean;
}

interface Compared {
  readonly differences: TreeDifference[];
  readonly below: Visit[];
}

export class TreeComparison {
  readonly progress: ComparisonProgress = {
    directories: 0,
    sourceEntries: 0,
    sourceBytes: 0,
    targetEntries: 0,
  };
  readonly #options: ComparisonOptions;
  readonly #kept: Pick<KeptComparison, "isSame" | "isSameContent">;

  constructor(options: ComparisonOptions) {
    this.#options = options;
    this.#kept = options.kept ?? { isSame: isSameCompared, isSameContent };
  }

  /** Differences, some at a time. Once. */
  async *differences(): AsyncGenerator<TreeDifference[]> {
    const toVisit: Visit[] = [{ path: this.#options.path, isNew: false }];
    const running = new Set<Promise<Compared>>();
    try {
      while (toVisit.length > 0 || running.size > 0) {
        if (this.#options.signal?.aborted)
          throw new RopewalkError("CANCELLED", "The comparison was cancelled.");
        while (toVisit.length > 0 && running.size < BATCHES_MAX) {
          // The last ones first: depth before breadth keeps the list short.
          const batch = this.#compare(toVisit.splice(-BATCH_PATHS));
          batch.catch(() => undefined);
          running.add(batch);
        }
        const { batch, compared } = await Promise.race(
          [...running].map(async (batch) => ({ batch, compared: await batch })),
        );
        running.delete(batch);
        if (compared.differences.length > 0) yield compared.differences;
        for (const visit of compared.below) toVisit.push(visit);
      }
    } finally {
      await Promise.allSettled(running);
    }
  }

  async #compare(visits: readonly Visit[]): Promise<Compared> {
    const { source, target, mode } = this.#options;
    const known = visits.filter(({ isNew }) => !isNew).map(({ path }) => path);
    const fresh = visits.filter(({ isNew }) => isNew).map(({ path }) => path);
    const none: ScanResult = { directories: [], failures: [] };
    const [sourceKnown, sourceFresh, targetKnown] = await Promise.all([
      known.length > 0 ? source({ paths: known, withListings: false }) : none,
      // All of it is sent, whatever its extended attributes are.
      fresh.length > 0 ? source({ paths: fresh, withListings: true, withExtended: false }) : none,
      known.length > 0 ? target({ paths: known, withListings: false }) : none,
    ]);
    const compared: Compared = { differences: [], below: [] };
    this.#countSource(sourceKnown);
    this.#countSource(sourceFresh);
    for (const { entries } of targetKnown.directories) this.progress.targetEntries += entries;
    for (const directory of sourceFresh.directories) this.#allNew(directory, compared);
    this.#report(sourceKnown, "source");
    this.#report(sourceFresh, "source");
    this.#report(targetKnown, "target");
    const targets = new Map(targetKnown.directories.map((directory) => [directory.path, directory]));
    const differing: DirectoryPair[] = [];
    for (const directory of sourceKnown.directories) {
      const other = targets.get(directory.path);
      if (directory.path === "" && other !== undefined) this.#compareRoots(directory, other, compared);
      if (other !== undefined && isSameDigest(directory.digest, other.digest) && mode === "attributes")
        this.#goBelow(directory, compared);
      else if (other !== undefined) differing.push({ source: directory, target: other });
      else if (!targetKnown.failures.some(({ path, errno }) => path === directory.path && !isAbsent(errno))) {
        const { path, attributes } = directory;
        // Any other one was told with its parent's listing.
        if (path === this.#options.path && path !== "")
          compared.differences.push({ kind: "copy", path, attributes, target: undefined });
        compared.below.push({ path, isNew: true });
      }
    }
    await this.#compareListings(differing, compared);
    return compared;
  }

  /** Directories whose listings differ, name by name. */
  async #compareListings(differing: readonly DirectoryPair[], compared: Compared): Promise<void> {
    for (const some of inParts(differing)) await this.#compareSome(some, compared);
  }

  async #compareSome(some: readonly DirectoryPair[], compared: Compared): Promise<void> {
    const { source, target } = this.#options;
    const paths = some.map((pair) => pair.source.path);
    const [sources, targets] = await Promise.all([
      source({ paths, withListings: true }),
      target({ paths, withListings: true }),
    ]);
    const byPath = new Map(targets.directories.map((directory) => [directory.path, directory]));
    for (const directory of sources.directories) {
      const other = byPath.get(directory.path);
      if (other?.listing !== undefined && directory.listing !== undefined)
        this.#compareNames(directory, other, compared);
    }
  }

  #compareNames(source: ScannedDirectory, target: ScannedDirectory, compared: Compared): void {
    const others = new Map(readListing(target.listing!).map((entry) => [entry.name, entry]));
    for (const entry of readListing(source.listing!)) {
      const other = others.get(entry.name);
      others.delete(entry.name);
      this.#compareEntry(joinPath(source.path, entry.name), entry, other, compared);
    }
    for (const [name, { attributes }] of others)
      compared.differences.push({ kind: "extra", path: joinPath(source.path, name), target: attributes });
  }

  #compareEntry(
    path: TreePath,
    entry: ListingEntry,
    other: ListingEntry | undefined,
    { differences, below }: Compared,
  ): void {
    const { attributes } = entry;
    const { kind } = attributes;
    const target = other?.attributes.kind === kind ? other.attributes : undefined;
    const isFile = kind === "file";
    if (target === undefined) differences.push({ kind: "copy", path, attributes, target: undefined });
    else if (isFile && this.#options.mode !== "attributes")
      differences.push({ kind: "copy", path, attributes, target });
    else if (!this.#kept.isSame(entry, other!)) {
      const isAlike = kind === "directory" || (isFile && this.#kept.isSameContent(attributes, target));
      differences.push(
        isAlike ? { kind: "attributes", path, attributes } : { kind: "copy", path, attributes, target },
      );
    }
    if (hasOtherNames(attributes)) differences.push({ kind: "linked", path, attributes, target });
    if (kind !== "directory") return;
    if (target === undefined) below.push({ path, isNew: true });
    else if (this.#options.depth === "all") below.push({ path, isNew: false });
  }

  /** Nothing of it is at the target. */
  #allNew(directory: ScannedDirectory, compared: Compared): void {
    for (const entry of readListing(directory.listing!))
      this.#compareEntry(joinPath(directory.path, entry.name), entry, undefined, compared);
  }

  #compareRoots(source: ScannedDirectory, target: ScannedDirectory, { differences }: Compared): void {
    const one = { name: "", attributes: source.attributes, linkHash: 0 };
    const other = { name: "", attributes: target.attributes, linkHash: 0 };
    if (!this.#kept.isSame(one, other))
      differences.push({ kind: "attributes", path: "", attributes: source.attributes });
  }

  #goBelow({ path, directories }: ScannedDirectory, { below }: Compared): void {
    if (this.#options.depth === "one") return;
    for (const name of directories) below.push({ path: joinPath(path, name), isNew: false });
  }

  #countSource({ directories }: ScanResult): void {
    this.progress.directories += directories.length;
    for (const { entries, fileBytes } of directories) {
      this.progress.sourceEntries += entries;
      this.progress.sourceBytes += fileBytes;
    }
  }

  /** What is not there any more is no failure: an event, or the next comparison, says so. */
  #report({ failures }: ScanResult, side: "source" | "target"): void {
    for (const failure of failures)
      if (!isAbsent(failure.errno))
        this.#options.failed(
          side === "source" ? failure : { ...failure, doing: `${failure.doing} at the target` },
        );
  }
}

/** So that what is listed at once is bounded, but for a single directory. */
function* inParts(pairs: readonly DirectoryPair[]): Generator<DirectoryPair[]> {
  let part: DirectoryPair[] = [];
  let entries = 0;
  for (const pair of pairs) {
    const more = pair.source.entries + pair.target.entries;
    if (part.length > 0 && entries + more > LISTED_ENTRIES_MAX) {
      yield part;
      part = [];
      entries = 0;
    }
    part.push(pair);
    entries += more;
  }
  if (part.length > 0) yield part;
}

function isAbsent(errno: string): boolean {
  return errno === "ENOENT" || errno === "ENOTDIR" || errno === "ELOOP";
}

function isSameDigest(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
