/**
 * Reads directories of the source so that each has its watch, breadth first, a bounded number at a time.
 *
 * Always holds: a directory is watched before it is read; one that is found gets a node, one that is not there any more
 * loses it, unless an event said meanwhile that it came. A directory whose watch is another than before is another
 * directory, whatever its name. One that has no path when its turn comes is marked: it was not looked at.
 */
import type { ExcludeRules, FileFailure, SourceTree, WalkedDirectory } from "../../ports/mod.ts";
import { DirectoryNode, type DirectoryNodes } from "./directory-node.ts";

/** Directories that are read in one request. */
const SCAN_PATHS = 64;
/** Requests under way at once. */
const SCANS_MAX = 4;

/** A walk over a directory and `levels` of directories below; new directories are walked over whole. */
interface Walk {
  readonly top: DirectoryNode;
  pending: number;
  readonly done: () => void;
}

interface Visit {
  readonly node: DirectoryNode;
  readonly walk: Walk;
  readonly levels: number;
}

export interface TreeWalkParts {
  readonly tree: SourceTree;
  readonly nodes: DirectoryNodes;
  readonly excludes: ExcludeRules;
  /** A directory stands under this node that did not before. */
  readonly replaced: (node: DirectoryNode) => void;
  /** What stands in it is not known for sure: it is to be read again. */
  readonly doubted: (node: DirectoryNode) => void;
  /** Another directory has this one's watch. */
  readonly displaced: (node: DirectoryNode) => void;
  /** Watches that nobody needs any more. */
  readonly unwatch: (watches: readonly number[]) => void;
  /** After each request: watches are known that were not. */
  readonly learned: () => void;
  readonly failed: (failure: FileFailure) => void;
  /** The tree cannot be read or watched at all. */
  readonly lost: (error: unknown) => void;
}

export class TreeWalk {
  readonly #parts: TreeWalkParts;
  #visits: Visit[] = [];
  #running = 0;
  /** Requests that were answered. */
  #results = 0;
  #waiting: (() => void)[] = [];
  #isClosed = false;

  constructor(parts: TreeWalkParts) {
    this.#parts = parts;
  }

  /** A request is under way or to come: events of unknown watches may belong to what it finds. */
  get isIdle(): boolean {
    return this.#running === 0 && this.#visits.length === 0;
  }

  /** `done` is called when all of it is watched. */
  walk(top: DirectoryNode, depth: "one" | "all", done: () => void): void {
    const walk = { top, pending: 1, done };
    this.#visits.push({ node: top, walk, levels: depth === "all" ? Number.POSITIVE_INFINITY : 1 });
    this.#go();
  }

  /** Resolves when nothing is left to be read. */
  async finished(): Promise<void> {
    if (!this.isIdle && !this.#isClosed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#isClosed = true;
    this.#visits = [];
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #go(): void {
    while (!this.#isClosed && this.#running < SCANS_MAX && this.#visits.length > 0) {
      this.#running += 1;
      void this.#scan(this.#visits.splice(0, SCAN_PATHS));
    }
    if (this.isIdle) for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #scan(visits: readonly Visit[]): Promise<void> {
    const { tree, excludes, lost, learned, failed } = this.#parts;
    const asked = new Map<string, Visit>();
    const began = { moves: DirectoryNode.moves, results: this.#results };
    for (const visit of visits) {
      const { path } = visit.node;
      if (path === undefined) this.#missed(visit);
      else if (asked.has(path)) this.#visits.push(visit);
      else asked.set(path, visit);
    }
    try {
      const paths = [...asked.keys()];
      if (paths.length > 0) {
        const result = await tree.walk({ paths, excludes });
        if (this.#isClosed) return;
        this.#results += 1;
        for (const directory of result.directories) this.#found(asked, directory, began);
        for (const failure of result.failures) if (!isGone(failure)) failed(failure);
        // It was called otherwise meanwhile. What is not there any more has its own event, or its parent has.
        for (const [path, visit] of asked)
          if (visit.node.path === undefined) this.#missed(visit);
          else if (visit.node.path !== path) this.#visits.push(visit);
          else this.#missed(visit);
      }
    } catch (error) {
      if (!this.#isClosed) lost(error);
    } finally {
      this.#running -= 1;
      if (!this.#isClosed) learned();
      this.#go();
    }
  }

  #found(
    asked: Map<string, Visit>,
    directory: WalkedDirectory,
    began: { readonly moves: number; readonly results: number },
  ): void {
    const visit = asked.get(directory.path);
    if (visit === undefined) return;
    asked.delete(directory.path);
    const { node, walk, levels } = visit;
    const { path } = node;
    if (path === undefined) {
      this.#missed(visit);
      return;
    }
    if (path !== directory.path) {
      // It was called otherwise meanwhile; what was read may be another directory.
      this.#visits.push(visit);
      return;
    }
    const isOther = node.watch !== undefined && node.watch !== directory.watch;
    if (isOther && node.watchedAt > began.results) {
      // Two that were read at the same time: the one of this watch may be gone for long.
      this.#visits.push(visit);
      return;
    }
    node.seenAt = this.#results;
    node.watchedAt = this.#results;
    const before = this.#parts.nodes.setWatch(node, directory.watch);
    // The same directory under another name: its rename is still to be told.
    if (before !== undefined) {
      before.hasMissed = true;
      this.#parts.displaced(before);
    }
    const names = new Set(directory.directories);
    for (const child of [...node.children])
      if (!names.has(child.name) && child.attachedAt <= began.moves) {
        if (child.seenAt <= began.results) this.#parts.unwatch(this.#parts.nodes.drop(child));
        // Another one saw it at the same time: which of them is older is not known.
        else this.#parts.doubted(node);
      }
    for (const name of names) {
      const known = node.child(name);
      const child = known ?? new DirectoryNode(name);
      if (known === undefined) node.attach(child, name);
      child.seenAt = this.#results;
      const isUnwatched = known?.watch === undefined;
      // The target may have a directory of that name, sent for what stood here before: it is not enough to compare this one.
      if (isUnwatched && levels !== Number.POSITIVE_INFINITY && !isOther) {
        this.#parts.replaced(child);
        continue;
      }
      if (!isUnwatched && levels === 0 && !isOther) continue;
      const below = isUnwatched || isOther ? Number.POSITIVE_INFINITY : levels - 1;
      walk.pending += 1;
      this.#visits.push({ node: child, walk, levels: below });
    }
    if (isOther && (node !== walk.top || levels !== Number.POSITIVE_INFINITY)) this.#parts.replaced(node);
    this.#visited(visit);
  }

  /** It is between two places: whoever finds where it went has it looked at. */
  #missed(visit: Visit): void {
    visit.node.miss(visit.levels > 1 ? "all" : "one");
    this.#visited(visit);
  }

  #visited({ walk }: Visit): void {
    walk.pending -= 1;
    if (walk.pending === 0) walk.done();
  }
}

function isGone({ errno }: FileFailure): boolean {
  return errno === "ENOENT" || errno === "ENOTDIR" || errno === "ELOOP";
}
