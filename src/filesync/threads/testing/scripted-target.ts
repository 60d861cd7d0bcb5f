/**
 * Connections and work that do what a test says, when it says so: every call waits until it is completed, unless the
 * script says that all go through.
 */
import assert from "node:assert/strict";
import { Deferred } from "../../../base/deferred.ts";
import { RopewalkError } from "../../../base/errors.ts";
import { Prng } from "../../../base/prng.ts";
import type { TargetFile } from "../../../ports/mod.ts";
import { DirectoryNodes } from "../../capture/directory-node.ts";
import { CommandQueue } from "../../queue/command-queue.ts";
import type { Entry, EntryKind, NewEntry } from "../../queue/entry.ts";
import type { QueueSettings } from "../../queue/queue-settings.ts";
import type { TestClock } from "../../queue/testing/test-queue.ts";
import { ABILITIES } from "../../testing/abilities.ts";
import { lastName } from "../../tree-path.ts";
import type { ConnectionConfiguration, Connector, TargetAbilities, TargetConnection } from "../connection.ts";
import type { CopyResult, EntryWork, RunBudget, WorkResult } from "../entry-work.ts";
import type { ThreadEvent } from "../target-thread.ts";
import { TargetThreads } from "../target-threads.ts";
import type { ThreadSettings } from "../thread-settings.ts";

export class ScriptedConnection implements TargetConnection {
  readonly number: number;
  readonly #target: ScriptedTarget;
  readonly #closed = new Deferred<RopewalkError | undefined>();
  readonly #ended = new Deferred<never>();
  progress = 0;
  isClosed = false;
  configuration: ConnectionConfiguration | undefined;
  /** No reply comes any more, and nothing else. */
  hangs = false;

  constructor(number: number, target: ScriptedTarget) {
    this.number = number;
    this.#target = target;
  }

  get closed() {
    return this.#closed.promise;
  }

  /** What the link does when the peer is gone. */
  die(reason: RopewalkError | undefined = new RopewalkError("UNREACHABLE", "cut")): void {
    this.isClosed = true;
    this.#closed.resolve(reason);
    this.#ended.reject(reason ?? new RopewalkError("UNREACHABLE", "closed"));
  }

  /** The peer is gone; nothing, when it was closed before. */
  abandonByPeer(): void {
    if (!this.isClosed) this.die();
  }

  /** A request: answered at once, unless the connection is dead or hangs. */
  answer<T>(value: T): Promise<T> {
    if (this.isClosed || this.hangs) return this.#ended.promise;
    this.progress++;
    return Promise.resolve(value);
  }

  async hello(configuration: ConnectionConfiguration): Promise<TargetAbilities> {
    this.configuration = configuration;
    await this.#target.hello(this);
    return this.answer(ABILITIES);
  }

  keepAlive = () => this.answer(undefined);

  async apply(bundle: Uint8Array, operations: number) {
    await this.answer(undefined);
    this.#target.applied.push({ atMs: this.#target.clock.nowMs(), bytes: bundle.length });
    return { done: operations, failures: [] };
  }

  begin(): Promise<TargetFile> {
    return Promise.reject(new RopewalkError("UNSUPPORTED", "not in this script"));
  }
  hashes = () => this.answer(new Uint8Array(0));
  scan = () => this.answer({ directories: [], failures: [] });
  stat = () => this.answer([]);
  sync = () => this.answer(undefined);
  freeBytes = () => this.answer(0);

  async close(): Promise<void> {
    if (this.hangs) {
      await this.closed;
      return;
    }
    await this.#target.closing?.promise;
    if (!this.isClosed) this.die(undefined);
  }

  abandon(reason: RopewalkError): void {
    if (!this.isClosed) this.die(reason);
  }
}

/** A call of the work that waits to be completed. */
export interface WorkCall {
  readonly what: "copy" | "commands";
  readonly entries: readonly Entry[];
  readonly connection: TargetConnection;
  readonly budget: RunBudget;
  readonly number: number;
  done(more?: Partial<CopyResult>): void;
  fail(error: RopewalkError): void;
}

export interface ScriptOptions {
  readonly clock: TestClock;
  readonly threads?: number;
  readonly settings?: Partial<ThreadSettings>;
  readonly queueSettings?: Partial<QueueSettings>;
  readonly bytesPerSecond?: number;
  /** Every call of the work is done at once. */
  readonly works?: boolean;
  /** What connects end with, until it is taken away. */
  readonly refusal?: RopewalkError;
}

export class ScriptedTarget implements Connector, EntryWork {
  readonly clock: TestClock;
  readonly nodes = new DirectoryNodes();
  readonly queue: CommandQueue;
  readonly threads: TargetThreads;
  readonly connections: ScriptedConnection[] = [];
  readonly events: ThreadEvent[] = [];
  readonly calls: WorkCall[] = [];
  readonly processed: Entry[] = [];
  readonly applied: { readonly atMs: number; readonly bytes: number }[] = [];
  readonly ended: TargetConnection[] = [];
  readonly #works: boolean;
  /** Tries to connect so far, with their times. */
  tries: number[] = [];
  refusal: RopewalkError | undefined;
  /** Connections whose hello is never answered. */
  silentNumbers = new Set<number>();
  closing: Deferred | undefined;
  isUnsettled = false;
  settled = 0;

  constructor({ threads = 2, works = false, queueSettings, refusal, ...options }: ScriptOptions) {
    const { nodes } = this;
    const { clock } = options;
    const dice = new Prng(1);
    this.clock = clock;
    this.refusal = refusal;
    this.#works = works;
    this.queue = new CommandQueue({ clock, nodes, threads, settings: queueSettings });
    this.threads = new TargetThreads({
      random: { bytes: (length) => Uint8Array.from({ length }, () => dice.word()) },
      queue: this.queue,
      work: this,
      connector: this,
      configuration: {
        target: "copy",
        synchronization: new Uint8Array(16),
        modes: ["incremental"],
        deletes: "mirror",
      },
      observer: (event) => this.events.push(event),
      ...options,
    });
    this.threads.start();
  }

  append(kind: EntryKind, path = "", more: Partial<NewEntry> = {}): Entry {
    const place = { directory: this.nodes.root, name: lastName(path) };
    const entry = this.queue.append({ kind, place, path, isDirectory: false, ...more });
    assert.ok(entry !== undefined, "there was room");
    return entry;
  }

  /** Lets time pass, and all that follows from it. */
  async pass(elapsedMs = 0): Promise<void> {
    await this.clock.step(0);
    await this.clock.step(elapsedMs);
    await this.clock.step(0);
  }

  /** Stops the threads; what is in work by then is cut. */
  async stop(): Promise<void> {
    const stopped = this.threads.stop();
    await this.pass(10_000);
    await stopped;
  }

  /** The connection that thread `number` has now. */
  connection(number: number): ScriptedConnection {
    const found = this.connections.findLast((connection) => connection.number === number);
    assert.ok(found !== undefined, `thread ${number} has connected`);
    return found;
  }

  open(): number[] {
    return this.connections
      .filter(({ isClosed }) => !isClosed)
      .map(({ number }) => number)
      .sort();
  }

  /** The one call that is under way for the thread. */
  call(number: number): WorkCall {
    const found = this.calls.find((call) => call.number === number);
    assert.ok(found !== undefined, `thread ${number} works on something`);
    return found;
  }

  // Connector.

  async connect(number: number): Promise<TargetConnection> {
    this.tries.push(this.clock.nowMs());
    if (this.refusal !== undefined) throw this.refusal;
    const connection = new ScriptedConnection(number, this);
    this.connections.push(connection);
    return connection;
  }

  async hello(connection: ScriptedConnection): Promise<void> {
    if (this.silentNumbers.has(connection.number)) connection.hangs = true;
  }

  // EntryWork.

  copyRun(entries: readonly Entry[], connection: TargetConnection, budget: RunBudget): Promise<CopyResult> {
    return this.#start("copy", { entries, connection, budget });
  }

  nonSyncRun(
    entries: readonly Entry[],
    connection: TargetConnection,
    budget: RunBudget,
  ): Promise<WorkResult> {
    return this.#start("commands", { entries, connection, budget });
  }

  async settle(): Promise<void> {
    this.isUnsettled = false;
    this.settled++;
  }

  connectionOpened(): void {}

  connectionEnded(connection: TargetConnection): void {
    this.ended.push(connection);
  }

  #start(
    what: WorkCall["what"],
    given: Pick<WorkCall, "entries" | "connection" | "budget">,
  ): Promise<CopyResult> {
    const { connection, entries } = given;
    const result = new Deferred<CopyResult>();
    const end = () => {
      const at = this.calls.indexOf(call);
      if (at >= 0) this.calls.splice(at, 1);
    };
    const call: WorkCall = {
      what,
      ...given,
      number: entries[0]!.claimedBy!,
      done: (more) => {
        end();
        const nothing = { untouched: [], append: [], failures: [], putBack: [], bytes: 0 };
        const done = entries.filter(
          (entry) => !more?.putBack?.includes(entry) && !more?.untouched?.includes(entry),
        );
        this.processed.push(...done);
        result.resolve({ ...nothing, done, ...more });
      },
      fail: (error) => {
        end();
        result.reject(error);
      },
    };
    this.calls.push(call);
    void connection.closed.then((error) => call.fail(error ?? new RopewalkError("UNREACHABLE", "closed")));
    if (this.#works) call.done();
    return result.promise;
  }
}
