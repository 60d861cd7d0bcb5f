/**
 * Renames of a source: their halves meet, or stay alone, and become one change. Two names that changed places are known
 * by two renames of which the second begins where the first has just ended.
 *
 * Always holds: a directory keeps its node wherever it goes, and has no path between the halves. What could not be told of
 * a directory without a path is marked there, and compared when it has one again. What a rename replaced is kept until the
 * next event that shows that it was no exchange.
 */
import type { Clock, ExcludeRules, TreeEvent, TreePath } from "../../ports/mod.ts";
import { joinPath } from "../tree-path.ts";
import type { Change, SourcePlace } from "./change.ts";
import type { DirectoryNode } from "./directory-node.ts";
import type { DoubtedDirectories } from "./doubted-directories.ts";
import { type Arrival, type Departure, Moves } from "./moves.ts";

/** So long half a rename waits for its other half, at least. */
const MOVE_WAIT_MS = 50;

export interface RenamesParts {
  readonly clock: Clock;
  readonly excludes: ExcludeRules;
  readonly plants: ReadonlySet<string> | undefined;
  readonly doubted: DoubtedDirectories;
  /** Resolves when every event that happened before the call was told. */
  readonly drained: () => Promise<void> | undefined;
  readonly told: (change: Change) => void;
  /** A directory stands here that was made, or came from where nobody watches. */
  readonly directoryCame: (parent: DirectoryNode, name: string, path: TreePath) => void;
  /** The directory is to be compared, once all in it is watched. */
  readonly compare: (node: DirectoryNode, depth: "one" | "all") => void;
  /** The directory is gone from the tree, with all below it. */
  readonly forget: (node: DirectoryNode | undefined) => void;
  /** The tree cannot be read or watched at all. */
  readonly lost: (error: unknown) => void;
}

/** Where the thing that was renamed came from, and the directory that stood where it went. */
interface Replacement {
  readonly origin: SourcePlace;
  readonly replaced: DirectoryNode | undefined;
  readonly isDirectory: boolean;
}

export class Renames {
  readonly #parts: RenamesParts;
  readonly #moves: Moves;
  readonly #hasAnchoredExcludes: boolean;
  #settling: Promise<void> | undefined;
  /** By the rename that was told last. */
  #justArrived: (Replacement & { readonly place: SourcePlace }) | undefined;
  /** A departure from where something has just arrived: if it goes where that came from, two names may have changed places. */
  #maybeExchange: (Replacement & { readonly cookie: number }) | undefined;
  /** Of the event that is told, those that came early counted twice. */
  #number = 0;
  #isClosed = false;

  constructor(parts: RenamesParts) {
    this.#parts = parts;
    this.#moves = new Moves(parts.clock, MOVE_WAIT_MS);
    this.#hasAnchoredExcludes = parts.excludes.patterns.some((pattern) => pattern.startsWith("^"));
  }

  /** No half waits for its other half. */
  get isEmpty(): boolean {
    return this.#moves.isEmpty;
  }

  /** Before each event, of whatever kind. */
  next(kind: TreeEvent["kind"]): void {
    this.#number += 1;
    if (kind !== "movedFrom" && kind !== "movedTo" && kind !== "movedSelf") this.#forgetReplaced();
  }

  /** Something left a directory under this name. */
  departed(directory: DirectoryNode, { name, cookie, isDirectory }: TreeEvent): void {
    const before = this.#justArrived;
    if (before !== undefined && isPlace(before.place, directory, name)) {
      this.#justArrived = undefined;
      this.#forgetExchange();
      const { origin, replaced } = before;
      this.#maybeExchange = { cookie, origin, replaced, isDirectory: before.isDirectory };
    } else this.#forgetReplaced();
    const node = isDirectory ? directory.child(name) : undefined;
    node?.detach();
    const departure = { cookie, directory, name, node, isDirectory, event: this.#number };
    const arrival = this.#moves.depart(departure);
    // What came first was told of late: either place may have another directory by now.
    if (isDirectory && (node === undefined || arrival !== undefined)) this.#parts.doubted.add(directory);
    if (isDirectory && arrival !== undefined) this.#parts.doubted.add(arrival.directory);
    if (arrival !== undefined) this.#met(departure, arrival);
  }

  /** Something came to a directory under this name. */
  arrived(directory: DirectoryNode, { name, cookie, isDirectory }: TreeEvent): void {
    this.#forgetReplaced();
    const arrival = { cookie, directory, name, isDirectory, event: this.#number };
    const departure = this.#moves.arrive(arrival);
    if (departure !== undefined) this.#met(departure, arrival);
  }

  #met(departure: Omit<Departure, "atMs">, arrival: Omit<Arrival, "atMs">): void {
    const isBack = this.#isBack(departure, arrival);
    if (isBack && this.#isExchange(departure)) {
      this.#changedPlaces(departure, arrival);
      return;
    }
    this.#renamed(departure, arrival);
    // Two that changed places look the same as one that went there and back, where the other one's way there is told late.
    if (!isBack) return;
    this.#againAt(departure);
    if (!arrival.isDirectory) return;
    this.#parts.doubted.add(departure.directory);
    this.#parts.doubted.add(arrival.directory);
  }

  /** Halves that are still alone when they waited long enough, and all events were read, stay alone. One at a time. */
  settle(): Promise<void> {
    this.#settling ??= this.#settleAll()
      .catch((error: unknown) => this.#parts.lost(error))
      .finally(() => (this.#settling = undefined));
    return this.#settling;
  }

  /** Halves that are alone stay alone: events were lost. */
  endAll(): void {
    this.#endOf(this.#moves.takeAll());
  }

  close(): void {
    this.#isClosed = true;
  }

  async #settleAll(): Promise<void> {
    const { clock, drained } = this.#parts;
    while (!this.#moves.isEmpty && !this.#isClosed) {
      await new Promise<void>((resolve) => void clock.after(MOVE_WAIT_MS, resolve));
      const beforeMs = clock.nowMs();
      await drained();
      if (this.#isClosed) return;
      this.#endOf(this.#moves.takeAlone(beforeMs));
    }
  }

  #endOf({ departures, arrivals }: { departures: Departure[]; arrivals: Arrival[] }): void {
    for (const departure of departures) this.#left(departure);
    for (const arrival of arrivals) this.#came(arrival);
  }

  /** It went where nobody watches. */
  #left({ directory, name, node, isDirectory }: Omit<Departure, "atMs">): void {
    this.#parts.forget(node);
    const above = directory.path;
    // What it left may be called otherwise by now; while that is away it is compared later.
    if (above === undefined) directory.hasMissed = true;
    else
      this.#parts.told({
        kind: "remove",
        place: { directory, name },
        path: joinPath(above, name),
        isDirectory,
      });
  }

  /** It came from where nobody watches. */
  #came({ directory, name, isDirectory }: Arrival): void {
    const above = directory.path;
    if (above === undefined) {
      directory.hasMissed = true;
      return;
    }
    const path = joinPath(above, name);
    if (isDirectory) {
      this.#parts.doubted.add(directory);
      this.#parts.forget(directory.child(name));
      this.#parts.directoryCame(directory, name, path);
    } else this.#parts.told({ kind: "create", place: { directory, name }, path, isDirectory });
  }

  #renamed(departure: Omit<Departure, "atMs">, arrival: Omit<Arrival, "atMs">): void {
    if (this.#parts.plants?.has("filesync-split-rename") === true) {
      this.#left(departure);
      return;
    }
    const { node } = departure;
    const { directory, name, isDirectory } = arrival;
    const above = directory.path;
    // What it left may have been renamed between the halves.
    const left = departure.directory.path;
    // A directory that stands where a file came of late came after it.
    const isLate = arrival.event < departure.event - 1;
    const replaced = isLate && !isDirectory ? undefined : directory.child(name);
    this.#forgetReplaced();
    if (replaced !== node) replaced?.detach();
    this.#justArrived = {
      place: { directory, name },
      origin: { directory: departure.directory, name: departure.name },
      replaced: replaced === node ? undefined : replaced,
      isDirectory,
    };
    if (node !== undefined && above !== undefined) directory.attach(node, name);
    if (above === undefined) {
      // Where it went is itself between two places, and is compared when it has arrived.
      directory.hasMissed = true;
      this.#left(departure);
      return;
    }
    const path = joinPath(above, name);
    const place = { directory, name };
    if (left === undefined) {
      // What it left is between two places, and is compared when it has arrived.
      departure.directory.hasMissed = true;
      this.#parts.told({ kind: "create", place, path, isDirectory });
      if (node !== undefined) this.#parts.compare(node, "all");
    } else {
      const from = joinPath(left, departure.name);
      this.#parts.told({ kind: "rename", place, from, path, isDirectory, moved: node });
    }
    if (node !== undefined) {
      this.#parts.doubted.addIfChecking(node);
      this.#compareMissed(node);
    } else if (isDirectory) this.#parts.directoryCame(directory, name, path);
    // What is passed over by its path from the root is another thing now.
    if (node !== undefined && this.#hasAnchoredExcludes) this.#parts.compare(node, "all");
    if (Math.abs(departure.event - arrival.event) > 1) this.#againAt(departure);
  }

  /** What was told between the halves of a rename may have been of a new thing in the old place, and went along with it. */
  #againAt({ directory, name, isDirectory }: Omit<Departure, "atMs">): void {
    const above = directory.path;
    if (above === undefined) return;
    const node = directory.child(name);
    const path = joinPath(above, name);
    this.#parts.told({ kind: "create", place: { directory, name }, path, isDirectory });
    if (node !== undefined) this.#parts.compare(node, "all");
  }

  /** Directories that have a path again, and something that nobody was told of. */
  #compareMissed(top: DirectoryNode): void {
    for (const node of [...top.all()]) {
      // It moved before it could be watched.
      if (node.watch === undefined) this.#parts.compare(node, "all");
      else if (node.hasMissed) this.#parts.compare(node, "one");
      node.hasMissed = false;
    }
  }

  // ---- exchanges ----

  /** Whether it goes to where the last rename came from, from where that went. */
  #isBack({ cookie }: Omit<Departure, "atMs">, arrival: Omit<Arrival, "atMs">): boolean {
    const exchange = this.#maybeExchange;
    if (exchange?.cookie !== cookie) return false;
    const isBack = isPlace(exchange.origin, arrival.directory, arrival.name);
    if (!isBack) this.#forgetExchange();
    return isBack;
  }

  /** Something stood there when the first one came: a directory that is known, or it was of another kind. */
  #isExchange({ isDirectory }: Omit<Departure, "atMs">): boolean {
    const exchange = this.#maybeExchange;
    if (exchange === undefined) return false;
    if (exchange.replaced !== undefined || exchange.isDirectory !== isDirectory) return true;
    this.#maybeExchange = undefined;
    return false;
  }

  /** What departed is where it has just come to. */
  #changedPlaces({ directory, name, node }: Omit<Departure, "atMs">, arrival: Omit<Arrival, "atMs">): void {
    const replaced = this.#maybeExchange?.replaced;
    this.#maybeExchange = undefined;
    if (node !== undefined) {
      this.#parts.forget(directory.child(name));
      directory.attach(node, name);
      this.#compareMissed(node);
    }
    this.#exchanged(arrival.directory, { ...arrival, node: replaced });
    // Unless it was an empty directory that stood there, and it went back: then nothing does.
    const above = directory.path;
    this.#parts.doubted.add(directory);
    if (above !== undefined)
      this.#parts.told({
        kind: "remove",
        place: { directory, name },
        path: joinPath(above, name),
        isDirectory: true,
      });
  }

  /**
   * Two names changed places: the kernel tells of it as of two renames, one right behind the other, of which the second
   * begins where the first has just ended. Nothing was replaced then; its other name is made equal anew.
   */
  #exchanged(
    directory: DirectoryNode,
    { name, isDirectory, node }: { name: string; isDirectory: boolean; node: DirectoryNode | undefined },
  ): void {
    const above = directory.path;
    if (above === undefined) {
      directory.hasMissed = true;
      this.#parts.forget(node);
      return;
    }
    if (node !== undefined && directory.child(name) !== node) {
      this.#parts.forget(directory.child(name));
      directory.attach(node, name);
    }
    const path = joinPath(above, name);
    if (isDirectory) this.#parts.directoryCame(directory, name, path);
    else this.#parts.told({ kind: "create", place: { directory, name }, path, isDirectory });
  }

  /** What the last rename replaced is gone, unless it turns out at once that it changed places with it. */
  #forgetReplaced(): void {
    const replaced = this.#justArrived?.replaced;
    this.#justArrived = undefined;
    this.#parts.forget(replaced);
  }

  #forgetExchange(): void {
    const replaced = this.#maybeExchange?.replaced;
    this.#maybeExchange = undefined;
    this.#parts.forget(replaced);
  }
}

function isPlace(place: SourcePlace, directory: DirectoryNode, name: string): boolean {
  return place.directory === directory && place.name === name;
}
