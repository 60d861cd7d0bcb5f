/**
 * Replies of the transmission phase as a client reads them: simple ones and structured chunks.
 *
 * Always holds: what a chunk says of its length fits its type, before any of its content is read.
 * Errors: PROTOCOL_ERROR for bytes that no server may send.
 */
import { RopewalkError } from "../../base/errors.ts";
import {
  CHUNK_DONE,
  Chunk,
  MAGIC_SIMPLE_REPLY,
  MAGIC_STRUCTURED_REPLY,
  PAYLOAD_BYTES_MAX,
  SIMPLE_REPLY_BYTES,
  STRING_BYTES_MAX,
  STRUCTURED_REPLY_BYTES,
} from "./constants.ts";
import type { StatusExtent } from "./reply-encoder.ts";

export type ReplyHeader =
  | { readonly kind: "simple"; readonly cookie: number; readonly errno: number }
  | {
      readonly kind: "chunk";
      readonly cookie: number;
      readonly type: number;
      readonly isLast: boolean;
      readonly lengthBytes: number;
    };

/** Extents of one reply that a client takes. */
export const STATUS_EXTENTS_MAX = 2 ** 16;
const OFFSET_BYTES = 8;

/** How long a reply's header is, by its first four bytes. PROTOCOL_ERROR */
export function replyHeaderBytes(magic: number): number {
  if (magic === MAGIC_SIMPLE_REPLY) return SIMPLE_REPLY_BYTES;
  if (magic === MAGIC_STRUCTURED_REPLY) return STRUCTURED_REPLY_BYTES;
  throw violation(`a reply begins with 0x${magic.toString(16)}`);
}

/** A whole header. A cookie whose high half is not 0 is one that was never sent. PROTOCOL_ERROR */
export function parseReplyHeader(bytes: Uint8Array): ReplyHeader {
  const view = viewOf(bytes);
  if (view.getUint32(8) !== 0) throw violation("a reply is to a request that was never sent");
  const cookie = view.getUint32(12);
  if (bytes.length === SIMPLE_REPLY_BYTES) return { kind: "simple", cookie, errno: view.getUint32(4) };
  const type = view.getUint16(6);
  const lengthBytes = view.getUint32(16);
  checkChunkLength(type, lengthBytes);
  return { kind: "chunk", cookie, type, isLast: (view.getUint16(4) & CHUNK_DONE) !== 0, lengthBytes };
}

/** An error chunk of whatever type, also one that is not known. */
export function isErrorChunk(type: number): boolean {
  return (type & 0x8000) !== 0;
}

/** The offset that begins the content of OFFSET_DATA and OFFSET_HOLE. */
export function parseChunkOffset(content: Uint8Array): number {
  return Number(viewOf(content).getBigUint64(0));
}

export function parseOffsetHole(content: Uint8Array): {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
} {
  return { offsetBytes: parseChunkOffset(content), lengthBytes: viewOf(content).getUint32(OFFSET_BYTES) };
}

/** PROTOCOL_ERROR */
export function parseErrorChunk(content: Uint8Array): { readonly errno: number; readonly sentence: string } {
  const view = viewOf(content);
  const textBytes = view.getUint16(4);
  if (6 + textBytes > content.length) throw violation("an error's text is longer than its chunk");
  const errno = view.getUint32(0);
  if (errno === 0) throw violation("an error has no number");
  return { errno, sentence: Buffer.from(content.subarray(6, 6 + textBytes)).toString() };
}

/** PROTOCOL_ERROR */
export function parseBlockStatus(content: Uint8Array): {
  readonly contextId: number;
  readonly extents: readonly StatusExtent[];
} {
  const view = viewOf(content);
  const extents: StatusExtent[] = [];
  for (let at = 4; at < content.length; at += 8) {
    const lengthBytes = view.getUint32(at);
    if (lengthBytes === 0) throw violation("an extent has no bytes");
    extents.push({ lengthBytes, flags: view.getUint32(at + 4) });
  }
  return { contextId: view.getUint32(0), extents };
}

function checkChunkLength(type: number, lengthBytes: number): void {
  const isLegal = (() => {
    switch (type) {
      case Chunk.none:
        return lengthBytes === 0;
      case Chunk.offsetData:
        return lengthBytes > OFFSET_BYTES && lengthBytes <= OFFSET_BYTES + PAYLOAD_BYTES_MAX;
      case Chunk.offsetHole:
        return lengthBytes === 12;
      case Chunk.blockStatus:
        return lengthBytes >= 12 && lengthBytes % 8 === 4 && lengthBytes <= 4 + 8 * STATUS_EXTENTS_MAX;
      default:
        return isErrorChunk(type) && lengthBytes >= 6 && lengthBytes <= 6 + STRING_BYTES_MAX + OFFSET_BYTES;
    }
  })();
  if (!isLegal) throw violation(`a chunk of type ${type} has ${lengthBytes} bytes`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function violation(sentence: string): RopewalkError {
  return new RopewalkError("PROTOCOL_ERROR", `${sentence}.`);
}
