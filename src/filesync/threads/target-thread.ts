/**
 * One thread of a target: a task that opens its connection, works on what the queue lets it claim, and closes.
 *
 * Always holds: it has one claim at a time, or several of small copies beside each other; a connection is used for entries
 * only after its hello was answered (F8), and is closed only between entries (F11). Nothing is dropped: what fails as a whole
 * is tried again, later and later, each time over a new connection. Only a defect of the program ends the task with an error.
 */
import { AssertionFailed } from "../../base/assert.ts";
import { asRopewalkError, RopewalkError } from "../../base/errors.ts";
import type { Clock, FileFailure, Random } from "../../ports/mod.ts";
import { sourcePathOf } from "../capture/change.ts";
import type { CommandQueue } from "../queue/command-queue.ts";
import { type Claim, MAIN_THREAD } from "../queue/schedule.ts";
import { Backoff } from "./backoff.ts";
import type { Bandwidth } from "./bandwidth.ts";
import type { Connector, TargetConfiguration, TargetConnection } from "./connection.ts";
import { ConnectionWatch } from "./connection-watch.ts";
import type { EntryWork, RunBudget } from "./entry-work.ts";
import { LimitedConnection, type SentBytes } from "./limited-connection.ts";
import type { ThreadSettings } from "./thread-settings.ts";
import type { WakeUp } from "./wake-up.ts";

/** Told in the same turn; for figures, and for the simulator. */
export type ThreadEvent =
  | { readonly type: "connected" | "closed"; readonly thread: number }
  /** The connection, or the try to make one, or work as a whole, has failed. */
  | { readonly type: "failed"; readonly thread: number; readonly error: RopewalkError }
  | { readonly type: "claimed" | "finished" | "freed"; readonly thread: number; readonly claim: Claim }
  | { readonly type: "fileFailed"; readonly failure: FileFailure };

/** What the threads of a target have in common. */
export interface ThreadSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly queue: CommandQueue;
  readonly work: EntryWork;
  readonly connector: Connector;
  readonly configuration: TargetConfiguration;
  readonly settings: ThreadSettings;
  readonly bandwidth: Bandwidth;
  readonly sent: SentBytes;
  readonly wakeUp: WakeUp;
  readonly tell: (event: ThreadEvent) => void;
  isPaused: boolean;
  isStopping: boolean;
}

export class TargetThread {
  readonly number: number;
  readonly #around: ThreadSurroundings;
  readonly #backoff: Backoff;
  #connection: TargetConnection | undefined;
  /** A connection that is being closed. */
  #closing: TargetConnection | undefined;
  #watch: ConnectionWatch | undefined;
  /** The connection said hello. */
  #isOpen = false;
  /** The connection has ended by itself. */
  #isLost = false;
  /** Claims of small copies that are worked on. */
  readonly #copying = new Set<Promise<void>>();
  /** Those of them that failed as a whole: freed when the connection is gone and nothing is under way on it. */
  #failedClaims: Claim[] = [];
  #defect: AssertionFailed | undefined;
  #giveUpConnecting: ((reason: RopewalkError) => void) | undefined;
  #openedMs = 0;
  #retryAtMs = 0;

  constructor(number: number, around: ThreadSurroundings) {
    this.number = number;
    this.#around = around;
    const { retryMsFirst, retryMsLast } = around.settings;
    this.#backoff = new Backoff(around.random, { firstMs: retryMsFirst, lastMs: retryMsLast });
  }

  get isConnected(): boolean {
    return this.#isOpen && !this.#isLost;
  }

  /** Why it waits to try again; undefined: it does not. */
  error: RopewalkError | undefined;

  /** Until the threads are stopped. */
  async run(): Promise<void> {
    const { clock, queue, wakeUp } = this.#around;
    while (!this.#around.isStopping) {
      // From before it looks for work, so that what comes meanwhile is not missed.
      const change = wakeUp.wait();
      if (this.#defect !== undefined) throw this.#defect;
      if (this.#isLost || this.#failedClaims.length > 0) await this.#giveUpConnection();
      if (clock.nowMs() < this.#retryAtMs) await this.#waitForRetry();
      else if (!queue.schedule.isWanted(this.number, clock.nowMs())) await this.#closeAndWait();
      else if (this.#connection === undefined) await this.#open();
      else if (!(await this.#workOnce(this.#connection))) await change;
    }
    await this.#copied();
    await this.#close();
  }

  /** Cuts the connection, so that what hangs on it ends. */
  abandon(reason: RopewalkError): void {
    this.#giveUpConnecting?.(reason);
    this.#connection?.abandon(reason);
    this.#closing?.abandon(reason);
  }

  // The connection.

  async #open(): Promise<void> {
    const { clock, configuration, connector, queue, settings, tell, work } = this.#around;
    try {
      const below = await this.#inTime(connector.connect(this.number));
      const connection = new LimitedConnection(below, this.#around);
      this.#connection = connection;
      this.#watch = new ConnectionWatch(connection, { clock, ...settings });
      void connection.closed.then((error) => this.#ended(connection, error));
      if (this.#around.isStopping) return;
      const role = this.number === MAIN_THREAD ? "main" : "sync";
      const abilities = await connection.hello({ ...configuration, role, number: this.number });
      if (this.#isLost) throw new RopewalkError("UNREACHABLE", "The target closed the connection.");
      this.#isOpen = true;
      this.#openedMs = clock.nowMs();
      this.error = undefined;
      work.connectionOpened(connection, abilities);
      queue.schedule.saidHello(this.number);
      tell({ type: "connected", thread: this.number });
      this.#around.wakeUp.wake();
    } catch (error) {
      this.#failed(error);
      this.#connection?.abandon(this.error!);
      this.#dropConnection();
    }
  }

  /** A connect that hangs is given up; a connection that comes later is cut. */
  #inTime(connecting: Promise<TargetConnection>): Promise<TargetConnection> {
    const { clock, settings } = this.#around;
    return new Promise((resolve, reject) => {
      let late: RopewalkError | undefined;
      const giveUp = (reason: RopewalkError) => {
        late = reason;
        settled();
        reject(reason);
      };
      const timer = clock.after(settings.replyTimeoutMs, () =>
        giveUp(new RopewalkError("TIMEOUT", "The target could not be reached in time.")),
      );
      const settled = () => {
        timer.cancel();
        this.#giveUpConnecting = undefined;
      };
      this.#giveUpConnecting = giveUp;
      connecting.then(
        (connection) => {
          if (late !== undefined) return connection.abandon(late);
          settled();
          resolve(connection);
        },
        (error) => {
          if (late !== undefined) return;
          settled();
          reject(error);
        },
      );
    });
  }

  #ended(connection: TargetConnection, error: RopewalkError | undefined): void {
    if (this.#connection !== connection) return;
    this.#isLost = true;
    // Unless it was given up, for a reason that was told.
    if (this.#isOpen && this.#failedClaims.length === 0)
      this.#failed(error ?? new RopewalkError("UNREACHABLE", "The target closed the connection."));
    this.#around.wakeUp.wake();
  }

  /** Everything that is under way on it fails, and may then be claimed again. */
  async #giveUpConnection(): Promise<void> {
    await this.#copied();
    this.#dropConnection();
    const claims = this.#failedClaims;
    this.#failedClaims = [];
    for (const claim of claims) this.#free(claim);
  }

  /** Nothing is under way on it any more. */
  #dropConnection(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#watch?.end();
    this.#connection = undefined;
    this.#isLost = false;
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#around.queue.schedule.closed(this.number);
    this.#around.work.connectionEnded(connection);
    this.#around.tell({ type: "closed", thread: this.number });
    this.#around.wakeUp.wake();
  }

  /** Its schedule says that it has no claim and holds no file. */
  async #close(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return;
    // From here on an end of the connection is no failure.
    this.#connection = undefined;
    const wasOpen = this.#isOpen;
    this.#isOpen = false;
    this.#isLost = false;
    if (wasOpen) {
      this.#around.queue.schedule.closed(this.number);
      this.#around.work.connectionEnded(connection);
    }
    this.#closing = connection;
    await connection.close();
    this.#closing = undefined;
    this.#watch?.end();
    if (wasOpen) this.#around.tell({ type: "closed", thread: this.number });
  }

  async #closeAndWait(): Promise<void> {
    if (this.#connection === undefined) await this.#around.wakeUp.wait();
    else {
      await this.#copied();
      await this.#close();
    }
  }

  // The work.

  /** False: there is nothing to do. */
  async #workOnce(connection: TargetConnection): Promise<boolean> {
    const { isPaused, queue, tell, work } = this.#around;
    if (isPaused) return false;
    const claim = queue.claim(this.number);
    if (claim === undefined) {
      if (this.number !== MAIN_THREAD || this.#copying.size > 0 || !work.isUnsettled) return false;
      await this.#tried(() => work.settle(connection));
      return true;
    }
    tell({ type: "claimed", thread: this.number, claim });
    if (queue.schedule.isShort(claim)) this.#copy(claim, connection);
    else if (!(await this.#tried(() => this.#workOn(claim, connection)))) this.#free(claim);
    return true;
  }

  #free(claim: Claim): void {
    this.#around.queue.free(claim);
    this.#around.tell({ type: "freed", thread: this.number, claim });
  }

  /** Beside others: while results of one are taken in, more are under way. */
  #copy(claim: Claim, connection: TargetConnection): void {
    const copying = this.#workOn(claim, connection)
      .then(
        () => this.#wentWell(),
        (error: unknown) => {
          if (error instanceof AssertionFailed) this.#defect ??= error;
          else if (!this.#isLost && this.#failedClaims.length === 0) this.#failed(error);
          this.#failedClaims.push(claim);
          connection.abandon(asRopewalkError(error));
        },
      )
      .then(() => {
        this.#copying.delete(copying);
        this.#around.wakeUp.wake();
      });
    this.#copying.add(copying);
  }

  async #copied(): Promise<void> {
    await Promise.all(this.#copying);
  }

  async #workOn(claim: Claim, connection: TargetConnection): Promise<void> {
    const { queue, tell, work } = this.#around;
    const budget = this.#budget();
    const { result, outcome } =
      claim.what === "copy"
        ? await copies(work.copyRun(claim.entries, connection, budget))
        : await commands(work.nonSyncRun(claim.entries, connection, budget));
    // Before the claim is finished: what a repair found stands in the queue when a mark behind it may be reached.
    for (const entry of result.append) {
      // At the end of the queue a place is called as it is now, not as when it was found.
      const path = entry.place === undefined ? entry.path : sourcePathOf(entry.place);
      if (path !== undefined) queue.append({ ...entry, path });
      else entry.place?.directory.miss(entry.depth ?? "one");
    }
    for (const failure of result.failures) tell({ type: "fileFailed", failure });
    queue.finish(claim, outcome);
    tell({ type: "finished", thread: this.number, claim });
  }

  #budget(): RunBudget {
    const { clock, queue, settings } = this.#around;
    const endMs = clock.nowMs() + settings.sliceMs;
    return {
      mustEnd: () =>
        this.#around.isPaused ||
        this.#around.isStopping ||
        (queue.schedule.commandWaits() && clock.nowMs() >= endMs),
    };
  }

  /**
   * Whether it went well; else it is tried again after a while, over another connection: on this one, even if it lives,
   * requests may be under way that nobody waits for. Only the next hello says that they are over, so it is dropped
   * before its claim is freed.
   */
  async #tried(action: () => Promise<void>): Promise<boolean> {
    try {
      await action();
      this.#wentWell();
      return true;
    } catch (error) {
      if (!this.#isLost) this.#failed(error);
      this.#connection?.abandon(asRopewalkError(error));
      this.#dropConnection();
      return false;
    }
  }

  #wentWell(): void {
    if (this.#failedClaims.length > 0) return;
    this.#backoff.succeeded();
    this.error = undefined;
  }

  #failed(error: unknown): void {
    if (error instanceof AssertionFailed) throw error;
    const { clock, settings, tell } = this.#around;
    // One that lived for long is no sign that the next try is hopeless.
    if (this.#isOpen && clock.nowMs() - this.#openedMs > settings.retryMsLast) this.#backoff.succeeded();
    this.error = asRopewalkError(error);
    this.#retryAtMs = clock.nowMs() + this.#backoff.nextMs();
    tell({ type: "failed", thread: this.number, error: this.error });
  }

  async #waitForRetry(): Promise<void> {
    const { clock, wakeUp } = this.#around;
    const timer = clock.after(this.#retryAtMs - clock.nowMs(), () => wakeUp.wake());
    await wakeUp.wait();
    timer.cancel();
  }
}

async function copies(running: ReturnType<EntryWork["copyRun"]>) {
  const result = await running;
  const { bytes, done, putBack, untouched } = result;
  return { result, outcome: { done, putBack, untouched, bytes } };
}

async function commands(running: ReturnType<EntryWork["nonSyncRun"]>) {
  const result = await running;
  const { done, untouched } = result;
  return { result, outcome: { done, untouched, bytes: 0 } };
}
