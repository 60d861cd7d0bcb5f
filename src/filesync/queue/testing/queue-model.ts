/**
 * A source and a target of a handful of files, and threads that are moved on one step at a time in any order: what
 * the queue's rules must keep, whatever the order is.
 *
 * A file is a version number. Each entry is worked on in two steps, what is read from the source and what is done at the
 * target, so that anything may come between. A thread's connection may die before or after its second step. What was sent of
 * a file that was put back is old only when its entry says so: the model's work does not look itself.
 */
import assert from "node:assert/strict";
import { type Entry, isControlKind, touchesCopy } from "../entry.ts";
import type { Claim } from "../schedule.ts";
import { TestQueue, type TestQueueOptions } from "./test-queue.ts";

const NAMES = ["a", "b", "c", "d"];

export interface ModelStep {
  readonly what: "write" | "rename" | "remove" | "bulk" | "work" | "part" | "die" | "dieUnheard";
  /** Which names, which thread: taken modulo what there is. */
  readonly one: number;
  readonly other: number;
}

interface ThreadWork {
  readonly claim: Claim;
  at: number;
  /** Its first step was done: what was read. */
  read: { readonly version: number | undefined; readonly names: readonly string[] } | undefined;
}

export class QueueModel {
  readonly #queue: TestQueue;
  readonly #threads: number;
  readonly #barrier: "tree" | "path";
  readonly #source = new Map<string, number>();
  readonly #target = new Map<string, number>();
  readonly #works = new Map<number, ThreadWork>();
  /** What was sent of files that were put back. */
  readonly #parts = new Map<Entry, number | undefined>();
  readonly #undone = new Set<Entry>();
  #version = 0;
  /** Names that the running bulk has still to append; undefined: none runs. */
  #bulk: string[] | undefined;

  constructor(options: TestQueueOptions & { readonly threads: number }) {
    this.#threads = options.threads;
    this.#barrier = options.settings?.barrier ?? "tree";
    this.#queue = new TestQueue({
      ...options,
      observer: { appended: (entry) => this.#undone.add(entry) },
    });
    for (const name of NAMES) this.#source.set(name, ++this.#version);
    // The target is empty: what follows happens during a first bulk.
    this.#stepBulk();
  }

  step({ what, one, other }: ModelStep): void {
    const name = NAMES[one % NAMES.length]!;
    const thread = one % this.#threads;
    if (what === "write") this.#write(name);
    else if (what === "rename") this.#rename(name, NAMES[other % NAMES.length]!);
    else if (what === "remove") this.#remove(name);
    else if (what === "bulk") this.#stepBulk();
    else if (what === "die" || what === "dieUnheard") this.#die(thread, what === "dieUnheard");
    else this.#work(thread, what === "part");
  }

  /** Nothing happens any more at the source; all that is queued is worked off, and the target must equal the source. */
  settle(): void {
    while (this.#bulk !== undefined) this.#stepBulk();
    for (let rounds = 0; !this.#queue.queue.isEmpty || this.#works.size > 0; rounds++) {
      assert.ok(rounds < 1000, "the queue comes to its end");
      for (let thread = 0; thread < this.#threads; thread++)
        this.#work(thread, rounds % 3 === 0 && rounds < 90);
    }
    assert.deepEqual([...this.#target].sort(), [...this.#source].sort(), "the target equals the source");
  }

  // The source.

  #write(name: string): void {
    this.#source.set(name, ++this.#version);
    this.#append("write", name);
  }

  #rename(from: string, to: string): void {
    const version = this.#source.get(from);
    if (version === undefined || from === to) return;
    this.#source.delete(from);
    this.#source.set(to, version);
    this.#append("rename", to, from);
  }

  #remove(name: string): void {
    if (this.#source.delete(name)) this.#append("remove", name);
  }

  #append(kind: "write" | "rename" | "remove", path: string, from?: string): void {
    const place = { directory: this.#queue.nodes.root, name: path };
    this.#queue.queue.append({ kind, place, path, from, isDirectory: false });
  }

  #stepBulk(): void {
    if (this.#bulk === undefined) {
      this.#queue.append("sync-start");
      this.#bulk = [...this.#source.keys()];
    } else if (this.#bulk.length === 0) {
      this.#queue.append("sync-finish");
      this.#bulk = undefined;
    } else this.#queue.append("sync-copy", this.#bulk.pop()!, { sizeBytes: 2 ** 21 });
  }

  // The threads.

  #die(thread: number, isUnheard: boolean): void {
    const work = this.#works.get(thread);
    // The target did it, and the reply was lost.
    if (isUnheard && work?.read !== undefined) this.#apply(work);
    for (const entry of this.#parts.keys()) if (entry.heldBy === thread) this.#parts.delete(entry);
    this.#works.delete(thread);
    this.#queue.dies(thread, work?.claim);
    for (let other = 0; other < this.#threads; other++)
      if (!this.#works.has(other) && this.#queue.queue.schedule.syncEntries > 0)
        assert.equal(this.#queue.claim(other), undefined, "F8: nobody begins before all have said hello");
    this.#queue.queue.schedule.saidHello(thread);
  }

  #work(thread: number, isPart: boolean): void {
    const work = this.#works.get(thread);
    if (work === undefined) {
      const claim = this.#queue.claim(thread);
      if (claim === undefined) return;
      this.#checkClaim(claim);
      this.#works.set(thread, { claim, at: 0, read: undefined });
      return;
    }
    if (work.read === undefined) {
      this.#read(work);
      return;
    }
    const entry = work.claim.entries[work.at]!;
    if (isPart && entry.kind === "sync-copy" && work.claim.entries.length === 1) {
      this.#parts.set(entry, work.read.version);
      this.#works.delete(thread);
      this.#queue.putBack(work.claim);
      return;
    }
    const differing = work.read.names;
    this.#apply(work);
    work.read = undefined;
    if (++work.at < work.claim.entries.length) return;
    for (const name of differing) this.#append(this.#source.has(name) ? "write" : "remove", name);
    for (const done of work.claim.entries) this.#undone.delete(done);
    this.#works.delete(thread);
    this.#queue.done(work.claim);
  }

  #read(work: ThreadWork): void {
    const entry = work.claim.entries[work.at]!;
    const names = entry.kind === "repair" ? this.#differing() : [];
    const isOld = !this.#parts.has(entry) || entry.isTouched;
    const version = isOld ? this.#source.get(entry.place!.name) : this.#parts.get(entry);
    this.#parts.delete(entry);
    work.read = { version, names };
  }

  #differing(): string[] {
    return NAMES.filter((name) => this.#source.get(name) !== this.#target.get(name));
  }

  #apply(work: ThreadWork): void {
    const entry = work.claim.entries[work.at]!;
    const { version } = work.read!;
    if (entry.kind === "remove") {
      if (version === undefined) this.#target.delete(entry.path);
      return;
    }
    if (entry.kind === "rename") {
      const moved = this.#target.get(entry.from!);
      this.#target.delete(entry.from!);
      if (moved !== undefined) this.#target.set(entry.path, moved);
    }
    const isOfFile = entry.kind === "write" || entry.kind === "sync-copy" || entry.kind === "rename";
    if (isOfFile && version !== undefined) this.#target.set(entry.path, version);
  }

  // What must hold of each claim.

  #checkClaim({ thread, entries, what }: Claim): void {
    for (const work of this.#works.values())
      for (const entry of work.claim.entries)
        assert.ok(!entries.includes(entry), "F12: an entry is worked on by one thread");
    if (what === "copy") for (const entry of entries) this.#checkCopy(thread, entry);
    else for (const entry of entries) this.#checkCommand(entry);
  }

  #checkCopy(thread: number, copy: Entry): void {
    for (const entry of this.#undone) {
      if (entry.number > copy.number || entry.kind === "sync-copy" || entry.kind === "mark") continue;
      const mayPass = this.#barrier === "path" && thread > 0 && !isControlKind(entry.kind);
      assert.ok(mayPass && !touchesCopy(entry, copy), "F6: a copy waits for the commands before it");
    }
  }

  #checkCommand(command: Entry): void {
    for (const { claim } of this.#works.values())
      for (const copy of claim.entries)
        assert.ok(
          this.#barrier === "path" && !touchesCopy(command, copy),
          "F7, F10: no copy runs while a command is processed",
        );
    if (command.kind !== "sync-finish") return;
    for (const entry of this.#undone)
      assert.ok(entry.number >= command.number, "F5: every copy is complete at the finish");
  }
}
