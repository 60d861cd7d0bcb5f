/**
 * Requests of the transmission phase, plain (28 bytes) and extended (32 bytes), read in place.
 *
 * Always holds: a header is decoded into one object that the connection reuses, so a request costs no
 * allocation here. Offsets and lengths above 2^53 lose their low bits, which is harmless: they are beyond every
 * device, and the offset that a reply echoes is kept as two exact halves. A wrong magic throws
 * PROTOCOL_ERROR: where the next request begins is then unknown.
 *
 * | plain | extended | field  |
 * | ----- | -------- | ------ |
 * | 0     | 0        | magic  |
 * | 4     | 4        | flags  |
 * | 6     | 6        | type   |
 * | 8     | 8        | cookie |
 * | 16    | 16       | offset |
 * | 24    | 24       | length (4 bytes plain, 8 extended) |
 */
import { RopewalkError } from "../../base/errors.ts";
import {
  Command,
  CommandFlag,
  EXTENDED_REQUEST_BYTES,
  MAGIC_EXTENDED_REQUEST,
  MAGIC_REQUEST,
  META_CONTEXTS_MAX,
  REQUEST_BYTES,
} from "./constants.ts";

const TWO_TO_32 = 2 ** 32;

export type HeaderFormat = "plain" | "extended";

/** One decoded header. The halves are kept as signed 32-bit numbers, which V8 stores without a heap object. */
export class RequestHeader {
  flags = 0;
  type = 0;
  cookieHigh = 0;
  cookieLow = 0;
  offsetHigh = 0;
  offsetLow = 0;
  offset = 0;
  length = 0;
}

/** Bytes of a request's header. */
export function requestHeaderBytes(format: HeaderFormat): number {
  return format === "extended" ? EXTENDED_REQUEST_BYTES : REQUEST_BYTES;
}

/** Decodes the plain header at `position`, where all its 28 bytes are. */
export function decodePlainRequest(view: DataView, position: number, header: RequestHeader): void {
  if (view.getUint32(position) !== MAGIC_REQUEST) throw wrongMagic(view.getUint32(position));
  decodeShared(view, position, header);
  header.length = view.getUint32(position + 24);
}

/** Decodes the extended header at `position`, where all its 32 bytes are. */
export function decodeExtendedRequest(view: DataView, position: number, header: RequestHeader): void {
  if (view.getUint32(position) !== MAGIC_EXTENDED_REQUEST) throw wrongMagic(view.getUint32(position));
  decodeShared(view, position, header);
  header.length = view.getUint32(position + 24) * TWO_TO_32 + view.getUint32(position + 28);
}

function decodeShared(view: DataView, position: number, header: RequestHeader): void {
  header.flags = view.getUint16(position + 4);
  header.type = view.getUint16(position + 6);
  header.cookieHigh = view.getInt32(position + 8);
  header.cookieLow = view.getInt32(position + 12);
  header.offsetHigh = view.getInt32(position + 16);
  header.offsetLow = view.getInt32(position + 20);
  header.offset = (header.offsetHigh >>> 0) * TWO_TO_32 + (header.offsetLow >>> 0);
}

function wrongMagic(magic: number): RopewalkError {
  return new RopewalkError(
    "PROTOCOL_ERROR",
    `a request begins with 0x${magic.toString(16)}, which is no request's magic`,
  );
}

/**
 * Bytes of payload behind the header. A WRITE has one in both formats (an extended one without the flag is a
 * client's fault, but its payload is there all the same); otherwise the extended flag says so.
 */
export function requestPayloadBytes(header: RequestHeader, format: HeaderFormat): number {
  if (header.type === Command.write) return header.length;
  if (format === "extended" && (header.flags & CommandFlag.payloadLength) !== 0) return header.length;
  return 0;
}

/** The payload of an extended BLOCK_STATUS: how far to look, and which contexts are wanted. */
export interface BlockStatusFilter {
  readonly lengthBytes: number;
  readonly contextIds: readonly number[];
}

export const BLOCK_STATUS_FILTER_BYTES_MAX = 8 + 4 * META_CONTEXTS_MAX;

/** Undefined when the payload is not a length and a list of distinct ids. */
export function parseBlockStatusFilter(payload: Uint8Array): BlockStatusFilter | undefined {
  if (payload.length < 8 || payload.length > BLOCK_STATUS_FILTER_BYTES_MAX || payload.length % 4 !== 0)
    return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const contextIds: number[] = [];
  for (let position = 8; position < payload.length; position += 4) contextIds.push(view.getUint32(position));
  if (new Set(contextIds).size !== contextIds.length) return undefined;
  return { lengthBytes: view.getUint32(0) * TWO_TO_32 + view.getUint32(4), contextIds };
}
