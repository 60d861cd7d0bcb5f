/**
 * Inotify and its reader: groups of watches, each with a bounded queue in the kernel, and a thread that hands events over
 * late and in batches.
 *
 * Always holds: events of one group keep their order; between groups there is none. Equal events that follow one another
 * are one. A full queue loses events and tells so once (`overflow`). A reader that fell behind hands over joined events.
 */
import { checksum } from "../../src/base/checksum.ts";
import { RopewalkError } from "../../src/base/errors.ts";
import {
  type Clock,
  sleep,
  type TreeEvent,
  type TreePath,
  type TreeWatch,
  WATCH_GROUP_SPAN,
} from "../../src/ports/mod.ts";
import { OWN_PREFIX } from "../../src/wire/filesync/mod.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import type { SimulatedInode } from "./simulated-inode.ts";
import type { SimulatedTree, TreeNotice } from "./simulated-tree.ts";

export interface InotifyOptions {
  readonly clock: Clock;
  readonly random: SimulatedRandom;
  readonly groups: number;
  /** Events that the kernel keeps of one group. */
  readonly queueMax: number;
  readonly watchesMax: number;
  /** The reader looks at a group after so long at most. */
  readonly readMsMax: number;
  /** How often a read is joined. */
  readonly joinChance: number;
}

export interface InotifyCounts {
  events: number;
  overflows: number;
  joined: number;
}

interface Group {
  readonly number: number;
  readonly watches: Map<SimulatedInode, number>;
  queue: TreeEvent[];
  isReading: boolean;
}

/** What tells more than that something happened in a directory. */
const selfKinds: readonly TreeEvent["kind"][] = [
  "attributes",
  "movedSelf",
  "deletedSelf",
  "unmounted",
  "watchGone",
];

export class SimulatedInotify implements TreeWatch {
  readonly #options: InotifyOptions;
  readonly #tree: SimulatedTree;
  readonly #listener: (events: readonly TreeEvent[]) => void;
  readonly #counts: InotifyCounts;
  readonly #groups: Group[];
  /** In the order in which the watches had something; undefined: nothing is joined. */
  #joined = new Map<number, Set<TreeEvent["kind"]>>();
  #lastWatch = 0;
  #watches = 0;
  #isClosed = false;

  constructor(
    tree: SimulatedTree,
    listener: (events: readonly TreeEvent[]) => void,
    options: InotifyOptions,
    counts: InotifyCounts,
  ) {
    this.#tree = tree;
    this.#listener = listener;
    this.#options = options;
    this.#counts = counts;
    this.#groups = Array.from({ length: options.groups }, (_, number) => ({
      number,
      watches: new Map(),
      queue: [],
      isReading: false,
    }));
    tree.notify = (notice) => this.#noticed(notice);
  }

  /** WATCH_LIMIT */
  add(path: TreePath, directory: SimulatedInode): number {
    const slash = path.indexOf("/");
    const top = slash < 0 ? path : path.slice(0, slash);
    const number = top === "" ? 0 : checksum(Buffer.from(top, "latin1")) % this.#groups.length;
    const { watches } = this.#groups[number]!;
    let watch = watches.get(directory);
    if (watch === undefined) {
      if (this.#watches >= this.#options.watchesMax)
        throw new RopewalkError("WATCH_LIMIT", "No further directory can be watched.");
      this.#watches++;
      watches.set(directory, (watch = number * WATCH_GROUP_SPAN + ++this.#lastWatch));
    }
    return watch;
  }

  async drained(): Promise<void> {
    const { clock, random } = this.#options;
    // What happens after the call may come too, as with a reader that is slow.
    await sleep(clock, random.fraction());
    for (const group of this.#groups) this.#read(group);
    this.#handJoined();
    await sleep(clock, random.fraction() * 0.2);
  }

  remove(watches: readonly number[]): void {
    for (const watch of watches) {
      const group = this.#groups[Math.floor(watch / WATCH_GROUP_SPAN)]!;
      for (const [inode, each] of group.watches) {
        if (each !== watch) continue;
        this.#forget(group, inode, watch);
        break;
      }
    }
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#tree.notify = undefined;
    return Promise.resolve();
  }

  #forget(group: Group, inode: SimulatedInode, watch: number): void {
    group.watches.delete(inode);
    this.#watches--;
    this.#queue(group, { watch, name: "", kind: "watchGone", isDirectory: true, cookie: 0 });
  }

  // ---- the kernel ----

  #noticed({ directory, name, kind, isDirectory, cookie }: TreeNotice): void {
    for (const group of this.#groups) {
      const watch = group.watches.get(directory);
      if (watch === undefined) continue;
      if (kind === "watchGone") this.#forget(group, directory, watch);
      else this.#queue(group, { watch, name, kind, isDirectory, cookie });
    }
  }

  #queue(group: Group, event: TreeEvent): void {
    const { queue } = group;
    const last = queue.at(-1);
    if (last !== undefined && isSame(last, event)) return;
    if (last?.kind === "overflow" && queue.length > this.#options.queueMax) return;
    if (queue.length < this.#options.queueMax) queue.push(event);
    else {
      this.#counts.overflows++;
      queue.push({
        watch: -1,
        name: "",
        kind: "overflow",
        isDirectory: false,
        cookie: 0,
        group: group.number,
      });
    }
    this.#readLater(group);
  }

  // ---- the reader ----

  #readLater(group: Group): void {
    if (group.isReading) return;
    group.isReading = true;
    const { clock, random, readMsMax } = this.#options;
    const delayMs = random.chance(0.7) ? random.fraction() : random.fraction() * readMsMax;
    clock.after(delayMs, () => {
      group.isReading = false;
      this.#read(group);
    });
  }

  #read(group: Group): void {
    if (this.#isClosed) return;
    const events = group.queue.filter(({ name }) => !name.startsWith(OWN_PREFIX));
    group.queue = [];
    if (events.length === 0) return;
    this.#counts.events += events.length;
    const { clock, random, joinChance } = this.#options;
    if (this.#joined.size > 0 || random.chance(joinChance)) {
      if (this.#joined.size === 0) clock.after(random.fraction() * 5, () => this.#handJoined());
      for (const event of events) this.#join(event);
    } else this.#listener(events);
  }

  #join({ kind, name, watch, group }: TreeEvent): void {
    this.#counts.joined++;
    const key = kind === "overflow" ? -1 - group! : watch;
    let kinds = this.#joined.get(key);
    if (kinds === undefined) this.#joined.set(key, (kinds = new Set()));
    kinds.add(name === "" && selfKinds.includes(kind) ? kind : "several");
  }

  #handJoined(): void {
    if (this.#joined.size === 0 || this.#isClosed) return;
    const events: TreeEvent[] = [];
    const base = { name: "", cookie: 0 };
    for (const [key, kinds] of this.#joined) {
      if (key < 0) events.push({ ...base, watch: -1, kind: "overflow", isDirectory: false, group: -1 - key });
      else
        for (const kind of ["several", ...selfKinds] as const)
          if (kinds.has(kind)) events.push({ ...base, watch: key, kind, isDirectory: true });
    }
    this.#joined = new Map();
    this.#listener(events);
  }
}

function isSame(one: TreeEvent, other: TreeEvent): boolean {
  return (
    one.watch === other.watch &&
    one.kind === other.kind &&
    one.name === other.name &&
    one.cookie === other.cookie &&
    one.isDirectory === other.isDirectory
  );
}
