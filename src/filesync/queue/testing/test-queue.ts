/** A queue for tests: its threads have said hello, its source has one directory, its clock stands still. */
import assert from "node:assert/strict";
import type { Clock } from "../../../ports/mod.ts";
import { DirectoryNodes } from "../../capture/directory-node.ts";
import { lastName } from "../../tree-path.ts";
import { CommandQueue, type QueueObserver } from "../command-queue.ts";
import type { Entry, EntryKind, NewEntry } from "../entry.ts";
import type { QueueSettings } from "../queue-settings.ts";
import type { Claim } from "../schedule.ts";

/** A clock that stands still until it is stepped. */
export interface TestClock extends Clock {
  step(elapsedMs: number): Promise<void>;
  /** Timers that wait. */
  readonly pending: number;
}

export interface TestQueueOptions {
  readonly clock: TestClock;
  readonly threads?: number;
  readonly settings?: Partial<QueueSettings>;
  readonly plants?: ReadonlySet<string>;
  readonly observer?: QueueObserver;
  /** Threads that have not said hello. */
  readonly silent?: readonly number[];
}

export class TestQueue {
  readonly clock: TestClock;
  readonly nodes = new DirectoryNodes();
  readonly queue: CommandQueue;

  constructor({ threads = 2, silent = [], ...options }: TestQueueOptions) {
    this.clock = options.clock;
    this.queue = new CommandQueue({ nodes: this.nodes, threads, ...options });
    for (let thread = 0; thread < threads; thread++)
      if (!silent.includes(thread)) this.queue.schedule.saidHello(thread);
  }

  /** Appends an entry of a file of the root directory, or of another directory's path. */
  append(kind: EntryKind, path = "", more: Partial<NewEntry> = {}): Entry {
    const place = { directory: this.nodes.root, name: lastName(path) };
    const entry = this.queue.append({ kind, place, path, isDirectory: false, ...more });
    assert.ok(entry !== undefined, "there was room");
    return entry;
  }

  copies(...paths: string[]): Entry[] {
    return paths.map((path) => this.append("sync-copy", path));
  }

  /** What the thread gets; undefined: it waits. */
  claim(thread: number): Claim | undefined {
    return this.queue.claim(thread);
  }

  /** It gets exactly these. */
  claims(thread: number, ...entries: Entry[]): Claim {
    const claim = this.queue.claim(thread);
    assert.deepEqual(
      claim?.entries.map(({ kind, number }) => ({ kind, number })),
      entries.map(({ kind, number }) => ({ kind, number })),
    );
    return claim!;
  }

  waits(thread: number): void {
    assert.equal(this.queue.claim(thread), undefined, `thread ${thread} waits`);
  }

  done(claim: Claim): void {
    this.queue.finish(claim, { done: claim.entries, bytes: 0 });
  }

  /** A part of its one large file was sent. */
  putBack(claim: Claim): void {
    this.queue.finish(claim, { done: [], putBack: claim.entries, bytes: 0 });
  }

  /** The thread's connection dies and says hello again. */
  dies(thread: number, claim: Claim | undefined): void {
    if (claim !== undefined) this.queue.free(claim);
    this.queue.schedule.closed(thread);
  }
}
