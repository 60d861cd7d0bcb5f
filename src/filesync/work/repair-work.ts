/**
 * Compares a directory again, because something happened in it of which no more is known, or because the target turned
 * out to be otherwise than it was thought to be.
 *
 * Always holds: what differs is appended as commands; a directory with more differences than `DIFFERENCES_MAX` becomes a
 * bulk of its own. Errors: those of the trees and of the connection.
 */
import type { FileFailure, ScanResult, TreePath } from "../../ports/mod.ts";
import type { SourcePlace } from "../capture/change.ts";
import { TreeComparison, type TreeDifference } from "../compare/tree-comparison.ts";
import type { Entry, NewEntry } from "../queue/entry.ts";
import type { TargetConnection } from "../threads/connection.ts";
import type { WorkResult } from "../threads/entry-work.ts";
import { movedPath } from "../tree-path.ts";
import { entryAt, sourcePath, type WorkParts } from "./work-parts.ts";

const DIFFERENCES_MAX = 1024;

export class RepairWork {
  readonly #parts: WorkParts;

  constructor(parts: WorkParts) {
    this.#parts = parts;
  }

  async run(entry: Entry, connection: TargetConnection): Promise<WorkResult> {
    const failures: FileFailure[] = [];
    const found: { readonly place: SourcePlace; readonly entry: Omit<NewEntry, "place" | "path"> }[] = [];
    const path = entry.place === undefined ? entry.path : sourcePath(entry);
    const nothing: WorkResult = { done: [entry], untouched: [], append: [], failures };
    const { source, excludes, kept, bulk, counters, dirty, unread } = this.#parts;
    if (path === undefined) {
      unread.want();
      return nothing;
    }
    // Something that came and went leaves nothing but its time.
    dirty.add(entry.path);
    const comparison = new TreeComparison({
      source: (request) => source.scan({ ...request, excludes }),
      target: (request) =>
        scanAt(entry.path, path, request, (whole) => connection.scan({ ...whole, excludes })),
      path,
      depth: entry.depth,
      mode: "attributes",
      kept,
      failed: (failure) => failures.push(failure),
    });
    let differences = 0;
    const ended = this.#parts.comparing();
    try {
      for await (const some of comparison.differences()) {
        differences += some.length;
        if (differences > DIFFERENCES_MAX) {
          bulk(path);
          return { ...nothing, append: this.#recent(entry, path) };
        }
        for (const difference of some) {
          const place = this.#parts.placeOf(difference.path);
          const entry = place === undefined ? undefined : this.#entryOf(difference, place);
          if (entry !== undefined) found.push({ place: place!, entry });
        }
      }
    } finally {
      ended();
    }
    const append = [
      ...found.flatMap(({ place, entry: each }) => entryAt(place, each)),
      ...this.#recent(entry, path),
    ];
    counters.followUps += append.length;
    return { ...nothing, append };
  }

  /** Files that may be otherwise though they look the same. */
  #recent({ path: at, depth }: Entry, path: TreePath): NewEntry[] {
    return this.#parts.sent.recent
      .in(at, depth)
      .flatMap((recent) =>
        entryAt(this.#parts.placeOf(movedPath(recent, at, path)), { kind: "write", isDirectory: false }),
      );
  }

  #entryOf(difference: TreeDifference, place: SourcePlace): Omit<NewEntry, "place" | "path"> | undefined {
    const { dirty, deletes, links, linkSearch } = this.#parts;
    switch (difference.kind) {
      case "copy": {
        const isDirectory = difference.attributes.kind === "directory";
        return { kind: "create", isDirectory, sizeBytes: difference.attributes.sizeBytes };
      }
      case "attributes":
        if (difference.attributes.kind !== "directory") return { kind: "attribute", isDirectory: false };
        dirty.differs(difference.path);
        return undefined;
      case "extra":
        if (deletes === "keep") return undefined;
        return { kind: "remove", isDirectory: difference.target.kind === "directory" };
      case "linked":
        links.seen(difference.attributes, place);
        // Its names are not linked at the target as they are here, or not all of them.
        if (difference.target?.links !== difference.attributes.links)
          linkSearch.want(difference.attributes, place);
        return undefined;
    }
  }
}

/** A directory of the target that is still called `at`; what is found in it is told by the name that it has at the source. */
async function scanAt(
  at: TreePath,
  path: TreePath,
  request: { readonly paths: readonly TreePath[]; readonly withListings: boolean },
  scan: (request: { paths: readonly TreePath[]; withListings: boolean }) => Promise<ScanResult>,
): Promise<ScanResult> {
  if (at === path) return await scan(request);
  const { directories, failures } = await scan({
    ...request,
    paths: request.paths.map((each) => movedPath(each, path, at)),
  });
  const back = <Found extends { readonly path: TreePath }>(found: Found): Found => ({
    ...found,
    path: movedPath(found.path, at, path),
  });
  return { directories: directories.map(back), failures: failures.map(back) };
}
