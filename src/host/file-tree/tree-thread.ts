/**
 * One thread that does blocking calls of directory trees, and those that wait for the next tree.
 *
 * Always holds: a thread belongs to one tree at a time, so that a file system that hangs holds up no other tree. When its tree
 * closes it is kept for a while: starting one and compiling its code again takes longer than copying thousands of small
 * files. A job ends exactly once, also when the thread dies (INTERNAL). An idle thread holds no process.
 */
import { Worker } from "node:worker_threads";
import { Deferred } from "../../base/deferred.ts";
import { type ErrorCode, RopewalkError } from "../../base/errors.ts";

/** Of each script. */
const KEPT_MAX = 8;
const KEPT_MS = 60_000;

/** To the thread. */
export interface JobMessage {
  readonly job: number;
  readonly name: string;
  readonly request: unknown;
}

/** From the thread. */
export interface JobEnd {
  readonly job: number;
  readonly result?: unknown;
  readonly error?: { readonly code: ErrorCode; readonly sentence: string };
}

export const END_OF_JOBS = "end";

const kept = new Map<string, TreeThread[]>();

export class TreeThread {
  readonly #script: URL;
  readonly #worker: Worker;
  readonly #jobs = new Map<number, Deferred<unknown>>();
  #nextJob = 1;
  #isDead = false;
  /** While it is kept. */
  #ending: NodeJS.Timeout | undefined;

  private constructor(script: URL) {
    this.#script = script;
    this.#worker = new Worker(script);
    this.#worker.unref();
    this.#worker.on("message", (end: JobEnd) => this.#ended(end));
    this.#worker.on("error", (error) => this.#died(error));
    this.#worker.on("exit", () => this.#died(undefined));
  }

  /** One that was kept, or a new one. */
  static take(script: URL): TreeThread {
    const thread = kept.get(script.href)?.pop();
    if (thread === undefined) return new TreeThread(script);
    clearTimeout(thread.#ending);
    return thread;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Jobs under way. */
  get jobs(): number {
    return this.#jobs.size;
  }

  run(name: string, request: unknown, transfer: readonly ArrayBuffer[]): Promise<unknown> {
    const ended = new Deferred<unknown>();
    const message: JobMessage = { job: this.#nextJob++, name, request };
    this.#worker.postMessage(message, transfer);
    if (this.#jobs.size === 0) this.#worker.ref();
    this.#jobs.set(message.job, ended);
    return ended.promise;
  }

  /** Its tree needs it no more; no job is under way. */
  leave(): void {
    if (this.#isDead) return;
    const others = kept.get(this.#script.href) ?? [];
    if (others.length >= KEPT_MAX) {
      this.#end();
      return;
    }
    kept.set(this.#script.href, [...others, this]);
    this.#ending = setTimeout(() => {
      this.#forget();
      this.#end();
    }, KEPT_MS).unref();
  }

  /** By itself: one that is cut off in a call could abort the process. */
  #end(): void {
    this.#worker.postMessage(END_OF_JOBS);
  }

  #forget(): void {
    const others = kept.get(this.#script.href) ?? [];
    kept.set(
      this.#script.href,
      others.filter((other) => other !== this),
    );
  }

  #ended(end: JobEnd): void {
    const job = this.#jobs.get(end.job);
    this.#jobs.delete(end.job);
    if (this.#jobs.size === 0) this.#worker.unref();
    if (end.error === undefined) job?.resolve(end.result);
    else job?.reject(new RopewalkError(end.error.code, end.error.sentence));
  }

  #died(cause: unknown): void {
    this.#isDead = true;
    clearTimeout(this.#ending);
    this.#forget();
    for (const job of this.#jobs.values())
      job.reject(
        new RopewalkError("INTERNAL", "A thread of a directory tree ended; the call was not done.", {
          cause,
        }),
      );
    this.#jobs.clear();
  }
}
