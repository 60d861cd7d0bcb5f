/**
 * The front end's limits. Each can be set; what an initiator meets at a limit is said beside it.
 * Always holds: a set that `checkLimits` let through leaves room for every command that is admitted.
 */
import { RopewalkError } from "../../base/errors.ts";

export interface IscsiLimits {
  /** Connections at once; one more is closed before its login. */
  readonly connectionsMax: number;
  /** Sessions that are logged in; one more is refused as out of resources. */
  readonly sessionsMax: number;
  /** From connecting to the full feature phase; then the connection is closed. */
  readonly loginTimeoutMs: number;
  /** Login requests of one login; one more fails it. */
  readonly loginRequestsMax: number;
  /** One list of text keys; a longer one ends the connection. */
  readonly textBytesMax: number;
  /** Keys in one list; more end the connection. */
  readonly textPairsMax: number;
  /** MaxRecvDataSegmentLength as announced; a longer segment ends the connection. */
  readonly dataSegmentBytesMax: number;
  /** MaxBurstLength as offered. */
  readonly burstBytesMax: number;
  /** FirstBurstLength as offered. */
  readonly firstBurstBytesMax: number;
  /** MaxOutstandingR2T as offered. */
  readonly readyToTransferMax: number;
  /** Commands of one session in work: the window of CmdSN. Beyond it they are ignored, as the standard has it. */
  readonly commandsMax: number;
  /** Immediate requests of one session in work; one more is rejected. */
  readonly immediateMax: number;
  /** Data of one command; with more it ends in a check condition. */
  readonly commandBytesMax: number;
  /** Data of commands in work, in and out, of one connection; what needs more waits. */
  readonly connectionBytesMax: number;
  /** The same of all connections together. */
  readonly totalBytesMax: number;
  /** Unsolicited data of commands that wait for memory, of all connections; then TASK SET FULL. */
  readonly waitingBytesMax: number;
  /** Data-out, or the rest of a PDU, that makes no progress for so long ends the connection. */
  readonly dataTimeoutMs: number;
  /**
   * An initiator that goes on with neither data-out nor replies for so long while others wait for memory gets no more,
   * and the data-out that it owes is given up: those commands end with TASK SET FULL.
   */
  readonly wantedDataTimeoutMs: number;
  /** Replies that wait for the initiator, not counting data; beyond it the connection is read no further. */
  readonly replyBytesMax: number;
  /** An initiator that takes no replies for so long is closed when it is leaving. */
  readonly replyTimeoutMs: number;
  /** One that still holds memory that others wait for, and more of it than any other that stalls, is closed. */
  readonly wantedReplyTimeoutMs: number;
  /** A session that is silent for so long is pinged. */
  readonly pingIntervalMs: number;
  /** A ping that brings nothing for so long ends the connection. */
  readonly pingTimeoutMs: number;
}

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

export const DEFAULT_ISCSI_LIMITS: IscsiLimits = {
  connectionsMax: 1024,
  sessionsMax: 1024,
  loginTimeoutMs: 15_000,
  loginRequestsMax: 64,
  textBytesMax: 16 * KIBIBYTE,
  textPairsMax: 128,
  dataSegmentBytesMax: 256 * KIBIBYTE,
  burstBytesMax: MEBIBYTE,
  firstBurstBytesMax: 256 * KIBIBYTE,
  readyToTransferMax: 8,
  commandsMax: 128,
  immediateMax: 16,
  commandBytesMax: 32 * MEBIBYTE,
  connectionBytesMax: 64 * MEBIBYTE,
  totalBytesMax: 256 * MEBIBYTE,
  waitingBytesMax: 64 * MEBIBYTE,
  dataTimeoutMs: 30_000,
  wantedDataTimeoutMs: 200,
  replyBytesMax: 4 * MEBIBYTE,
  replyTimeoutMs: 30_000,
  wantedReplyTimeoutMs: 500,
  pingIntervalMs: 30_000,
  pingTimeoutMs: 30_000,
};

/** Smallest length that the standard lets a segment or burst have (RFC 7143, 13.12 to 13.14). */
const SEGMENT_BYTES_MIN = 512;
/** Longest, one below 2^24. */
const SEGMENT_BYTES_MAX = 0xff_ffff;

/** Throws INVALID_CONFIG when the limits contradict each other or the standard. */
export function checkLimits(limits: IscsiLimits): void {
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value <= 0)
      throw new RopewalkError("INVALID_CONFIG", `iSCSI limit ${name} must be a positive whole number`);
  }
  const ordered: readonly (readonly [keyof IscsiLimits, keyof IscsiLimits])[] = [
    ["firstBurstBytesMax", "burstBytesMax"],
    ["commandBytesMax", "connectionBytesMax"],
    ["connectionBytesMax", "totalBytesMax"],
    ["wantedDataTimeoutMs", "dataTimeoutMs"],
    ["wantedReplyTimeoutMs", "replyTimeoutMs"],
  ];
  for (const [smaller, larger] of ordered) {
    if (limits[smaller] > limits[larger])
      throw new RopewalkError("INVALID_CONFIG", `iSCSI limit ${smaller} must not be above ${larger}`);
  }
  for (const name of ["dataSegmentBytesMax", "burstBytesMax", "firstBurstBytesMax"] as const) {
    if (limits[name] < SEGMENT_BYTES_MIN || limits[name] > SEGMENT_BYTES_MAX)
      throw new RopewalkError(
        "INVALID_CONFIG",
        `iSCSI limit ${name} must be ${SEGMENT_BYTES_MIN} to ${SEGMENT_BYTES_MAX}`,
      );
  }
  if (limits.readyToTransferMax > 65535)
    throw new RopewalkError("INVALID_CONFIG", "iSCSI limit readyToTransferMax must not be above 65535");
}
