/**
 * Replies in the format that was negotiated, written into the queue.
 * Always holds: with structured replies a READ gets chunks only, with extended headers everything does; each
 * request gets exactly one reply that ends it.
 */
import {
  CHUNK_DONE,
  Chunk,
  Command,
  chunkHeaderBytes,
  EXTENDED_REPLY_BYTES,
  encodeChunkHeader,
  encodeErrorChunk,
  encodeOffset,
  encodeOffsetHole,
  encodeSimpleReply,
  OFFSET_BYTES,
  OFFSET_HOLE_BYTES,
  type ReplyAddress,
  SIMPLE_REPLY_BYTES,
} from "../../wire/nbd/mod.ts";
import type { ReplyQueue } from "../stream/mod.ts";
import type { ReplyFormat } from "./export-facts.ts";

/** Who is answered: a RequestHeader or a PendingRequest. */
export interface ReplyTarget extends ReplyAddress {
  readonly type: number;
}

export class ReplyWriter {
  readonly #queue: ReplyQueue;
  readonly #format: ReplyFormat;
  /** Bytes before the data of a read's reply. */
  readonly readHeadBytes: number;

  constructor(queue: ReplyQueue, format: ReplyFormat) {
    this.#queue = queue;
    this.#format = format;
    this.readHeadBytes = format === "simple" ? SIMPLE_REPLY_BYTES : chunkHeaderBytes(format) + OFFSET_BYTES;
  }

  get format(): ReplyFormat {
    return this.#format;
  }

  /** The request is done and there is nothing to tell. */
  done(target: ReplyTarget): void {
    if (this.#format === "extended") {
      const chunk = this.#queue.reserve(EXTENDED_REPLY_BYTES);
      encodeChunkHeader(chunk.view, this.#queue.position, target, "extended", Chunk.none, CHUNK_DONE, 0);
      this.#queue.commit(EXTENDED_REPLY_BYTES, 0);
    } else if (this.#format === "structured" && target.type === Command.read) {
      const bytes = chunkHeaderBytes("structured");
      const chunk = this.#queue.reserve(bytes);
      encodeChunkHeader(chunk.view, this.#queue.position, target, "structured", Chunk.none, CHUNK_DONE, 0);
      this.#queue.commit(bytes, 0);
    } else {
      const chunk = this.#queue.reserve(SIMPLE_REPLY_BYTES);
      encodeSimpleReply(chunk.view, this.#queue.position, target, 0);
      this.#queue.commit(SIMPLE_REPLY_BYTES, 0);
    }
  }

  /** The request failed. `sentence` reaches clients whose format has room for it. */
  failed(target: ReplyTarget, errno: number, sentence: string): void {
    if (this.#format === "simple") {
      const chunk = this.#queue.reserve(SIMPLE_REPLY_BYTES);
      encodeSimpleReply(chunk.view, this.#queue.position, target, errno);
      this.#queue.commit(SIMPLE_REPLY_BYTES, 0);
    } else {
      this.#queue.append(encodeErrorChunk(target, this.#format, errno, sentence));
    }
  }

  /** Writes what stands before the data of a read's reply at `position` of `view`. */
  readHead(
    view: DataView,
    position: number,
    target: ReplyTarget,
    range: { offset: number; length: number },
    flags: number,
  ): void {
    if (this.#format === "simple") {
      encodeSimpleReply(view, position, target, 0);
      return;
    }
    encodeChunkHeader(
      view,
      position,
      target,
      this.#format,
      Chunk.offsetData,
      flags,
      OFFSET_BYTES + range.length,
    );
    encodeOffset(view, position + this.readHeadBytes - OFFSET_BYTES, range.offset);
  }

  /** A hole within a read's reply; `charge` as in ReplyQueue.commit. */
  readHole(
    target: ReplyTarget,
    range: { offset: number; length: number },
    flags: number,
    charge: number,
  ): void {
    const format = this.#format === "extended" ? "extended" : "structured";
    const headerBytes = chunkHeaderBytes(format);
    const chunk = this.#queue.reserve(headerBytes + OFFSET_HOLE_BYTES);
    const position = this.#queue.position;
    encodeChunkHeader(chunk.view, position, target, format, Chunk.offsetHole, flags, OFFSET_HOLE_BYTES);
    encodeOffsetHole(chunk.view, position + headerBytes, range.offset, range.length);
    this.#queue.commit(headerBytes + OFFSET_HOLE_BYTES, charge);
  }
}
