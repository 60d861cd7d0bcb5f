/**
 * SANITIZE (SBC-3, 4.11 and 5.24): a long change of the whole unit, during which it is not ready.
 *
 * Always holds: at most one runs; it goes on whatever becomes of its task, its nexus or by a reset; once it failed,
 * the medium is out of reach until another one succeeds or, if the failed one allowed it, failure mode is exited. That
 * one has begun is durable before anything is changed, and forgotten only after success is durable: so one that a
 * restart, a crash or a power cut ended has failed.
 *
 * What it can promise: afterwards nothing that was on the unit can be read through the unit. Overwriting writes new
 * blocks of the pool, where a disk would write in place; the blocks before them, and those of erased ranges, are
 * free for reuse, but bytes of theirs stay on the pool's disk until then, and snapshots, clones and tokens of the
 * volume keep what they stand for. There is no key to be thrown away: a cryptographic erase is a block erase.
 */

import { CheckCondition, SenseKey } from "../../../wire/iscsi/scsi/mod.ts";
import type { UnfinishedSanitize, UnitRecord } from "./unit-record.ts";

/** How far it is, from 0 to 1, is told through the callback. */
export type SanitizeWork = (progress: (done: number) => void) => Promise<void>;

export class SanitizeOperation {
  readonly #record: Pick<UnitRecord, "saveSanitize">;
  #progress: number | undefined;
  #failure: UnfinishedSanitize | undefined;

  constructor(record: Pick<UnitRecord, "saveSanitize">) {
    this.#record = record;
  }

  /** What was stored: one that did not come to its end has failed. Before anything else. */
  restore(unfinished: UnfinishedSanitize | undefined): void {
    this.#failure = unfinished;
  }

  /** From 0 to 1 while it runs. */
  get progress(): number | undefined {
    return this.#progress;
  }

  /** What all commands on the medium end with while it runs, and after it failed. */
  checkReady(): void {
    // LOGICAL UNIT NOT READY, SANITIZE IN PROGRESS.
    if (this.#progress !== undefined) {
      throw new CheckCondition(SenseKey.notReady, 0x04, 0x1b, { progress: this.#progress });
    }
    // SANITIZE COMMAND FAILED.
    if (this.#failure !== undefined) throw new CheckCondition(SenseKey.mediumError, 0x31, 0x03);
  }

  /**
   * The unit is not ready from the call on. Resolves once it is durable that it has begun, with a promise of its end;
   * rejects when that cannot be stored: then nothing was changed.
   */
  async begin(work: SanitizeWork, options: UnfinishedSanitize): Promise<{ readonly ended: Promise<void> }> {
    this.#progress = 0;
    try {
      await this.#record.saveSanitize(options);
    } catch (error) {
      this.#progress = undefined;
      throw error;
    }
    return { ended: this.#run(work, options) };
  }

  async #run(work: SanitizeWork, options: UnfinishedSanitize): Promise<void> {
    try {
      await work((done) => (this.#progress = done));
      await this.#record.saveSanitize(undefined);
      this.#failure = undefined;
    } catch (error) {
      this.#failure = options;
      throw error;
    } finally {
      this.#progress = undefined;
    }
  }

  /** EXIT FAILURE MODE. */
  async exitFailureMode(): Promise<void> {
    if (this.#failure === undefined) return;
    if (!this.#failure.exitAllowed) throw new CheckCondition(SenseKey.mediumError, 0x31, 0x03);
    await this.#record.saveSanitize(undefined);
    this.#failure = undefined;
  }
}
