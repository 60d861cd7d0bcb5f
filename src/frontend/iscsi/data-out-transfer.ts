/**
 * Data-out of one command: immediate, unsolicited, then solicited by R2T (RFC 7143, 4.2.5.2, 11.7, 11.8).
 *
 * Always holds: data comes in order, as was negotiated and never past what was allowed; anything else throws
 * PROTOCOL_ERROR. Each burst has its own DataSN from 0; another number makes the data count as damaged. Bytes that
 * the command does not take are accepted and dropped.
 */
import { RopewalkError } from "../../base/errors.ts";
import { type DataOutPdu, NO_TAG } from "../../wire/iscsi/mod.ts";

export interface TransferLimits {
  /** FirstBurstLength */
  readonly firstBurstBytes: number;
  /** MaxBurstLength */
  readonly burstBytes: number;
  /** MaxOutstandingR2T */
  readonly requestsMax: number;
}

/** What an R2T asks for. */
export interface TransferRequest {
  readonly tag: number;
  readonly number: number;
  readonly offset: number;
  readonly end: number;
}

export class DataOutTransfer {
  readonly #limits: TransferLimits;
  /** What the command takes; the rest is dropped. */
  readonly neededBytes: number;
  readonly #unsolicitedEnd: number;
  readonly #requests: TransferRequest[] = [];
  #nextDataNumber = 0;
  #requestedBytes = 0;
  #nextRequestNumber = 0;
  /** All bytes before this came. */
  receivedBytes: number;
  /** Unsolicited data is still coming. */
  isUnsolicitedOpen: boolean;
  hasDigestError = false;
  /** Its memory was taken back: what the initiator still owes is dropped, and nothing more is asked for. */
  isForfeit = false;
  /** Bytes from the beginning that the task has memory for. */
  capacityBytes = 0;
  /** Something came since this was last set to false, and when it last was not so. */
  hasProgress = true;
  stalledSinceMs = 0;

  constructor(
    options: {
      readonly expectedBytes: number;
      readonly neededBytes: number;
      readonly immediateBytes: number;
      readonly isUnsolicitedOpen: boolean;
    },
    limits: TransferLimits,
  ) {
    this.#limits = limits;
    this.neededBytes = options.neededBytes;
    this.#unsolicitedEnd = Math.min(options.expectedBytes, limits.firstBurstBytes);
    this.receivedBytes = options.immediateBytes;
    this.isUnsolicitedOpen = options.isUnsolicitedOpen;
    if (options.immediateBytes > this.#unsolicitedEnd)
      throw violation("immediate data is longer than allowed");
  }

  get isComplete(): boolean {
    return this.isForfeit ? !this.isOwed : !this.isUnsolicitedOpen && this.receivedBytes >= this.neededBytes;
  }

  /** How much may come unsolicited that the command takes. */
  get unsolicitedBytesMax(): number {
    return Math.min(this.#unsolicitedEnd, this.neededBytes);
  }

  /** Throws PROTOCOL_ERROR unless a Data-Out PDU is the one that must come next. */
  check(pdu: DataOutPdu): void {
    const end = pdu.bufferOffset + pdu.dataBytes;
    const request = this.#requests[0];
    const isUnsolicited = pdu.targetTransferTag === NO_TAG;
    if (isUnsolicited ? !this.isUnsolicitedOpen : request?.tag !== pdu.targetTransferTag)
      throw violation("data-out that nobody asked for");
    if (pdu.bufferOffset !== this.receivedBytes) throw violation("data-out begins at a wrong offset");
    if (end > (isUnsolicited ? this.#unsolicitedEnd : request!.end))
      throw violation("data-out is longer than allowed");
    if (!isUnsolicited && pdu.final !== (end === request!.end))
      throw violation("a burst of data-out ends too early or too late");
  }

  /** A Data-Out PDU that `check` let through has come in full. */
  arrived(pdu: DataOutPdu): void {
    this.receivedBytes += pdu.dataBytes;
    this.hasProgress = true;
    // A number out of order implies a digest error (RFC 7143, 7.9): the command fails, the session lives on.
    if (pdu.dataNumber !== this.#nextDataNumber) this.hasDigestError = true;
    this.#nextDataNumber++;
    if (!pdu.final) return;
    this.#nextDataNumber = 0;
    if (pdu.targetTransferTag === NO_TAG) this.isUnsolicitedOpen = false;
    else this.#requests.shift();
  }

  /** What to ask for next; undefined when enough is asked for. Only after unsolicited data is complete. */
  nextRequest(tag: number): TransferRequest | undefined {
    if (this.isForfeit) return undefined;
    const offset = Math.max(this.#requestedBytes, this.receivedBytes);
    if (offset >= this.neededBytes || this.#requests.length >= this.#limits.requestsMax) return undefined;
    const end = Math.min(this.neededBytes, offset + this.#limits.burstBytes);
    const request = { tag, number: this.#nextRequestNumber++, offset, end };
    this.#requestedBytes = end;
    this.#requests.push(request);
    this.hasProgress = true;
    return request;
  }

  /** Whether the initiator owes data. */
  get isOwed(): boolean {
    return this.isUnsolicitedOpen || this.#requests.length > 0;
  }
}

function violation(sentence: string): RopewalkError {
  return new RopewalkError("PROTOCOL_ERROR", sentence);
}
