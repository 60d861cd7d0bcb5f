/**
 * The full feature phase of a session's one connection: each PDU to whom it concerns (RFC 7143, 4.2 and section 11).
 *
 * Always holds: requests with a number are taken in its order, immediate ones at once; after a logout nothing more is
 * taken. Throws PROTOCOL_ERROR, which ends the connection (error recovery level 0).
 */
import { RopewalkError } from "../../base/errors.ts";
import {
  type AdditionalHeaders,
  AsyncEvent,
  type DataOutPdu,
  InitiatorOpcode,
  type InitiatorPdu,
  LogoutReason,
  type LogoutRequestPdu,
  LogoutResponse,
  NO_TAG,
  type NopOutPdu,
  RejectReason,
  type ScsiCommandPdu,
  TaskFunction,
  TaskFunctionResponse,
  type TaskManagementRequestPdu,
  type TextRequestPdu,
} from "../../wire/iscsi/mod.ts";
import type { ByteAccount, ChunkPool, ReplyQueue } from "../stream/mod.ts";
import { CommandWindow } from "./command-window.ts";
import type { IscsiCounters } from "./counters.ts";
import { DataCollector } from "./data-collector.ts";
import type { DiscoveryWorld } from "./discovery.ts";
import type { IscsiLimits } from "./limits.ts";
import type { LoggedIn } from "./login.ts";
import type { PduReader, PduSink, Segment, SegmentPlace } from "./pdu-reader.ts";
import type { PduWriter } from "./pdu-writer.ts";
import { ReplySender } from "./reply-sender.ts";
import type { ScsiNexus, ScsiTarget } from "./scsi-target.ts";
import type { SessionEntry } from "./session-table.ts";
import { Task } from "./task.ts";
import { manageTasks } from "./task-management.ts";
import { TaskSet } from "./task-set.ts";
import { TextExchange } from "./text-exchange.ts";

export interface FullFeatureWorld {
  readonly reader: PduReader;
  readonly replies: ReplyQueue;
  readonly writer: PduWriter;
  readonly pool: ChunkPool;
  readonly limits: IscsiLimits;
  readonly counters: IscsiCounters;
  readonly account: ByteAccount;
  readonly waitingAccount: ByteAccount;
  readonly discovery: () => DiscoveryWorld;
  /** All sessions of the same target. */
  readonly sessions: () => readonly SessionEntry[];
  /** Something ended outside of the reading of a PDU. */
  readonly progressed: () => void;
  /** The connection ends once what is queued was sent. */
  readonly finish: () => void;
  readonly report: (sentence: string) => void;
}

/** The SCSI side of a normal session. */
interface NormalSession {
  readonly nexus: ScsiNexus;
  readonly scsi: ScsiTarget;
  readonly tasks: TaskSet;
  readonly collector: DataCollector;
}

export class FullFeature implements PduSink {
  readonly #world: FullFeatureWorld;
  readonly #loggedIn: LoggedIn;
  readonly #window: CommandWindow;
  readonly #sender: ReplySender;
  readonly #text: TextExchange;
  readonly #normal: NormalSession | undefined;
  /** Task management functions in work. */
  #managing = 0;
  #isLeaving = false;
  #pingTag = 0;

  constructor(loggedIn: LoggedIn, nexus: ScsiNexus | undefined, world: FullFeatureWorld) {
    this.#world = world;
    this.#loggedIn = loggedIn;
    this.#window = new CommandWindow(loggedIn.commandNumber);
    this.#sender = new ReplySender({
      writer: world.writer,
      window: this.#window,
      counters: world.counters,
      parameters: loggedIn.parameters,
      statusNumber: loggedIn.statusNumber,
      free: () => this.#normal?.tasks.free ?? world.limits.commandsMax,
    });
    this.#text = new TextExchange(this.#sender, world.limits, world.discovery);
    if (nexus !== undefined && loggedIn.target !== undefined)
      this.#normal = this.#begin(nexus, loggedIn.target.scsi);
    this.#window.open(world.limits.commandsMax);
  }

  #begin(nexus: ScsiNexus, scsi: ScsiTarget): NormalSession {
    const { limits, account, pool, counters, waitingAccount, progressed, report } = this.#world;
    const sender = this.#sender;
    const tasks = new TaskSet({ scsi, limits, account, sender, progressed, report });
    const collector = new DataCollector({
      pool,
      limits,
      counters,
      account,
      waitingAccount,
      sender,
      ready: (task) => tasks.ready(task),
      reject: (reason) => this.#reject(reason),
      progressed,
    });
    scsi.opened(nexus);
    return { nexus, scsi, tasks, collector };
  }

  get tasks(): TaskSet | undefined {
    return this.#normal?.tasks;
  }

  get nexus(): ScsiNexus | undefined {
    return this.#normal?.nexus;
  }

  /** Nothing is in work. */
  get isIdle(): boolean {
    return (this.#normal?.tasks.isIdle ?? true) && this.#managing === 0;
  }

  /** The initiator owes data-out. */
  get isOwedData(): boolean {
    for (const task of this.#normal?.tasks ?? [])
      if (task.state === "collecting" && task.transfer?.isOwed) return true;
    return false;
  }

  /** Gives up data-out that is still to come, so that others have its memory. */
  forfeit(): void {
    const normal = this.#normal;
    if (normal === undefined) return;
    normal.collector.forfeit(normal.tasks, this.#world.reader.arrivingChunk);
    this.#world.progressed();
  }

  /** A number is missing in the order of requests. */
  get hasGap(): boolean {
    return this.#window.hasGap;
  }

  /** The connection is gone. Resolves when the session's nexus holds nothing any more. */
  async close(): Promise<void> {
    this.#isLeaving = true;
    this.#window.clear();
    const normal = this.#normal;
    if (normal === undefined) return;
    await normal.tasks.close();
    normal.scsi.closed(normal.nexus);
  }

  /** Takes no more requests; data-out that is still to come is given up, what runs is answered. */
  finish(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    void this.#normal?.tasks.abort((task) => task.state === "collecting");
  }

  /** Asks the initiator to log out within `seconds`. */
  requestLogout(seconds: number): void {
    this.#sender.event(AsyncEvent.logoutRequested, { parameter3: seconds });
  }

  /** Tells the initiator that the connection is about to go. */
  announceEnd(): void {
    this.#sender.event(AsyncEvent.connectionDropped, { parameter1: this.#loggedIn.connectionId });
  }

  ping(): void {
    this.#pingTag = (this.#pingTag + 1) % NO_TAG;
    this.#sender.ping(this.#pingTag);
  }

  ready(): boolean {
    return !this.#isLeaving && this.#world.replies.unpaidBytes < this.#world.limits.replyBytesMax;
  }

  place(pdu: InitiatorPdu): SegmentPlace {
    if (pdu.opcode !== InitiatorOpcode.dataOut || this.#normal === undefined) return "window";
    return this.#normal.collector.place(this.#normal.tasks.find(pdu.initiatorTaskTag), pdu);
  }

  take(pdu: InitiatorPdu, additional: AdditionalHeaders, segment: Segment): void {
    switch (pdu.opcode) {
      case InitiatorOpcode.scsiCommand:
        this.#inOrder(pdu, segment, () => this.#command(pdu, additional, segment));
        return;
      case InitiatorOpcode.dataOut:
        this.#dataOut(pdu, segment);
        return;
      case InitiatorOpcode.snackRequest:
        this.#reject(RejectReason.snackReject);
        return;
      case InitiatorOpcode.loginRequest:
        throw violation("a login request in the full feature phase");
      default:
        if (!segment.isIntact) this.#reject(RejectReason.dataDigestError);
        else this.#inOrder(pdu, segment, () => this.#request(pdu, segment));
    }
  }

  unknown(): void {
    this.#reject(RejectReason.commandNotSupported);
  }

  #request(
    pdu: NopOutPdu | TextRequestPdu | LogoutRequestPdu | TaskManagementRequestPdu,
    segment: Segment,
  ): void {
    switch (pdu.opcode) {
      case InitiatorOpcode.nopOut:
        // Without a tag it is the answer to a ping, or only says which answers have come.
        if (pdu.initiatorTaskTag !== NO_TAG) this.#sender.pong(pdu, segment.bytes);
        return;
      case InitiatorOpcode.textRequest: {
        const reason = this.#text.take(pdu, segment.bytes);
        if (reason !== undefined) this.#reject(reason);
        return;
      }
      case InitiatorOpcode.logoutRequest:
        this.#logout(pdu);
        return;
      case InitiatorOpcode.taskManagementRequest:
        this.#manage(pdu);
    }
  }

  /** Calls `action` when it is the request's turn; never for one outside the window. */
  #inOrder(
    pdu: { readonly immediate: boolean; readonly commandNumber: number },
    segment: Segment,
    action: () => void,
  ): void {
    if (pdu.immediate) {
      action();
      return;
    }
    if (!this.#window.admits(pdu.commandNumber)) return;
    // On one connection nothing overtakes; what comes too early is kept only while it needs no memory.
    if (pdu.commandNumber !== this.#window.expected && segment.bytes.length > 0)
      throw violation("a request with data came before its turn");
    this.#window.deliver(pdu.commandNumber, action);
  }

  #command(pdu: ScsiCommandPdu, additional: AdditionalHeaders, segment: Segment): void {
    const normal = this.#normal;
    if (normal === undefined) {
      this.#reject(RejectReason.commandNotSupported);
      return;
    }
    const { nexus, scsi, tasks, collector } = normal;
    if (pdu.initiatorTaskTag === NO_TAG || tasks.find(pdu.initiatorTaskTag) !== undefined) {
      this.#reject(RejectReason.taskInProgress);
      return;
    }
    if (pdu.immediate && tasks.immediates >= this.#world.limits.immediateMax) {
      this.#reject(RejectReason.tooManyImmediateCommands);
      return;
    }
    this.#world.counters.commands++;
    const task = new Task(pdu, additional, {
      nexus,
      pool: this.#world.pool,
      dataOutBytes: (lun, cdb) => (pdu.write || pdu.expectedBytes === 0 ? scsi.dataOutBytes(lun, cdb) : 0),
    });
    tasks.add(task);
    const reply = collector.begin(task, segment);
    if (reply !== undefined) tasks.answer(task, reply);
  }

  #dataOut(pdu: DataOutPdu, segment: Segment): void {
    const normal = this.#normal;
    if (normal === undefined) {
      this.#reject(RejectReason.commandNotSupported);
      return;
    }
    normal.collector.arrived(normal.tasks.find(pdu.initiatorTaskTag), pdu, segment);
  }

  #manage(pdu: TaskManagementRequestPdu): void {
    const normal = this.#normal;
    if (normal === undefined) {
      this.#reject(RejectReason.commandNotSupported);
      return;
    }
    if (this.#managing >= this.#world.limits.immediateMax) {
      this.#reject(RejectReason.tooManyImmediateCommands);
      return;
    }
    this.#managing++;
    const { sessions, report, progressed } = this.#world;
    manageTasks(pdu, { ...normal, window: this.#window, sessions })
      .catch((error: unknown) => {
        report(`task management failed: ${error instanceof Error ? error.message : String(error)}`);
        return TaskFunctionResponse.rejected;
      })
      .then((response) => {
        this.#managing--;
        this.#sender.taskManaged(pdu.initiatorTaskTag, response);
        const isCold = pdu.function === TaskFunction.targetColdReset;
        if (isCold && response === TaskFunctionResponse.complete)
          for (const session of sessions()) session.finish();
        progressed();
      });
  }

  #logout(pdu: LogoutRequestPdu): void {
    const { connectionId } = this.#loggedIn;
    if (pdu.reason === LogoutReason.removeForRecovery) {
      this.#sender.loggedOut(pdu.initiatorTaskTag, LogoutResponse.recoveryNotSupported);
      return;
    }
    if (pdu.reason > LogoutReason.removeForRecovery) {
      this.#reject(RejectReason.invalidPduField);
      return;
    }
    if (pdu.reason === LogoutReason.closeConnection && pdu.connectionId !== connectionId) {
      this.#sender.loggedOut(pdu.initiatorTaskTag, LogoutResponse.connectionNotFound);
      return;
    }
    this.#isLeaving = true;
    void Promise.resolve(this.#normal?.tasks.close()).then(() => {
      this.#sender.loggedOut(pdu.initiatorTaskTag, LogoutResponse.closed);
      this.#world.finish();
    });
  }

  /** The PDU that was taken last breaks the protocol, and the connection ends. */
  rejectViolation(): void {
    this.#reject(RejectReason.protocolError);
  }

  /** Rejects the PDU that was taken last. */
  #reject(reason: number): void {
    this.#sender.reject(reason, this.#world.reader.lastHeader);
  }
}

function violation(sentence: string): RopewalkError {
  return new RopewalkError("PROTOCOL_ERROR", sentence);
}
