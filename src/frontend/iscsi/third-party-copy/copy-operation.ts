/**
 * One copy, from the command that begins it until its result is discarded.
 *
 * Always holds: it ends once, with a status that is final; afterwards nothing of it changes. It stops by its signal,
 * which an abort of the task, COPY OPERATION ABORT, a reset or the end of the session raises.
 */
import { Deferred } from "../../../base/deferred.ts";
import { encodeSense, type SenseData } from "../../../wire/iscsi/scsi/mod.ts";
import { type CopyStatus, OperationStatus } from "../../../wire/iscsi/third-party-copy/mod.ts";
import { ScsiStatus } from "../scsi-target.ts";
import type { CopyUnit } from "../unit/third-party-copy.ts";

const NO_SENSE = new Uint8Array();

export class CopyOperation {
  readonly serviceAction: number;
  readonly unit: CopyUnit;
  /** In blocks of the unit. */
  transferBlocks = 0;
  segmentsProcessed = 0;
  token: Uint8Array | undefined;
  /** By the monotonic clock; undefined while it runs. */
  endedAtMs: number | undefined;
  #status: number = OperationStatus.inForeground;
  #completionStatus: number = ScsiStatus.good;
  #sense: Uint8Array = NO_SENSE;
  #counter = 0;
  readonly #abort = new AbortController();
  readonly #ended = new Deferred();

  constructor(serviceAction: number, unit: CopyUnit) {
    this.serviceAction = serviceAction;
    this.unit = unit;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get isRunning(): boolean {
    return this.endedAtMs === undefined;
  }

  get status(): CopyStatus {
    return {
      serviceAction: this.serviceAction,
      status: this.#status,
      operationCounter: this.#counter,
      transferBlocks: this.transferBlocks,
      segmentsProcessed: this.segmentsProcessed,
      completionStatus: this.#completionStatus,
      sense: this.#sense,
    };
  }

  /** The command has been answered, the copy goes on. */
  goBackground(): void {
    this.#status = OperationStatus.inBackground;
  }

  /** Some of its work was done: what the operation counter counts. */
  advance(): void {
    this.#counter = (this.#counter + 1) & 0xffff;
  }

  stop(): void {
    this.#abort.abort();
  }

  end(status: number, nowMs: number): void {
    this.#status = status;
    this.endedAtMs = nowMs;
    this.#ended.resolve();
  }

  fail(sense: SenseData, nowMs: number): void {
    this.#sense = encodeSense(sense, "fixed");
    this.#completionStatus = ScsiStatus.checkCondition;
    this.end(this.signal.aborted ? OperationStatus.terminated : OperationStatus.error, nowMs);
  }
}
