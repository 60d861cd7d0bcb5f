/**
 * The target's PDUs of the full feature phase: each with its StatSN and the command window of the moment.
 *
 * Always holds: StatSN counts PDUs that carry a status, a response or an event (RFC 7143, 4.2.2.2); data-in is split by
 * what the initiator takes, its status rides in the last piece when it is good.
 */
import {
  asyncMessagePdu,
  dataInPdu,
  logoutResponsePdu,
  NO_TAG,
  type NopOutPdu,
  nopInPdu,
  type PduFields,
  type PduLayout,
  readyToTransferPdu,
  rejectPdu,
  scsiResponsePdu,
  serialPlus,
  taskManagementResponsePdu,
  textResponsePdu,
} from "../../wire/iscsi/mod.ts";
import type { CommandWindow } from "./command-window.ts";
import type { IscsiCounters } from "./counters.ts";
import type { TransferRequest } from "./data-out-transfer.ts";
import type { SessionParameters } from "./operational-keys.ts";
import type { PduWriter } from "./pdu-writer.ts";
import { type ScsiReply, ScsiStatus } from "./scsi-target.ts";
import type { Task } from "./task.ts";

const NOTHING = new Uint8Array(0);

/** Bytes that were expected and did not come, or came and were not expected. */
interface Residual {
  readonly overflow: boolean;
  readonly underflow: boolean;
  readonly residualBytes: number;
}

export class ReplySender {
  readonly #writer: PduWriter;
  readonly #window: CommandWindow;
  readonly #counters: IscsiCounters;
  /** Requests that the session has room for. */
  readonly #free: () => number;
  readonly parameters: SessionParameters;
  #statusNumber: number;

  constructor(options: {
    readonly writer: PduWriter;
    readonly window: CommandWindow;
    readonly counters: IscsiCounters;
    readonly parameters: SessionParameters;
    readonly statusNumber: number;
    readonly free: () => number;
  }) {
    this.#writer = options.writer;
    this.#window = options.window;
    this.#counters = options.counters;
    this.parameters = options.parameters;
    this.#statusNumber = options.statusNumber;
    this.#free = options.free;
  }

  /** The answer to a command; its data's bytes are given back to the account once they are sent. */
  scsiReply(task: Task, reply: ScsiReply): void {
    const wholeIn = reply.dataIn ?? NOTHING;
    const dataIn = wholeIn.length > task.dataInBytesMax ? wholeIn.subarray(0, task.dataInBytesMax) : wholeIn;
    this.#counters.bytesRead += dataIn.length;
    const isGood = reply.status === ScsiStatus.good && reply.sense === undefined;
    const isBidirectional = task.pdu.read && task.pdu.write;
    const residual = task.pdu.write
      ? residualOf(task.expectedOutBytes, task.wantedOutBytes)
      : residualOf(task.dataInBytesMax, wholeIn.length);
    const hasStatus = isGood && dataIn.length > 0 && !isBidirectional;
    const dataPdus = this.#dataIn(task, dataIn, hasStatus ? { status: reply.status, residual } : undefined);
    if (hasStatus) return;
    const readResidual = isBidirectional ? residualOf(task.dataInBytesMax, wholeIn.length) : undefined;
    this.#add(
      scsiResponsePdu,
      {
        ...this.#answer(),
        ...residual,
        final: true,
        initiatorTaskTag: task.tag,
        status: reply.status,
        expectedDataNumber: dataPdus,
        readOverflow: readResidual?.overflow ?? false,
        readUnderflow: readResidual?.underflow ?? false,
        readResidualBytes: readResidual?.residualBytes ?? 0,
      },
      reply.sense === undefined ? undefined : senseSegment(reply.sense),
    );
  }

  /** Sends data-in; with `ending` its last PDU carries the status. Returns the number of PDUs. */
  #dataIn(
    task: Task,
    data: Uint8Array,
    ending: { readonly status: number; readonly residual: Residual } | undefined,
  ): number {
    const { initiatorSegmentBytes, burstBytes } = this.parameters;
    const { lunHigh, lunLow, initiatorTaskTag } = task.pdu;
    let dataNumber = 0;
    for (let offset = 0; offset < data.length; dataNumber++) {
      const burstEnd = offset - (offset % burstBytes) + burstBytes;
      const end = Math.min(data.length, offset + initiatorSegmentBytes, burstEnd);
      const isLast = end === data.length;
      const hasStatus = isLast && ending !== undefined;
      const piece = offset === 0 && isLast ? data : data.subarray(offset, end);
      const fields = {
        ...(hasStatus ? this.#answer() : this.#position()),
        ...(hasStatus ? ending.residual : {}),
        final: isLast || end === burstEnd,
        hasStatus,
        status: hasStatus ? ending.status : 0,
        lunHigh,
        lunLow,
        initiatorTaskTag,
        targetTransferTag: NO_TAG,
        dataNumber,
        bufferOffset: offset,
      };
      this.#writer.add(dataInPdu, fields, piece, piece.length, task.dataInChunk);
      offset = end;
    }
    return dataNumber;
  }

  readyToTransfer(task: Task, request: TransferRequest): void {
    const { lunHigh, lunLow, initiatorTaskTag } = task.pdu;
    this.#add(readyToTransferPdu, {
      ...this.#position(),
      statusNumber: this.#statusNumber,
      final: true,
      lunHigh,
      lunLow,
      initiatorTaskTag,
      targetTransferTag: request.tag,
      readyNumber: request.number,
      bufferOffset: request.offset,
      desiredBytes: request.end - request.offset,
    });
  }

  taskManaged(initiatorTaskTag: number, response: number): void {
    this.#add(taskManagementResponsePdu, { ...this.#answer(), final: true, initiatorTaskTag, response });
  }

  text(options: {
    readonly initiatorTaskTag: number;
    readonly targetTransferTag: number;
    readonly data: Uint8Array;
    readonly final: boolean;
    readonly continues: boolean;
  }): void {
    const { data, ...fields } = options;
    this.#add(textResponsePdu, { ...this.#answer(), ...fields }, data);
  }

  loggedOut(initiatorTaskTag: number, response: number): void {
    this.#add(logoutResponsePdu, { ...this.#answer(), final: true, initiatorTaskTag, response });
  }

  /** Answers a ping with its own data, as far as the initiator takes it. */
  pong(ping: NopOutPdu, data: Uint8Array): void {
    const { lunHigh, lunLow, initiatorTaskTag } = ping;
    // The window's memory is used again before this is sent.
    const echo = new Uint8Array(data.subarray(0, this.parameters.initiatorSegmentBytes));
    this.#add(
      nopInPdu,
      { ...this.#answer(), final: true, lunHigh, lunLow, initiatorTaskTag, targetTransferTag: NO_TAG },
      echo,
    );
  }

  /** Asks whether the initiator is still there; with `NO_TAG` it only tells it the command window. */
  ping(targetTransferTag: number): void {
    this.#add(nopInPdu, {
      ...this.#position(),
      statusNumber: this.#statusNumber,
      final: true,
      initiatorTaskTag: NO_TAG,
      targetTransferTag,
    });
  }

  event(
    event: number,
    parameters: { readonly parameter1?: number; readonly parameter2?: number; readonly parameter3?: number },
  ): void {
    this.#add(asyncMessagePdu, {
      ...this.#answer(),
      ...parameters,
      final: true,
      initiatorTaskTag: NO_TAG,
      event,
    });
  }

  /** `header`: the basic header that is rejected. */
  reject(reason: number, header: Uint8Array): void {
    this.#add(rejectPdu, { ...this.#answer(), final: true, initiatorTaskTag: NO_TAG, reason }, header);
  }

  #add<Opcode extends number, Fields extends object>(
    layout: PduLayout<Opcode, Fields>,
    fields: PduFields<Fields>,
    data?: Uint8Array,
  ): void {
    this.#writer.add(layout, fields, data);
  }

  /** The window for a PDU that counts as no answer. */
  #position(): { expectedCommandNumber: number; commandNumberMax: number } {
    this.#window.open(this.#free());
    return { expectedCommandNumber: this.#window.expected, commandNumberMax: this.#window.max };
  }

  #answer(): { statusNumber: number; expectedCommandNumber: number; commandNumberMax: number } {
    this.#window.open(this.#free());
    const statusNumber = this.#statusNumber;
    this.#statusNumber = serialPlus(statusNumber, 1);
    return { statusNumber, expectedCommandNumber: this.#window.expected, commandNumberMax: this.#window.max };
  }
}

function residualOf(expectedBytes: number, actualBytes: number): Residual {
  return {
    overflow: actualBytes > expectedBytes,
    underflow: actualBytes < expectedBytes,
    residualBytes: Math.abs(actualBytes - expectedBytes),
  };
}

/** Sense behind its length (11.4.7). */
function senseSegment(sense: Uint8Array): Uint8Array {
  const segment = new Uint8Array(2 + sense.length);
  new DataView(segment.buffer).setUint16(0, sense.length);
  segment.set(sense, 2);
  return segment;
}
