/**
 * What of the log is with the kernel and not durable, and the syncs that make it so.
 *
 * Always holds: one sync runs at a time and covers what was written when it began; all who ask meanwhile share the
 * next one. A sync that fails is told once, and nothing retries.
 */
import { Deferred } from "../../base/deferred.ts";
import type { RopewalkError } from "../../base/errors.ts";
import type { PoolCounters } from "../pool-api.ts";
import type { Segment } from "./segment.ts";
import type { Segments } from "./segments.ts";

/** A sync of so much may take the kernel tens of milliseconds. */
const HEAVY_BYTES = 8 * 1024 * 1024;

export interface LogSyncsOptions {
  readonly segments: Segments;
  readonly counters: PoolCounters;
  readonly plants: ReadonlySet<string> | undefined;
  /** Everything up to a sequence is on the disk; returns why it does not count, if the log failed meanwhile. */
  readonly arrived: (sequence: number) => RopewalkError | undefined;
  /** A sync failed; returns what to tell. */
  readonly fail: (error: unknown) => RopewalkError;
  /** Those who waited were told. */
  readonly ended: () => void;
}

export class LogSyncs {
  readonly #options: LogSyncsOptions;
  /** Segments that a sync has to cover, with the bytes that are with the kernel and not durable. */
  readonly #unsynced = new Map<Segment, number>();
  #unsyncedBytes = 0;
  /** Those who wait for the next sync. */
  #waiting: Deferred | undefined;
  #running: Deferred | undefined;
  #runningBytes = 0;

  constructor(options: LogSyncsOptions) {
    this.#options = options;
  }

  /** Bytes that no sync has been begun for. */
  get unsyncedBytes(): number {
    return this.#unsyncedBytes;
  }

  /** Whether there is nothing, not even a header or footer, that no sync has been begun for. */
  get isClean(): boolean {
    return this.#unsynced.size === 0;
  }

  get isWanted(): boolean {
    return this.#waiting !== undefined;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  get isHeavy(): boolean {
    return this.#running !== undefined && this.#runningBytes >= HEAVY_BYTES;
  }

  /** The end of the sync that runs, if one does. */
  whenEnded(): Promise<void> | undefined {
    return this.#running?.promise;
  }

  /** The end of the next sync. */
  wait(): Promise<void> {
    this.#waiting ??= new Deferred();
    return this.#waiting.promise;
  }

  /** So many bytes, perhaps none that count, were written to a segment. */
  wrote(segment: Segment, bytes: number): void {
    this.#unsynced.set(segment, (this.#unsynced.get(segment) ?? 0) + bytes);
    this.#unsyncedBytes += bytes;
  }

  /** Syncs everything that was written, up to `sequence`. None runs. */
  begin(sequence: number): void {
    const waiting = this.#waiting ?? new Deferred();
    this.#waiting = undefined;
    this.#run([...this.#unsynced.keys()], sequence, waiting);
  }

  /** Syncs all segments but one, up to `sequence`; false when there is no other. None runs. */
  beginWithout(current: Segment, sequence: number): boolean {
    const segments = [...this.#unsynced.keys()].filter((segment) => segment !== current);
    if (segments.length === 0) return false;
    this.#run(segments, sequence, new Deferred());
    return true;
  }

  #run(segments: readonly Segment[], sequence: number, waiting: Deferred): void {
    const { counters, plants, arrived, fail, ended } = this.#options;
    this.#runningBytes = 0;
    for (const segment of segments) {
      this.#runningBytes += this.#unsynced.get(segment)!;
      this.#unsynced.delete(segment);
    }
    this.#unsyncedBytes -= this.#runningBytes;
    this.#running = waiting;
    counters.syncs += 1;
    const skip = plants?.has("skip-sync") && counters.syncs % 3 === 0;
    const done = skip
      ? Promise.resolve([])
      : Promise.all(segments.map((segment) => this.#options.segments.sync(segment)));
    done.then(
      () => {
        this.#running = undefined;
        const failed = arrived(sequence);
        if (failed !== undefined) {
          waiting.reject(failed);
          return;
        }
        waiting.resolve();
        ended();
      },
      (error) => {
        this.#running = undefined;
        waiting.reject(fail(error));
      },
    );
  }

  /** Those who wait are told that nothing will be synced any more. */
  reject(error: RopewalkError): void {
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}
