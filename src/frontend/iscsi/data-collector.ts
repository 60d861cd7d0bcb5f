/**
 * Brings the data-out of a session's commands together: in place where one PDU has all of it, else in memory of the
 * command's own that long segments are received into.
 *
 * Always holds: no R2T is sent before there is memory for all that the command takes; unsolicited data that finds
 * no memory waits in a share of its own, or its command is answered TASK SET FULL; so is one whose memory was taken back,
 * once the initiator has sent what it was asked for (RFC 7143, 11.4). Throws PROTOCOL_ERROR.
 */
import { RopewalkError } from "../../base/errors.ts";
import { type DataOutPdu, NO_TAG, RejectReason, SenseKey, sense } from "../../wire/iscsi/mod.ts";
import type { ByteAccount, Chunk, ChunkPool } from "../stream/mod.ts";
import type { IscsiCounters } from "./counters.ts";
import { DataOutTransfer } from "./data-out-transfer.ts";
import type { IscsiLimits } from "./limits.ts";
import type { Segment, SegmentPlace } from "./pdu-reader.ts";
import type { ReplySender } from "./reply-sender.ts";
import { type ScsiReply, ScsiStatus } from "./scsi-target.ts";
import type { Task } from "./task.ts";

export interface CollectorWorld {
  readonly pool: ChunkPool;
  readonly limits: IscsiLimits;
  readonly counters: IscsiCounters;
  readonly account: ByteAccount;
  /** The share of unsolicited data that waits for memory. */
  readonly waitingAccount: ByteAccount;
  readonly sender: ReplySender;
  /** All data of the task is there. */
  readonly ready: (task: Task) => void;
  /** Rejects the PDU that was taken last. */
  readonly reject: (reason: number) => void;
  /** Something was sent outside of the reading of a PDU. */
  readonly progressed: () => void;
}

/** From this length on a segment is received where it stays; below, copying costs less than another read. */
const DIRECT_BYTES_MIN = 16 * 1024;
/** RFC 7143, 11.4.7.2: PROTOCOL SERVICE CRC ERROR. */
const CRC_ERROR: ScsiReply = {
  status: ScsiStatus.checkCondition,
  sense: sense(SenseKey.abortedCommand, 0x47, 0x05),
};
/** INVALID FIELD IN CDB */
const TOO_LONG: ScsiReply = {
  status: ScsiStatus.checkCondition,
  sense: sense(SenseKey.illegalRequest, 0x24, 0x00),
};
const NO_MEMORY: ScsiReply = { status: ScsiStatus.taskSetFull };

export class DataCollector {
  readonly #world: CollectorWorld;
  #nextTag = 0;

  constructor(world: CollectorWorld) {
    this.#world = world;
  }

  /** Takes a command with its immediate data. Returns an answer when that is known already. */
  begin(task: Task, segment: Segment): ScsiReply | undefined {
    const { limits, sender, account, waitingAccount } = this.#world;
    const { immediateData, initialR2T, burstBytes, firstBurstBytes, readyToTransferMax } = sender.parameters;
    const immediateBytes = segment.bytes.length;
    const isUnsolicitedOpen = !task.pdu.final;
    if (immediateBytes > 0 && !immediateData) throw violation("immediate data was not negotiated");
    if (isUnsolicitedOpen && (initialR2T || !task.pdu.write))
      throw violation("unsolicited data was not negotiated");
    const neededBytes = task.neededOutBytes;
    const transfer = new DataOutTransfer(
      { expectedBytes: task.expectedOutBytes, neededBytes, immediateBytes, isUnsolicitedOpen },
      { burstBytes, firstBurstBytes, requestsMax: readyToTransferMax },
    );
    task.transfer = transfer;
    if (!segment.isIntact) this.#damaged(transfer);
    if (neededBytes > limits.commandBytesMax) return TOO_LONG;
    if (neededBytes > 0) {
      const isSolicitedOnly = immediateBytes === 0 && !isUnsolicitedOpen;
      if (account.take(neededBytes)) {
        task.charge(account, neededBytes);
        transfer.capacityBytes = neededBytes;
      } else if (!isSolicitedOnly) {
        const heldBytes = transfer.unsolicitedBytesMax;
        if (!waitingAccount.take(heldBytes)) return NO_MEMORY;
        task.charge(waitingAccount, heldBytes);
        transfer.capacityBytes = heldBytes;
      }
    }
    this.#store(task, 0, segment);
    this.#goOn(task, transfer);
    return undefined;
  }

  /** Where a Data-Out segment is to go. */
  place(task: Task | undefined, pdu: DataOutPdu): SegmentPlace {
    const transfer = collecting(task);
    if (task === undefined || transfer === undefined) return "discard";
    transfer.check(pdu);
    if (transfer.isForfeit) return "window";
    const { bufferOffset, dataBytes } = pdu;
    if (dataBytes < DIRECT_BYTES_MIN || bufferOffset + dataBytes > transfer.neededBytes) return "window";
    const isAll = bufferOffset === 0 && dataBytes === transfer.neededBytes;
    return isAll ? "window" : { chunk: this.#memory(task, transfer), position: bufferOffset };
  }

  /** Takes a Data-Out PDU. */
  arrived(task: Task | undefined, pdu: DataOutPdu, segment: Segment): void {
    const transfer = collecting(task);
    if (task === undefined || transfer === undefined) return;
    if (pdu.dataBytes === 0) transfer.check(pdu);
    if (!segment.isIntact) this.#damaged(transfer);
    if (segment.chunk !== undefined) this.#store(task, pdu.bufferOffset, segment);
    transfer.arrived(pdu);
    this.#goOn(task, transfer);
  }

  /** Takes the memory of `tasks` back whose data is still to come, except where data is arriving in it: `arriving`. */
  forfeit(tasks: Iterable<Task>, arriving: Chunk | undefined): void {
    for (const task of [...tasks]) {
      const transfer = collecting(task);
      if (transfer === undefined || !task.holdsMemory) continue;
      if (arriving !== undefined && task.chunk === arriving) continue;
      transfer.isForfeit = true;
      task.releaseMemory();
      if (transfer.isComplete) this.#complete(task, transfer);
    }
  }

  #damaged(transfer: DataOutTransfer): void {
    transfer.hasDigestError = true;
    this.#world.reject(RejectReason.dataDigestError);
  }

  /** Keeps a segment that stands in the window: in place when it is all, else as a copy. */
  #store(task: Task, offset: number, segment: Segment): void {
    const transfer = task.transfer!;
    if (transfer.isForfeit) return;
    const takenBytes = Math.min(segment.bytes.length, transfer.neededBytes - offset);
    if (takenBytes <= 0) return;
    const isAll = offset === 0 && takenBytes === transfer.neededBytes;
    if (isAll && segment.chunk !== undefined) {
      segment.chunk.retain();
      task.keep(segment.chunk);
      task.dataOut = segment.bytes.subarray(0, takenBytes);
      return;
    }
    this.#memory(task, transfer).bytes.set(segment.bytes.subarray(0, takenBytes), offset);
  }

  #memory(task: Task, transfer: DataOutTransfer): Chunk {
    if (task.chunk === undefined) task.keep(this.#world.pool.atLeast(transfer.capacityBytes));
    return task.chunk!;
  }

  #goOn(task: Task, transfer: DataOutTransfer): void {
    if (transfer.isUnsolicitedOpen) return;
    if (transfer.isComplete) this.#complete(task, transfer);
    else if (transfer.isForfeit) return;
    else if (transfer.capacityBytes === transfer.neededBytes) this.#ask(task, transfer);
    else if (task.request === undefined) this.#wait(task, transfer);
  }

  #complete(task: Task, transfer: DataOutTransfer): void {
    const { neededBytes } = transfer;
    if (task.dataOut.length < neededBytes && task.chunk !== undefined)
      task.dataOut = task.chunk.bytes.subarray(0, neededBytes);
    if (transfer.isForfeit) task.refusal = NO_MEMORY;
    else if (transfer.hasDigestError) task.refusal = CRC_ERROR;
    else this.#world.counters.bytesWritten += neededBytes;
    this.#world.ready(task);
  }

  /** Sends as many R2Ts as may be outstanding. */
  #ask(task: Task, transfer: DataOutTransfer): void {
    for (;;) {
      const request = transfer.nextRequest(this.#nextTag);
      if (request === undefined) return;
      this.#nextTag = (this.#nextTag + 1) % NO_TAG;
      this.#world.sender.readyToTransfer(task, request);
    }
  }

  /** Asks for the rest once there is memory for all of it. */
  #wait(task: Task, transfer: DataOutTransfer): void {
    const { account, pool, progressed } = this.#world;
    const bytes = transfer.neededBytes;
    const granted = () => {
      task.request = undefined;
      if (transfer.receivedBytes > 0) {
        const whole = pool.atLeast(bytes);
        task.chunk?.bytes.copy(whole.bytes, 0, 0, transfer.receivedBytes);
        task.keep(whole);
      }
      task.charge(account, bytes);
      transfer.capacityBytes = bytes;
      this.#ask(task, transfer);
      progressed();
    };
    const request = { bytes, granted };
    task.request = { account, request };
    account.request(request);
  }
}

/** The transfer of a task that still takes data. */
function collecting(task: Task | undefined): DataOutTransfer | undefined {
  return task?.state === "collecting" ? task.transfer : undefined;
}

function violation(sentence: string): RopewalkError {
  return new RopewalkError("PROTOCOL_ERROR", sentence);
}
