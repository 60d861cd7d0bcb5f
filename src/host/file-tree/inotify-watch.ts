/**
 * A tree's watch: inotify instances, and the thread that reads them.
 *
 * Always holds: events reach the listener in batches, on this thread, in the order in which the kernel queued them in
 * their group. If the reader dies, an overflow of every group is told, and every later call fails (INTERNAL).
 */
import { close } from "node:fs";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { TreeEvent, TreeWatch } from "../../ports/mod.ts";
import { treeCalls } from "./tree-calls.ts";
import { decodeEvents, decodeJoined, overflowOfGroups } from "./tree-events.ts";
import { createBell, createGroups, unwatch } from "./watch-groups.ts";
import { WATCH_WORDS, type WatchMessage, type WatchThreadStart, WatchWord } from "./watch-words.ts";

const closeDescriptor = promisify(close);
const RING = Buffer.from(BigUint64Array.of(1n).buffer);

export class InotifyWatch implements TreeWatch {
  /** Descriptors of inotify; good only within `whileOpen`. */
  readonly groups: readonly number[];
  readonly #bell: number;
  readonly #words = new Int32Array(new SharedArrayBuffer(4 * WATCH_WORDS));
  readonly #worker: Worker;
  readonly #listener: (events: readonly TreeEvent[]) => void;
  readonly #ready = new Deferred();
  readonly #ended = new Deferred();
  readonly #drains = new Map<number, Deferred>();
  readonly #underWay = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;
  #hasDied = false;

  /** WATCH_LIMIT */
  constructor(options: { groups: number; listener: (events: readonly TreeEvent[]) => void }) {
    this.#listener = options.listener;
    this.groups = createGroups(options.groups);
    this.#bell = createBell(this.groups);
    const start: WatchThreadStart = { groups: this.groups, bell: this.#bell, words: this.#words.buffer };
    this.#worker = new Worker(new URL("./watch-thread.ts", import.meta.url), { workerData: start });
    this.#worker.on("message", (message: WatchMessage) => this.#take(message));
    this.#worker.on("error", (error) => this.#died(error));
    this.#worker.on("exit", () => {
      if (this.#closing === undefined) this.#died(undefined);
      this.#ended.resolve();
    });
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  async drained(): Promise<void> {
    this.#checkOpen();
    const drained = new Deferred();
    const request = Atomics.add(this.#words, WatchWord.drain, 1) + 1;
    this.#drains.set(request, drained);
    Atomics.notify(this.#words, WatchWord.drain);
    this.#ring();
    await drained.promise;
  }

  remove(watches: readonly number[]): void {
    if (this.#closing !== undefined) return;
    for (const watch of watches) unwatch(this.groups, watch);
  }

  /** What sets watches: the descriptors stay open until it has ended. */
  async whileOpen<Result>(call: () => Promise<Result>): Promise<Result> {
    this.#checkOpen();
    const ended = call();
    this.#underWay.add(ended);
    try {
      return await ended;
    } finally {
      this.#underWay.delete(ended);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    // A thread that is still starting looks at the word before anything else.
    if (!this.#hasDied) {
      Atomics.store(this.#words, WatchWord.ending, 1);
      Atomics.add(this.#words, WatchWord.drain, 1);
      Atomics.notify(this.#words, WatchWord.drain);
      this.#ring();
      await this.#ended.promise;
    }
    // The thread leaves them open: they must not become other files' while this one is still used.
    // Closed by Node's threads, because that frees every watch.
    await Promise.all([...this.groups, this.#bell].map((fd) => closeDescriptor(fd)));
    this.#failDrains(new RopewalkError("SHUTTING_DOWN", "The watch is closed."));
  }

  #take(message: WatchMessage): void {
    if ("ready" in message) this.#ready.resolve();
    else if ("drained" in message) this.#resolveDrains(message.drained);
    else if ("joined" in message) this.#hand(decodeJoined(message.joined), message.joined.length / 2);
    else this.#hand(decodeEvents(message), message.count);
  }

  #hand(events: readonly TreeEvent[], count: number): void {
    if (events.length > 0 && this.#closing === undefined) this.#listener(events);
    Atomics.add(this.#words, WatchWord.taken, count);
    if (Atomics.load(this.#words, WatchWord.joining) === 1) this.#ring();
  }

  #resolveDrains(last: number): void {
    for (const [request, drained] of this.#drains) {
      if (request > last) continue;
      this.#drains.delete(request);
      drained.resolve();
    }
  }

  #failDrains(error: RopewalkError): void {
    for (const drained of this.#drains.values()) drained.reject(error);
    this.#drains.clear();
  }

  #died(cause: unknown): void {
    if (this.#hasDied) return;
    this.#hasDied = true;
    const error = new RopewalkError("INTERNAL", "The thread that reads file events ended.", { cause });
    this.#ready.reject(error);
    this.#failDrains(error);
    if (this.#closing === undefined) this.#listener(overflowOfGroups(this.groups.length));
  }

  #checkOpen(): void {
    if (this.#hasDied) throw new RopewalkError("INTERNAL", "The thread that reads file events has ended.");
    if (this.#closing !== undefined) throw new RopewalkError("SHUTTING_DOWN", "The watch is closed.");
  }

  #ring(): void {
    treeCalls.write(this.#bell, RING);
  }
}
