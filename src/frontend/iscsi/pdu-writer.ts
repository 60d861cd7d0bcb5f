/**
 * PDUs into the queue of replies: headers and small data in its chunks, large data where it stands.
 *
 * Always holds: data handed over stays untouched until it was sent. Digests and padding are made here and nowhere else.
 */
import { crc32c } from "../../base/crc32c.ts";
import {
  BASIC_HEADER_BYTES,
  DIGEST_BYTES,
  type PduFields,
  type PduLayout,
  paddedBytes,
} from "../../wire/iscsi/mod.ts";
import type { Chunk, ReplyQueue } from "../stream/mod.ts";

/** Up to here copying costs less than another part. */
const COPY_BYTES_MAX = 512;
/** A header with both digests, padding, and data that is copied. */
const PIECE_BYTES_MAX = BASIC_HEADER_BYTES + 2 * DIGEST_BYTES + 3 + COPY_BYTES_MAX;
const PADDING = new Uint8Array(3);

export class PduWriter {
  readonly #queue: ReplyQueue;
  headerDigest = false;
  dataDigest = false;

  constructor(queue: ReplyQueue) {
    this.#queue = queue;
  }

  /**
   * Adds a PDU. `charge`: bytes of the account that are given back once it is sent. `memory`: what `data` stands in,
   * kept until then; left out: it is the garbage collector's.
   */
  add<Opcode extends number, Fields extends object>(
    layout: PduLayout<Opcode, Fields>,
    fields: PduFields<Fields>,
    data?: Uint8Array,
    charge = 0,
    memory?: Chunk,
  ): void {
    const queue = this.#queue;
    const chunk = queue.reserve(PIECE_BYTES_MAX);
    const position = queue.position;
    layout.encode(chunk.view, position, fields);
    const dataBytes = data?.length ?? 0;
    if (dataBytes > 0) chunk.view.setUint32(position + 4, dataBytes);
    let bytes = BASIC_HEADER_BYTES;
    if (this.headerDigest) {
      const sum = crc32c(chunk.bytes.subarray(position, position + BASIC_HEADER_BYTES));
      chunk.view.setUint32(position + bytes, sum, true);
      bytes += DIGEST_BYTES;
    }
    if (data === undefined || dataBytes === 0) {
      queue.commit(bytes, charge);
      return;
    }
    if (dataBytes <= COPY_BYTES_MAX) {
      chunk.bytes.set(data, position + bytes);
      bytes += dataBytes + this.#ending(chunk, position + bytes + dataBytes, data);
      queue.commit(bytes, charge);
      return;
    }
    queue.commit(bytes, 0);
    queue.append(data, charge, memory);
    const endingBytes = this.#ending(chunk, queue.position, data);
    if (endingBytes > 0) queue.commit(endingBytes, 0);
  }

  /** Writes what stands behind `data`; returns how many bytes that is. */
  #ending(chunk: Chunk, position: number, data: Uint8Array): number {
    const paddingBytes = paddedBytes(data.length) - data.length;
    chunk.bytes.fill(0, position, position + paddingBytes);
    if (!this.dataDigest) return paddingBytes;
    const sum = crc32c(PADDING.subarray(0, paddingBytes), crc32c(data));
    chunk.view.setUint32(position + paddingBytes, sum, true);
    return paddingBytes + DIGEST_BYTES;
  }
}
