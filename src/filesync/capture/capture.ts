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
import type { ChangeListener } from "./change.ts";
import { DirectoryNode, DirectoryNodes } from "./directory-node.ts";
import { DoubtedDirectories } from "./doubted-directories.ts";
import { Renames } from "./renames.ts";
import { TreeWalk } from "./tree-walk.ts";

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
  readonly #doubted: DoubtedDirectories;
  readonly #renames: Renames;
  #watch: TreeWatch | undefined;
  #early: TreeEvent[] = [];
  #earlyLost = false;
  #isClosed = false;
  /** Events that the kernel told of, since the beginning. */
  events = 0;
  overflows = 0;

  constructor(parts: CaptureParts) {
    this.#parts = parts;
    this.#walk = new TreeWalk({
      tree: parts.tree,
      nodes: this.nodes,
      excludes: parts.excludes,
      replaced: (node) => this.#compare(node, "all"),
      doubted: (node) => this.#doubted.add(node),
      displaced: (node) => this.#doubted.addIfChecking(node),
      unwatch: (watches) => this.#watch?.remove(watches),
      learned: () => this.#takeEarly(),
      failed: (failure) => parts.listener.failed(failure),
      lost: (error) => this.#lost(error),
    });
    this.#doubted = new DoubtedDirectories({
      walk: this.#walk,
      drained: () => this.#watch?.drained(),
      compare: (node, depth) => this.#compare(node, depth),
      lost: (error) => this.#lost(error),
    });
    this.#renames = new Renames({
      clock: parts.clock,
      excludes: parts.excludes,
      plants: parts.plants,
      doubted: this.#doubted,
      drained: () => this.#watch?.drained(),
      told: (change) => parts.listener.changed(change),
      directoryCame: (parent, name, path) => this.#directoryCame(parent, name, path),
      compare: (node, depth) => this.#compare(node, depth),
      forget: (node) => this.#forget(node),
      lost: (error) => this.#lost(error),
    });
  }

  /** Resolves when every directory that is there is watched; from then on changes are told. */
  async begin(): Promise<void> {
    this.#watch = await this.#parts.tree.watch((events) => this.#take(events));
    this.#walk.walk(this.nodes.root, "all", () => undefined);
    this.#doubted.check();
    await this.#walk.finished();
  }

  /** Resolves when every change that happened before the call was told. */
  async drained(): Promise<void> {
    do {
      await this.#watch?.drained();
      await this.#walk.finished();
      if (!this.#renames.isEmpty) await this.#renames.settle();
      await this.#doubted.checking;
    } while (!this.#isClosed && !this.#isQuiet);
  }

  get #isQuiet(): boolean {
    return this.#walk.isIdle && this.#renames.isEmpty && this.#doubted.checking === undefined;
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
    this.#doubted.add(node);
  }

  /** Resolves when every event that happened before the call was told, though half a rename may still wait. */
  async eventsTold(): Promise<void> {
    await this.#watch?.drained();
  }

  async close(): Promise<void> {
    this.#end();
    this.#early = [];
    await this.#watch?.close();
  }

  // ---- events ----

  #take(events: readonly TreeEvent[]): void {
    if (this.#isClosed) return;
    this.events += events.length;
    for (const event of events) this.#event(event);
    if (!this.#renames.isEmpty) void this.#renames.settle();
  }

  #event(event: TreeEvent): void {
    // Also those of one batch behind the one that says that the root is gone.
    if (this.#isClosed) return;
    this.#renames.next(event.kind);
    const node = this.nodes.ofWatch(event.watch);
    if (event.kind === "overflow") this.#overflow();
    else if (node === undefined) this.#keepEarly(event);
    else if (node === this.nodes.root && isEndOfRoot(event)) this.#rootGone(event.kind);
    else if (event.kind === "watchGone") this.#watchGone(node, event.watch);
    // Its directory is between two places: it is compared when it has arrived.
    else if (node.path === undefined) node.hasMissed = true;
    else if (event.kind === "several" || event.kind === "unmounted") this.#shaken(node);
    else if (event.kind === "movedSelf") this.#selfMoved(node);
    else if (event.name !== "") this.#named(node, event, joinPath(node.path, event.name));
    else if (event.kind === "attributes" && node === this.nodes.root)
      this.#change("attribute", node, { name: "", path: "", isDirectory: true });
  }

  /** Something happened in a directory, and nobody knows to which names. */
  #shaken(node: DirectoryNode): void {
    const moved = node.shake();
    this.#compare(node, "one");
    // One that went and came back looks as before, and what was read in it meanwhile was not there.
    for (const child of moved) this.#compare(child, "all");
  }

  #selfMoved(node: DirectoryNode): void {
    if (node.selfMoved()) this.#compare(node, "all");
  }

  /** Something happened to a name in a directory. */
  #named(node: DirectoryNode, event: TreeEvent, path: TreePath): void {
    // Half a rename with a name that is passed over leaves the other half alone, which is as it should be.
    if (this.#parts.isExcluded(path)) return;
    const { name, isDirectory } = event;
    if (isDirectory && event.kind !== "attributes") this.#doubted.addIfChecking(node);
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
        this.#renames.departed(node, event);
        break;
      case "movedTo":
        this.#renames.arrived(node, event);
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
    this.#doubted.check();
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
    this.#renames.endAll();
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
    this.#end();
    this.#parts.listener.lost(asRopewalkError(error));
  }

  #end(): void {
    this.#isClosed = true;
    this.#renames.close();
    this.#doubted.close();
    this.#walk.close();
  }
}

function isEndOfRoot({ kind }: TreeEvent): boolean {
  return kind === "deletedSelf" || kind === "movedSelf" || kind === "unmounted" || kind === "watchGone";
}
