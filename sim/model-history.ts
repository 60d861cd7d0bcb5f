/**
 * The pool's one order as the simulator knows it: every operation with its sequence, and what was promised
 * about it.
 *
 * Always holds: `current` is the state after the last operation. After a crash the pool must stand at one
 * sequence: not below what was promised, not above what was appended. `recoverTo` takes the model there.
 */
import { CheckFailed } from "./check-failed.ts";
import { type Operation, PoolModel } from "./pool-model.ts";
import type { UnitContent } from "./unit-content.ts";

export class ModelHistory {
  current: PoolModel;
  /** Every operation that is still in the order. */
  readonly operations: Operation[] = [];
  /** The state after the first `#settledCount` operations, which nothing can undo. */
  #settled: PoolModel;
  #settledCount = 0;
  /** Survives everything. */
  durableFloor = 0;
  /** Survives the death of the process. */
  writtenFloor = 0;
  /** The power failed since the pool was last open. */
  #powerFailed = false;
  /** A disk call failed, so that "written" means nothing any more. */
  diskFailed = false;

  constructor(content: UnitContent) {
    this.current = new PoolModel(content);
    this.#settled = new PoolModel(content);
  }

  /** The same history, to go on differently from here. */
  copy(): ModelHistory {
    const copy = new ModelHistory(this.current.content);
    copy.operations.push(...this.operations);
    copy.current = this.current.copy();
    copy.#settled = this.#settled.copy();
    copy.#settledCount = this.#settledCount;
    copy.durableFloor = this.durableFloor;
    copy.writtenFloor = this.writtenFloor;
    copy.#powerFailed = this.#powerFailed;
    copy.diskFailed = this.diskFailed;
    return copy;
  }

  get lastSequence(): number {
    return this.operations.at(-1)?.sequence ?? 0;
  }

  append(operation: Operation): void {
    if (operation.sequence <= this.lastSequence)
      throw new CheckFailed(
        "order",
        `sequence ${operation.sequence} was appended after ${this.lastSequence}`,
      );
    this.operations.push(operation);
    this.current.apply(operation);
  }

  promiseWritten(sequence: number): void {
    this.writtenFloor = Math.max(this.writtenFloor, sequence);
  }

  promiseDurable(sequence: number): void {
    this.durableFloor = Math.max(this.durableFloor, sequence);
    this.promiseWritten(sequence);
  }

  crashed(powerFailed: boolean): void {
    if (powerFailed) this.#powerFailed = true;
  }

  /** The pool was opened and stands at `sequence`: checks the promises and drops what did not survive. */
  recoverTo(sequence: number): void {
    const floor = this.#powerFailed || this.diskFailed ? this.durableFloor : this.writtenFloor;
    if (sequence < floor) {
      const kind = floor === this.durableFloor ? "durable" : "written";
      throw new CheckFailed("lost", `recovered to ${sequence}, but ${floor} was acknowledged as ${kind}`);
    }
    const kept = this.operations.findLastIndex((operation) => operation.sequence <= sequence) + 1;
    const dropped = this.operations.length - kept;
    this.operations.length = kept;
    for (; this.#settledCount < kept; this.#settledCount++)
      this.#settled.apply(this.operations[this.#settledCount]!);
    this.#settled.endProcess();
    if (dropped > 0 || this.#powerFailed) this.current = this.#settled.copy();
    else this.current.endProcess();
    this.#powerFailed = false;
    this.diskFailed = false;
    this.writtenFloor = sequence;
    this.durableFloor = sequence;
  }
}
