/**
 * Replies of the transmission phase, written in place at a position of the outgoing buffer.
 *
 * Always holds: a function writes exactly the bytes that its `…_BYTES` or `…Bytes` names; the caller has made
 * room. Nothing is allocated.
 */
import {
  CHUNK_DONE,
  Chunk,
  EXTENDED_REPLY_BYTES,
  MAGIC_EXTENDED_REPLY,
  MAGIC_SIMPLE_REPLY,
  MAGIC_STRUCTURED_REPLY,
  STRUCTURED_REPLY_BYTES,
} from "./constants.ts";

const TWO_TO_32 = 2 ** 32;

/** What a reply repeats of its request; a RequestHeader is one. */
export interface ReplyAddress {
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly offsetHigh: number;
  readonly offsetLow: number;
}

export type ChunkFormat = "structured" | "extended";

/** Where in a chunk the content begins. */
export function chunkHeaderBytes(format: ChunkFormat): number {
  return format === "extended" ? EXTENDED_REPLY_BYTES : STRUCTURED_REPLY_BYTES;
}

/** Content of an OFFSET_DATA chunk before the data itself; an OFFSET_HOLE has the hole's length in its place. */
export const OFFSET_BYTES = 8;
export const OFFSET_HOLE_BYTES = 12;
const ERROR_BYTES = 6;
/** Sentences in error chunks are cut to this; the log has the rest. */
const ERROR_TEXT_LENGTH_MAX = 256;

export function encodeSimpleReply(
  view: DataView,
  position: number,
  address: ReplyAddress,
  errno: number,
): void {
  view.setUint32(position, MAGIC_SIMPLE_REPLY);
  view.setUint32(position + 4, errno);
  view.setInt32(position + 8, address.cookieHigh);
  view.setInt32(position + 12, address.cookieLow);
}

/** The header of a chunk with `lengthBytes` of content behind it. */
export function encodeChunkHeader(
  view: DataView,
  position: number,
  address: ReplyAddress,
  format: ChunkFormat,
  type: number,
  flags: number,
  lengthBytes: number,
): void {
  view.setUint16(position + 4, flags);
  view.setUint16(position + 6, type);
  view.setInt32(position + 8, address.cookieHigh);
  view.setInt32(position + 12, address.cookieLow);
  if (format === "extended") {
    view.setUint32(position, MAGIC_EXTENDED_REPLY);
    view.setInt32(position + 16, address.offsetHigh);
    view.setInt32(position + 20, address.offsetLow);
    view.setUint32(position + 24, Math.floor(lengthBytes / TWO_TO_32));
    view.setUint32(position + 28, lengthBytes >>> 0);
  } else {
    view.setUint32(position, MAGIC_STRUCTURED_REPLY);
    view.setUint32(position + 16, lengthBytes);
  }
}

/** The content that begins an OFFSET_DATA chunk. */
export function encodeOffset(view: DataView, position: number, offset: number): void {
  view.setUint32(position, Math.floor(offset / TWO_TO_32));
  view.setUint32(position + 4, offset >>> 0);
}

/** The content of an OFFSET_HOLE chunk. */
export function encodeOffsetHole(
  view: DataView,
  position: number,
  offset: number,
  lengthBytes: number,
): void {
  encodeOffset(view, position, offset);
  view.setUint32(position + 8, lengthBytes);
}

/** A whole ERROR chunk that ends its request. A buffer of its own: errors are no hot path. */
export function encodeErrorChunk(
  address: ReplyAddress,
  format: ChunkFormat,
  errno: number,
  sentence: string,
): Buffer {
  const text = Buffer.from(sentence.slice(0, ERROR_TEXT_LENGTH_MAX));
  const headerBytes = chunkHeaderBytes(format);
  const bytes = Buffer.alloc(headerBytes + ERROR_BYTES + text.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  encodeChunkHeader(view, 0, address, format, Chunk.error, CHUNK_DONE, ERROR_BYTES + text.length);
  view.setUint32(headerBytes, errno);
  view.setUint16(headerBytes + 4, text.length);
  bytes.set(text, headerBytes + ERROR_BYTES);
  return bytes;
}

/** One extent of a context: how long, and the context's flags for it. */
export interface StatusExtent {
  readonly lengthBytes: number;
  readonly flags: number;
}

/** A whole BLOCK_STATUS chunk (32 or 64 bit by `format`) for one context. */
export function encodeBlockStatus(
  address: ReplyAddress,
  format: ChunkFormat,
  options: { contextId: number; extents: readonly StatusExtent[]; flags: number },
): Buffer {
  const { contextId, extents, flags } = options;
  const headerBytes = chunkHeaderBytes(format);
  const contentBytes = format === "extended" ? 8 + 16 * extents.length : 4 + 8 * extents.length;
  const bytes = Buffer.alloc(headerBytes + contentBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = format === "extended" ? Chunk.blockStatusExtended : Chunk.blockStatus;
  encodeChunkHeader(view, 0, address, format, type, flags, contentBytes);
  view.setUint32(headerBytes, contextId);
  let position = headerBytes + 4;
  if (format === "extended") {
    view.setUint32(position, extents.length);
    position += 4;
    for (const extent of extents) {
      encodeOffset(view, position, extent.lengthBytes);
      encodeOffset(view, position + 8, extent.flags);
      position += 16;
    }
  } else {
    for (const extent of extents) {
      view.setUint32(position, extent.lengthBytes);
      view.setUint32(position + 4, extent.flags);
      position += 8;
    }
  }
  return bytes;
}
