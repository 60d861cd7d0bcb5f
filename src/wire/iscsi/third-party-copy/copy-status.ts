/**
 * What the RECEIVE commands of third-party copy answer (SPC-4, 6.18 to 6.25).
 *
 * Always holds: AVAILABLE DATA counts the whole answer, whatever the allocation length lets through; sense is at most
 * 255 bytes. Counts that do not fit into a field say its highest value.
 */
import { COUNT_UNITS_BLOCKS, OperationStatus, ROD_TOKEN_BYTES } from "./constants.ts";

export interface CopyStatus {
  /** Service action that began the operation. */
  readonly serviceAction: number;
  /** OperationStatus. */
  readonly status: number;
  readonly operationCounter: number;
  readonly transferBlocks: number;
  readonly segmentsProcessed: number;
  /** SCSI status that it ended with; 0 while it runs. */
  readonly completionStatus: number;
  readonly sense: Uint8Array;
}

/** No status will come any more. */
const DELAY_FINISHED = 0xfffffffe;
const HEADER_BYTES = 32;

export function isFinished(status: number): boolean {
  return status < OperationStatus.inProgress || status === OperationStatus.terminated;
}

/**
 * RECEIVE ROD TOKEN INFORMATION.
 *
 * | byte  | field                                          |
 * | ----- | ---------------------------------------------- |
 * | 0–31  | as in RECEIVE COPY STATUS (LID4)               |
 * | 32–   | sense                                          |
 * | +0–3  | length of the token descriptors: 0 or 514      |
 * | +4–5  | 0                                              |
 * | +6–   | token                                          |
 */
export function encodeRodTokenInformation(
  status: CopyStatus,
  token: Uint8Array | undefined,
  delayMs: number,
): Uint8Array {
  const tokenBytes = token === undefined ? 0 : 2 + ROD_TOKEN_BYTES;
  const bytes = encodeHeader(status, 4 + tokenBytes, delayMs);
  const at = HEADER_BYTES + status.sense.length;
  new DataView(bytes.buffer).setUint32(at, tokenBytes);
  if (token !== undefined) bytes.set(token, at + 6);
  return bytes;
}

/**
 * RECEIVE COPY STATUS (LID4).
 *
 * | byte  | field                                        |
 * | ----- | -------------------------------------------- |
 * | 0–3   | available data                               |
 * | 4     | service action of the operation              |
 * | 5     | status                                       |
 * | 6–7   | operation counter                            |
 * | 8–11  | ask again after so many ms                   |
 * | 12    | completion status                            |
 * | 13–14 | length of the sense field, of the sense      |
 * | 15    | unit of the count: blocks                    |
 * | 16–23 | transfer count                               |
 * | 24–25 | segments processed                           |
 * | 32–   | sense                                        |
 */
export function encodeCopyStatusLid4(status: CopyStatus, delayMs: number): Uint8Array {
  return encodeHeader(status, 0, delayMs);
}

function encodeHeader(status: CopyStatus, bytesBehind: number, delayMs: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + status.sense.length + bytesBehind);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  view.setUint8(4, status.serviceAction);
  view.setUint8(5, status.status);
  view.setUint16(6, status.operationCounter & 0xffff);
  view.setUint32(8, isFinished(status.status) ? DELAY_FINISHED : delayMs);
  view.setUint8(12, status.completionStatus);
  view.setUint8(13, status.sense.length);
  view.setUint8(14, status.sense.length);
  view.setUint8(15, COUNT_UNITS_BLOCKS);
  view.setBigUint64(16, BigInt(status.transferBlocks));
  view.setUint16(24, Math.min(status.segmentsProcessed, 0xffff));
  bytes.set(status.sense, HEADER_BYTES);
  return bytes;
}

/** RECEIVE COPY STATUS (LID1): 0–3 available data, 4 status (0 running, 1 good, 2 error), 5–6 segments, 7 unit, 8–11 count. */
export function encodeCopyStatusLid1(status: CopyStatus): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  view.setUint8(4, lid1Status(status.status));
  view.setUint16(5, Math.min(status.segmentsProcessed, 0xffff));
  view.setUint8(7, COUNT_UNITS_BLOCKS);
  view.setUint32(8, Math.min(status.transferBlocks, 0xffffffff));
  return bytes;
}

function lid1Status(status: number): number {
  if (!isFinished(status)) return 0;
  return status === OperationStatus.error || status === OperationStatus.terminated ? 2 : 1;
}

/** FAILED SEGMENT DETAILS: 0–3 available data, 56 status of the command, 58–59 length of the sense, 60– sense. */
export function encodeFailedSegmentDetails(status: CopyStatus): Uint8Array {
  const bytes = new Uint8Array(60 + status.sense.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  view.setUint8(56, status.completionStatus);
  view.setUint16(58, status.sense.length);
  bytes.set(status.sense, 60);
  return bytes;
}
