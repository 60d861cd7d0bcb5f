// Changes at the source at a steady pace, and when each is seen at the target: by inotify on the target's directories,
// then by reading the file, in one process with one clock.
//
// Always holds: a latency goes from the end of the write (the file is closed) to the sight of its content, or of a newer
// one of the same file, under its own name. A change that never comes ends the measurement with an error.
import { type FSWatcher, readFileSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Arrivals } from "./latencies.ts";
import { directoryName, fileName, type ManyFiles } from "./many-files.ts";

/** Directories that changes happen in, spread over the tree. */
const DIRECTORIES = 50;
/** So many files of each directory are written over in turn. */
const FILES = 10;
/** Each so-manieth change makes a new file. */
const CREATE_EVERY = 4;
const CONTENT_BYTES = 4096;
/** Lengths differ from change to change: Unison looks at whole seconds and lengths only. */
const LENGTHS = 997;
/** How long the last changes may take to come. */
const PATIENCE_MS = 120_000;
/** Contents whose events were lost are found by reading so often. */
const SWEEP_MS = 250;

export interface TreePair {
  readonly source: string;
  readonly target: string;
  readonly files: ManyFiles;
}

let changes = 0;

export class LiveChanges implements Disposable {
  readonly #pair: TreePair;
  readonly #directories: readonly string[];
  readonly #watchers: readonly FSWatcher[];
  readonly #arrivals = new Arrivals();

  constructor(pair: TreePair) {
    this.#pair = pair;
    const count = Math.min(DIRECTORIES, pair.files.directories);
    const step = Math.floor(pair.files.directories / count);
    this.#directories = Array.from({ length: count }, (_, index) => directoryName(index * step));
    this.#watchers = this.#directories.map((directory) =>
      watch(join(pair.target, directory), (_event, name) => {
        if (name !== null) this.#look(`${directory}/${name}`);
      }),
    );
  }

  /** Changes until `isOver`, then waits for the last ones. Milliseconds of each. */
  async run({
    perSecond,
    isOver,
  }: {
    perSecond: number;
    isOver: (elapsedMs: number) => boolean;
  }): Promise<number[]> {
    const startedMs = performance.now();
    for (let index = 0; !isOver(performance.now() - startedMs); index++) {
      const dueMs = startedMs + (index * 1000) / perSecond;
      const waitMs = dueMs - performance.now();
      // Also where there is nothing to wait for: events of the target are to be taken.
      await delay(Math.max(0, waitMs));
      this.#change();
    }
    await this.#arrived();
    return this.#arrivals.latenciesMs;
  }

  /** One change, and how long it took: whoever replicates is awake then. */
  async probe({ patienceMs, isHopeless }: { patienceMs: number; isHopeless: () => boolean }): Promise<void> {
    this.#change();
    await this.#arrived(patienceMs, isHopeless);
    this.#arrivals.latenciesMs.length = 0;
  }

  #change(): void {
    const change = ++changes;
    const turn = Math.floor(change / this.#directories.length);
    const directory = this.#directories[change % this.#directories.length]!;
    const name =
      change % CREATE_EVERY === 0
        ? `live-${String(change).padStart(8, "0")}`
        : fileName(turn % Math.min(FILES, this.#pair.files.filesEach));
    const path = `${directory}/${name}`;
    writeFileSync(join(this.#pair.source, path), contentOf(change));
    this.#arrivals.written(path, change, performance.now());
  }

  #look(path: string): void {
    if (!this.#arrivals.isWaiting(path)) return;
    const change = changeIn(join(this.#pair.target, path));
    if (change !== undefined) this.#arrivals.seen(path, change, performance.now());
  }

  async #arrived(patienceMs = PATIENCE_MS, isHopeless = () => false): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    let sweepMs = performance.now() + SWEEP_MS;
    for (let paths = this.#arrivals.paths; paths.length > 0; paths = this.#arrivals.paths) {
      if (performance.now() > deadlineMs || isHopeless())
        throw new Error(`changes of ${paths.length} files did not come to the target, first ${paths[0]}`);
      await delay(2);
      if (performance.now() < sweepMs) continue;
      sweepMs = performance.now() + SWEEP_MS;
      for (const path of paths) this.#look(path);
    }
  }

  [Symbol.dispose](): void {
    for (const watcher of this.#watchers) watcher.close();
  }
}

/** Undefined where the file is not there, or is not one of ours yet. */
function changeIn(path: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
  const [, number] = /^(\d+)\n\.+$/.exec(text) ?? [];
  return number !== undefined && text === contentOf(Number(number)) ? Number(number) : undefined;
}

function contentOf(change: number): string {
  return `${change}\n`.padEnd(CONTENT_BYTES + (change % LENGTHS), ".");
}
