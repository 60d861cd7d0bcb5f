/**
 * The commands of one session: who is there, whose turn it is, what the device server has in work.
 *
 * Always holds: commands reach the device server in the order of their numbers, as far as their data-out and memory are
 * there: one that waits for these does not hold up those behind it, unless one of the two is ORDERED (SAM-5, 8.6).
 * Each is answered once, or aborted.
 */
import { AssertionFailed } from "../../base/assert.ts";
import { SenseKey, sense, TaskAttribute } from "../../wire/iscsi/mod.ts";
import type { ByteAccount } from "../stream/mod.ts";
import type { IscsiLimits } from "./limits.ts";
import type { ReplySender } from "./reply-sender.ts";
import { type ScsiReply, ScsiStatus, type ScsiTarget } from "./scsi-target.ts";
import type { Task } from "./task.ts";

export interface TaskSetWorld {
  readonly scsi: ScsiTarget;
  readonly limits: IscsiLimits;
  readonly account: ByteAccount;
  readonly sender: ReplySender;
  /** Something ended outside of the reading of a PDU. */
  readonly progressed: () => void;
  /** The device server failed in a way that it should not. */
  readonly report: (sentence: string) => void;
}

/** INTERNAL TARGET FAILURE */
const TARGET_FAILURE: ScsiReply = {
  status: ScsiStatus.checkCondition,
  sense: sense(SenseKey.hardwareError, 0x44, 0x00),
};

export class TaskSet {
  readonly #world: TaskSetWorld;
  /** Tasks that are not over, in the order of their arrival, by initiator task tag. */
  readonly #tasks = new Map<number, Task>();
  /** Tasks that are not over and came in the order of commands. */
  #numbered = 0;
  #ordered = 0;
  /** Commands that the device server has, aborted ones among them. */
  #running = 0;
  #isOrdering = false;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(world: TaskSetWorld) {
    this.#world = world;
  }

  /** Numbered commands that there is room for. */
  get free(): number {
    return Math.max(0, this.#world.limits.commandsMax - Math.max(this.#numbered, this.#running));
  }

  get immediates(): number {
    return this.#tasks.size - this.#numbered;
  }

  get isIdle(): boolean {
    return this.#running === 0 && this.#tasks.size === 0;
  }

  get isRunning(): boolean {
    return this.#running > 0;
  }

  find(tag: number): Task | undefined {
    return this.#tasks.get(tag);
  }

  [Symbol.iterator](): IterableIterator<Task> {
    return this.#tasks.values();
  }

  /** Adds a task whose tag nobody has. */
  add(task: Task): void {
    this.#tasks.set(task.tag, task);
    if (!task.pdu.immediate) this.#numbered++;
    if (task.isOrdered) this.#ordered++;
  }

  /** All data of the task is there. */
  ready(task: Task): void {
    task.state = "waiting";
    if (this.#ordered === 0) this.#start(task);
    else this.#startInOrder();
  }

  /** Answers a task that the device server need not see. */
  answer(task: Task, reply: ScsiReply): void {
    task.state = "over";
    this.#remove(task);
    task.release();
    this.#world.sender.scsiReply(task, reply);
    this.#startInOrder();
  }

  /**
   * Aborts the tasks that `concerns` names; resolves when the device server has let go of all of them. With a reply they
   * are answered, as is due to initiators that did not ask for it.
   */
  async abort(concerns: (task: Task) => boolean, reply?: ScsiReply): Promise<void> {
    const ending: Promise<void>[] = [];
    for (const task of [...this.#tasks.values()]) {
      if (!concerns(task)) continue;
      const isRunning = task.state === "running";
      task.abort();
      this.#remove(task);
      if (isRunning) ending.push(task.whenEnded());
      else task.release();
      if (reply !== undefined) this.#world.sender.scsiReply(task, reply);
    }
    this.#startInOrder();
    this.#world.progressed();
    await Promise.all(ending);
  }

  /** Aborts all tasks; resolves when the device server has nothing in work any more. */
  async close(): Promise<void> {
    await this.abort(() => true);
    if (this.#running === 0) return;
    this.#idle ??= Promise.withResolvers<void>();
    await this.#idle.promise;
  }

  #remove(task: Task): void {
    if (!this.#tasks.delete(task.tag)) return;
    if (!task.pdu.immediate) this.#numbered--;
    if (task.isOrdered) this.#ordered--;
  }

  /** Starts the tasks whose turn it is while some are ORDERED. */
  #startInOrder(): void {
    if (this.#isOrdering) return;
    this.#isOrdering = true;
    for (let again = true; again; ) {
      again = false;
      let hasOlder = false;
      let isBarred = false;
      for (const task of this.#tasks.values()) {
        const isDue =
          task.pdu.attribute === TaskAttribute.headOfQueue || (task.isOrdered ? !hasOlder : !isBarred);
        if (isDue && task.state === "waiting" && task.request === undefined) {
          this.#start(task);
          again = true;
          break;
        }
        hasOlder = true;
        if (task.isOrdered) isBarred = true;
      }
    }
    this.#isOrdering = false;
  }

  /** Hands a task to the device server once there is memory for its answer. */
  #start(task: Task): void {
    const { account, limits, progressed } = this.#world;
    const bytes = Math.min(task.dataInBytesMax, limits.commandBytesMax);
    if (task.refusal !== undefined || bytes === 0 || account.take(bytes)) {
      if (task.refusal === undefined) task.readCharge = bytes;
      this.#run(task);
      return;
    }
    const granted = () => {
      task.request = undefined;
      task.readCharge = bytes;
      this.#run(task);
      progressed();
    };
    const request = { bytes, granted };
    task.request = { account, request };
    account.request(request);
  }

  #run(task: Task): void {
    task.state = "running";
    this.#running++;
    let reply: ScsiReply | Promise<ScsiReply>;
    try {
      reply = task.refusal ?? this.#world.scsi.execute(task);
    } catch (error) {
      reply = this.#failure(error);
    }
    if (!(reply instanceof Promise)) {
      this.#ended(task, reply);
      return;
    }
    reply
      .catch((error: unknown) => this.#failure(error))
      .then((late) => {
        this.#ended(task, late);
        this.#world.progressed();
      });
  }

  #failure(error: unknown): ScsiReply {
    if (error instanceof AssertionFailed) throw error;
    this.#world.report(`a command failed: ${error instanceof Error ? error.message : String(error)}`);
    return TARGET_FAILURE;
  }

  #ended(task: Task, reply: ScsiReply): void {
    this.#running--;
    const { account, sender } = this.#world;
    task.release();
    if (task.state === "over") {
      account.give(task.readCharge);
    } else {
      task.state = "over";
      this.#remove(task);
      // What is sent is paid for until it has left.
      const sentBytes = Math.min(reply.dataIn?.length ?? 0, task.dataInBytesMax);
      if (sentBytes > task.readCharge) account.overdraw(sentBytes - task.readCharge);
      else account.give(task.readCharge - sentBytes);
      sender.scsiReply(task, reply);
    }
    task.readCharge = 0;
    task.releaseDataIn();
    task.ended();
    if (this.#ordered > 0) this.#startInOrder();
    if (this.#running === 0) this.#idle?.resolve();
  }
}
