/**
 * SANITIZE (SBC-3, 4.11 and 5.24): a long change of the whole unit, during which it is not ready.
 *
 * Always holds: at most one runs; it goes on whatever becomes of its task, its nexus or by a reset; once it failed,
 * the medium is out of reach until another one succeeds or, if the failed one allowed it, failure mode is exited.
 *
 * What it can promise: afterwards nothing that was on the unit can be read through the unit. Overwriting writes new
 * blocks of the pool, where a disk would write in place; the blocks before them, and those of erased ranges, are
 * free for reuse, but bytes of theirs stay on the pool's disk until then, and snapshots, clones and tokens of the
 * volume keep what they stand for. A restart of the daemon ends the operation where it is. There is no key to be thrown away: a cryptographic erase is a block erase.
 */

import { CheckCondition, SenseKey } from "../../../wire/iscsi/scsi/mod.ts";

/** How far it is, from 0 to 1, is told through the callback. */
export type SanitizeWork = (progress: (done: number) => void) => Promise<void>;

export class SanitizeOperation {
  #progress: number | undefined;
  #failure: { readonly exitAllowed: boolean } | undefined;

  /** From 0 to 1 while it runs. */
  get progress(): number | undefined {
    return this.#progress;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
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

  /** Resolves when it is done; the unit is not ready from the call on. */
  async run(work: SanitizeWork, options: { readonly exitAllowed: boolean }): Promise<void> {
    this.#progress = 0;
    try {
      await work((done) => (this.#progress = done));
      this.#failure = undefined;
    } catch (error) {
      this.#failure = options;
      throw error;
    } finally {
      this.#progress = undefined;
    }
  }

  /** EXIT FAILURE MODE. */
  exitFailureMode(): void {
    if (this.#failure?.exitAllowed === false) throw new CheckCondition(SenseKey.mediumError, 0x31, 0x03);
    this.#failure = undefined;
  }
}
