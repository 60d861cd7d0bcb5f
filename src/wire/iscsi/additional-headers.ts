/**
 * Additional header segments of a SCSI command (RFC 7143, 11.2.2): the rest of a long CDB, and how much a
 * bidirectional command may read.
 *
 * | byte | field                                     |
 * | ---- | ----------------------------------------- |
 * | 0    | length of what is specific, with its byte |
 * | 2    | type: 1 extended CDB, 2 bidirectional     |
 * | 3    | what is specific, padded to whole words   |
 *
 * Always holds: each kind comes once at most. Anything else throws PROTOCOL_ERROR.
 */
import { RopewalkError } from "../../base/errors.ts";
import { ADDITIONAL_HEADER_BYTES_MAX } from "./constants.ts";
import { paddedBytes } from "./pdu-layout.ts";

export interface AdditionalHeaders {
  /** The CDB from its 17th byte on. */
  readonly extendedCdb: Uint8Array | undefined;
  readonly readBytes: number | undefined;
}

const EXTENDED_CDB = 1;
const BIDIRECTIONAL_READ = 2;
const SEGMENT_HEAD_BYTES = 3;
/** Reserved byte and the length. */
const BIDIRECTIONAL_SPECIFIC_BYTES = 5;

export const NO_ADDITIONAL_HEADERS: AdditionalHeaders = { extendedCdb: undefined, readBytes: undefined };

/** Decodes `bytes`, all the additional header segments of a PDU. Throws PROTOCOL_ERROR. */
export function decodeAdditionalHeaders(bytes: Uint8Array): AdditionalHeaders {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let extendedCdb: Uint8Array | undefined;
  let readBytes: number | undefined;
  for (let position = 0; position < bytes.length; ) {
    if (bytes.length - position < SEGMENT_HEAD_BYTES) throw malformed("one is cut off");
    const specificBytes = view.getUint16(position);
    const type = view.getUint8(position + 2) & 0x3f;
    const end = position + SEGMENT_HEAD_BYTES + specificBytes;
    if (specificBytes < 1 || end > bytes.length) throw malformed("one has a wrong length");
    if (type === EXTENDED_CDB && extendedCdb === undefined) {
      // A Buffer's own `slice` would not copy.
      extendedCdb = new Uint8Array(bytes.subarray(position + SEGMENT_HEAD_BYTES + 1, end));
    } else if (
      type === BIDIRECTIONAL_READ &&
      readBytes === undefined &&
      specificBytes === BIDIRECTIONAL_SPECIFIC_BYTES
    ) {
      readBytes = view.getUint32(position + SEGMENT_HEAD_BYTES + 1);
    } else {
      throw malformed(`type ${type} is unknown, doubled or of a wrong length`);
    }
    position = paddedBytes(end);
  }
  return { extendedCdb, readBytes };
}

export function encodeAdditionalHeaders({ extendedCdb, readBytes }: AdditionalHeaders): Uint8Array {
  const bytes = new Uint8Array(ADDITIONAL_HEADER_BYTES_MAX);
  const view = new DataView(bytes.buffer);
  let position = 0;
  if (extendedCdb !== undefined) {
    view.setUint16(position, extendedCdb.length + 1);
    view.setUint8(position + 2, EXTENDED_CDB);
    bytes.set(extendedCdb, position + SEGMENT_HEAD_BYTES + 1);
    position = paddedBytes(position + SEGMENT_HEAD_BYTES + 1 + extendedCdb.length);
  }
  if (readBytes !== undefined) {
    view.setUint16(position, BIDIRECTIONAL_SPECIFIC_BYTES);
    view.setUint8(position + 2, BIDIRECTIONAL_READ);
    view.setUint32(position + SEGMENT_HEAD_BYTES + 1, readBytes);
    position = paddedBytes(position + SEGMENT_HEAD_BYTES + BIDIRECTIONAL_SPECIFIC_BYTES);
  }
  return bytes.subarray(0, position);
}

function malformed(reason: string): RopewalkError {
  return new RopewalkError("PROTOCOL_ERROR", `additional header segments: ${reason}`);
}
