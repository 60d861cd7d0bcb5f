/**
 * Watches a source tree and says what changed: events of the kernel become changes with the paths that things had when
 * they happened (F13, by notification).
 *
 * Always holds: behind every change of a path comes a change of that path, or a repair of a directory above it. What is
 * not understood (events lost or joined, a directory that arrived) becomes a repair, told when all of it is watched. Half
 * a rename whose other half does not come is a removal or an arrival. Nothing is told after `lost`: the root itself is
 * gone, or the kernel gives no more watches (SOURCE_MISSING, WATCH_LIMIT).
 */
import { asRopewalkError, RopewalkError } from "../../base/errors.ts";
import type { Clock, ExcludeRules, SourceTree, TreeEvent, TreePath, TreeWatch } from "../../ports/mod.ts";
import { joinPath } from "../tree-path.ts";
import type { ChangeListener, SourcePlace } from "./change.ts";
import { DirectoryNode, DirectoryNodes } from "./directory-node.ts";
import { type Arrival, type Departure, Moves } from "./moves.ts";
import { TreeWalk } from "./tree-walk.ts";

/** So long half a rename waits for its other half, at least. */
const MOVE_WAIT_MS = 50;
/** Events kept of watches that no scan has told of yet; beyond, everything is compared again. */
const EARLY_EVENTS_MAX = 65_536;

export interface CaptureParts {
  readonly tree: SourceTree;
  readonly clock: Clock;
  readonly listener: ChangeListener;
  readonly excludes: ExcludeRules;
  readonly isExcluded: (path: TreePath) => boolean;
  /** Known bugs to plant, to prove that the simulator finds them. */
  readonly plants?: ReadonlySet<string>;
}

export class Capture {
  readonly nodes = new DirectoryNodes();
  readonly #parts: CaptureParts;
  readonly #walk: TreeWalk;
  readonly #moves: Moves;
  readonly #hasAnchoredExcludes: boolean;
  #watch: TreeWatch | undefined;
  #early: TreeEvent[] = [];
  #earlyLost = false;
  #settling: Promise<void> | undefined;
  /** Directories in which directories came or went while others were read: the one may be older than the other. */
  readonly #unsure = new Set<DirectoryNode>();
  #checking: Promise<void> | undefined;
  #isClosed = false;
  /** By the rename that was told last. */
  #justArrived: { place: SourcePlace; origin: SourcePlace; replaced: DirectoryNode | undefined } | undefined;
  /** A departure from where something has just arrived: if it goes where that came from, two names changed places. */
  #maybeExchange: { cookie: number; origin: SourcePlace; replaced: DirectoryNode | undefined } | undefined;
  /** Of the event that is told, those that came early counted twice. */
  #number = 0;
  /** Events that the kernel told of, since the beginning. */
  events = 0;
  overflows = 0;

  constructor(parts: CaptureParts) {
    this.#parts = parts;
    this.#moves = new Moves(parts.clock, MOVE_WAIT_MS);
    this.#hasAnchoredExcludes = parts.excludes.patterns.some((pattern) => pattern.startsWith("^"));
    this.#walk = new TreeWalk({
      tree: parts.tree,
      nodes: this.nodes,
      excludes: parts.excludes,
      replaced: (node) => this.#compare(node, "all"),
      doubted: (node) => this.#mustCheck(node),
      displaced: (node) => this.#isUnsure(node),
      unwatch: (watches) => this.#watch?.remove(watches),
      learned: () => this.#takeEarly(),
      failed: (failure) => parts.listener.failed(failure),
      lost: (error) => this.#lost(error),
    });
  }

  /** Resolves when every directory that is there is watched; from then on changes are told. */
  async begin(): Promise<void> {
    this.#watch = await this.#parts.tree.watch((events) => this.#take(events));
    this.#walk.walk(this.nodes.root, "all", () => undefined);
    this.#check();
    await this.#walk.finished();
  }

  /** Resolves when every change that happened before the call was told. */
  async drained(): Promise<void> {
    do {
      await this.#watch?.drained();
      await this.#walk.finished();
      if (!this.#moves.isEmpty) await this.#settle();
      await this.#checking;
    } while (!this.#isClosed && !(this.#walk.isIdle && this.#moves.isEmpty && this.#checking === undefined));
  }

  /** A comparison found something in a directory that is not known here. Most come by themselves, the others are looked for. */
  lookFor(path: TreePath): void {
    if (this.#isClosed) return;
    let node = this.nodes.root;
    for (const name of path.split("/")) {
      const child = node.child(name);
      if (child === undefined) break;
      node = child;
    }
    this.#mustCheck(node);
  }

  /** Resolves when every event that happened before the call was told, though half a rename may still wait. */
  async eventsTold(): Promise<void> {
    await this.#watch?.drained();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#early = [];
    this.#walk.close();
    await this.#watch?.close();
  }

  // ---- events ----

  #take(events: readonly TreeEvent[]): void {
    if (this.#isClosed) return;
    this.events += events.length;
    for (const event of events) this.#event(event);
    if (!this.#moves.isEmpty) void this.#settle();
  }

  #event(event: TreeEvent): void {
    this.#number += 1;
    // Also those of one batch behind the one that says that the root is gone.
    if (this.#isClosed) return;
    const { kind } = event;
    if (kind !== "movedFrom" && kind !== "movedTo" && kind !== "movedSelf") this.#forgetReplaced();
    const node = this.nodes.ofWatch(event.watch);
    if (event.kind === "overflow") this.#overflow();
    else if (node === undefined) this.#keepEarly(event);
    else if (node === this.nodes.root && isEndOfRoot(event)) this.#rootGone(event.kind);
    else if (event.kind === "watchGone") this.#watchGone(node, event.watch);
    // Its directory is between two places: it is compared when it has arrived.
    else if (node.path === undefined) node.hasMissed = true;
    else if (event.kind === "several" || event.kind === "unmounted") this.#compare(node, "one");
    else if (event.name !== "") this.#named(node, event, joinPath(node.path, event.name));
    else if (event.kind === "attributes" && node === this.nodes.root)
      this.#change("attribute", node, { name: "", path: "", isDirectory: true });
  }

  /** Something happened to a name in a directory. */
  #named(node: DirectoryNode, event: TreeEvent, path: TreePath): void {
    // Half a rename with a name that is passed over leaves the other half alone, which is as it should be.
    if (this.#parts.isExcluded(path)) return;
    const { name, isDirectory } = event;
    if (isDirectory && event.kind !== "attributes") this.#isUnsure(node);
    switch (event.kind) {
      case "created":
        if (isDirectory) this.#directoryCame(node, name, path);
        else this.#change("create", node, { name, path, isDirectory });
        break;
      case "written":
      case "closed":
        this.#change("write", node, { name, path, isDirectory });
        break;
      case "attributes":
        this.#change("attribute", node, { name, path, isDirectory });
        if (isDirectory) this.#perhapsReadable(node.child(name));
        break;
      case "deleted":
        if (isDirectory) this.#forget(node.child(name));
        this.#change("remove", node, { name, path, isDirectory });
        break;
      case "movedFrom":
        this.#departed(node, event);
        break;
      case "movedTo":
        this.#arrived(node, event);
    }
  }

  #change(
    kind: "create" | "write" | "attribute" | "remove",
    directory: DirectoryNode,
    what: { name: string; path: TreePath; isDirectory: boolean },
  ): void {
    const { name, path, isDirectory } = what;
    this.#parts.listener.changed({ kind, place: { directory, name }, path, isDirectory });
  }

  /** A directory that was made, or came from where nobody watches. */
  #directoryCame(parent: DirectoryNode, name: string, path: TreePath): void {
    this.#change("create", parent, { name, path, isDirectory: true });
    const node = parent.child(name) ?? new DirectoryNode(name);
    // Also where it is known: it is there from now on, whatever a scan says that began before.
    parent.attach(node, name);
    this.#compare(node, "all");
  }

  /** Tells that a directory is to be compared, once all in it is watched. */
  #compare(node: DirectoryNode, depth: "one" | "all"): void {
    this.#check();
    this.#walk.walk(node, depth, () => {
      const { path } = node;
      if (path === undefined || this.#isClosed) return;
      const place = { directory: node, name: "" };
      this.#parts.listener.changed({ kind: "repair", place, path, depth, isDirectory: true });
    });
  }

  /** A directory that could not be read may be from now on. */
  #perhapsReadable(node: DirectoryNode | undefined): void {
    if (node !== undefined && node.watch === undefined) this.#compare(node, "all");
  }

  #forget(node: DirectoryNode | undefined): void {
    if (node !== undefined) this.#watch?.remove(this.nodes.drop(node));
  }

  #watchGone(node: DirectoryNode, watch: number): void {
    this.nodes.watchGone(watch);
    // Mostly its removal follows. Else somebody else took its watch away.
    if (node.path !== undefined) this.#compare(node, "one");
  }

  // ---- renames ----

  #departed(directory: DirectoryNode, { name, cookie, isDirectory }: TreeEvent): void {
    const before = this.#justArrived;
    if (before !== undefined && isPlace(before.place, directory, name)) {
      this.#justArrived = undefined;
      this.#forgetExchange();
      this.#maybeExchange = { cookie, origin: before.origin, replaced: before.replaced };
    } else this.#forgetReplaced();
    const node = isDirectory ? directory.child(name) : undefined;
    node?.detach();
    const departure = { cookie, directory, name, node, isDirectory, event: this.#number };
    const arrival = this.#moves.depart(departure);
    // What came first was told of late: either place may have another directory by now.
    if (isDirectory && (node === undefined || arrival !== undefined)) this.#mustCheck(directory);
    if (isDirectory && arrival !== undefined) this.#mustCheck(arrival.directory);
    if (arrival !== undefined && !this.#changedPlaces(departure, arrival)) this.#renamed(departure, arrival);
  }

  #arrived(directory: DirectoryNode, { name, cookie, isDirectory }: TreeEvent): void {
    this.#forgetReplaced();
    const arrival = { cookie, directory, name, isDirectory, event: this.#number };
    const departure = this.#moves.arrive(arrival);
    if (departure !== undefined && !this.#changedPlaces(departure, arrival))
      this.#renamed(departure, arrival);
  }

  /** Whether this rename is the other half of an exchange; what departed is where it has just come to. */
  #changedPlaces(
    { cookie, directory, name, node }: Omit<Departure, "atMs">,
    arrival: Omit<Arrival, "atMs">,
  ): boolean {
    const exchange = this.#maybeExchange;
    if (exchange?.cookie !== cookie) return false;
    if (!isPlace(exchange.origin, arrival.directory, arrival.name)) {
      this.#forgetExchange();
      return false;
    }
    this.#maybeExchange = undefined;
    if (node !== undefined) {
      this.#forget(directory.child(name));
      directory.attach(node, name);
      this.#compareMissed(node);
    }
    this.#exchanged(arrival.directory, { ...arrival, node: exchange.replaced });
    return true;
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
      this.#change("create", directory, { name, path, isDirectory });
      if (node !== undefined) this.#compare(node, "all");
    } else {
      const from = joinPath(left, departure.name);
      this.#parts.listener.changed({ kind: "rename", place, from, path, isDirectory });
    }
    if (node !== undefined) {
      this.#isUnsure(node);
      this.#compareMissed(node);
    } else if (isDirectory) this.#directoryCame(directory, name, path);
    // What is passed over by its path from the root is another thing now.
    if (node !== undefined && this.#hasAnchoredExcludes) this.#compare(node, "all");
    if (Math.abs(departure.event - arrival.event) > 1) this.#againAt(departure);
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
      this.#forget(node);
      return;
    }
    if (node !== undefined && directory.child(name) !== node) {
      this.#forget(directory.child(name));
      directory.attach(node, name);
    }
    const path = joinPath(above, name);
    if (isDirectory) this.#directoryCame(directory, name, path);
    else this.#change("create", directory, { name, path, isDirectory });
  }

  /** What the last rename replaced is gone, unless it turns out at once that it changed places with it. */
  #forgetReplaced(): void {
    const replaced = this.#justArrived?.replaced;
    this.#justArrived = undefined;
    this.#forget(replaced);
  }

  #forgetExchange(): void {
    const replaced = this.#maybeExchange?.replaced;
    this.#maybeExchange = undefined;
    this.#forget(replaced);
  }

  /** What was told between the halves of a rename may have been of a new thing in the old place, and went along with it. */
  #againAt({ directory, name, isDirectory }: Omit<Departure, "atMs">): void {
    const above = directory.path;
    if (above === undefined) return;
    const node = directory.child(name);
    this.#change("create", directory, { name, path: joinPath(above, name), isDirectory });
    if (node !== undefined) this.#compare(node, "all");
  }

  /** Directories that have a path again, and something that nobody was told of. */
  #compareMissed(top: DirectoryNode): void {
    for (const node of [...top.all()]) {
      // It moved before it could be watched.
      if (node.watch === undefined) this.#compare(node, "all");
      else if (node.hasMissed) this.#compare(node, "one");
      node.hasMissed = false;
    }
  }

  // ---- what was read and what was told ----

  /** What a scan saw may be older or newer than the events that are told meanwhile: it is looked at again. */
  #isUnsure(node: DirectoryNode): void {
    if (this.#checking !== undefined) this.#unsure.add(node);
  }

  #mustCheck(node: DirectoryNode): void {
    this.#check();
    this.#unsure.add(node);
  }

  #check(): void {
    this.#checking ??= this.#checkAll()
      .catch((error: unknown) => this.#lost(error))
      .finally(() => (this.#checking = undefined));
  }

  async #checkAll(): Promise<void> {
    for (;;) {
      await this.#walk.finished();
      await this.#watch?.drained();
      if (this.#isClosed) return;
      if (!this.#walk.isIdle) continue;
      if (this.#unsure.size === 0) return;
      const nodes = [...this.#unsure];
      this.#unsure.clear();
      for (const node of nodes)
        if (node.path !== undefined) this.#compare(node, node.watch === undefined ? "all" : "one");
    }
  }

  /** It went where nobody watches. */
  #left({ directory, name, node, isDirectory }: Omit<Departure, "atMs">): void {
    this.#forget(node);
    const above = directory.path;
    // What it left may be called otherwise by now; while that is away it is compared later.
    if (above === undefined) directory.hasMissed = true;
    else this.#change("remove", directory, { name, path: joinPath(above, name), isDirectory });
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
      this.#mustCheck(directory);
      this.#forget(directory.child(name));
      this.#directoryCame(directory, name, path);
    } else this.#change("create", directory, { name, path, isDirectory });
  }

  /** Halves that are still alone when they waited long enough, and all events were read, stay alone. One at a time. */
  #settle(): Promise<void> {
    this.#settling ??= this.#settleAll()
      .catch((error: unknown) => this.#lost(error))
      .finally(() => (this.#settling = undefined));
    return this.#settling;
  }

  async #settleAll(): Promise<void> {
    const { clock } = this.#parts;
    while (!this.#moves.isEmpty && !this.#isClosed) {
      await new Promise<void>((resolve) => void clock.after(MOVE_WAIT_MS, resolve));
      const beforeMs = clock.nowMs();
      await this.#watch?.drained();
      if (this.#isClosed) return;
      const { departures, arrivals } = this.#moves.takeAlone(beforeMs);
      for (const departure of departures) this.#left(departure);
      for (const arrival of arrivals) this.#came(arrival);
    }
  }

  // ---- what was lost, or came too early ----

  #keepEarly(event: TreeEvent): void {
    if (this.#walk.isIdle) return;
    if (this.#early.length < EARLY_EVENTS_MAX) this.#early.push(event);
    else this.#earlyLost = true;
  }

  #takeEarly(): void {
    const events = this.#early;
    this.#early = [];
    for (const event of events) this.#event(event);
    if (!this.#walk.isIdle || !this.#earlyLost) return;
    this.#earlyLost = false;
    this.#compare(this.nodes.root, "all");
  }

  #overflow(): void {
    this.overflows += 1;
    const { departures, arrivals } = this.#moves.takeAll();
    for (const departure of departures) this.#left(departure);
    for (const arrival of arrivals) this.#came(arrival);
    this.#compare(this.nodes.root, "all");
  }

  #rootGone(what: string): void {
    this.#lost(
      new RopewalkError(
        "SOURCE_MISSING",
        `The source directory is gone (${what}); nothing is removed at the target. Bring it back, or delete the synchronization.`,
      ),
    );
  }

  #lost(error: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#walk.close();
    this.#parts.listener.lost(asRopewalkError(error));
  }
}

function isPlace(place: SourcePlace, directory: DirectoryNode, name: string): boolean {
  return place.directory === directory && place.name === name;
}

function isEndOfRoot({ kind }: TreeEvent): boolean {
  return kind === "deletedSelf" || kind === "movedSelf" || kind === "unmounted" || kind === "watchGone";
}
