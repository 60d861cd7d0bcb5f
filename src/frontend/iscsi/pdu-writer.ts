/**
 * PDUs on their way out: headers and small data in chunks of the pool, large data where it stands, all that a turn
 * made in one write to the stream.
 *
 * Always holds: data handed over stays untouched until it was sent; while the stream has a batch queued, the next one
 * gathers here. Digests and padding are made here and nowhere else.
 */
import { crc32c } from "../../base/crc32c.ts";
import type { ByteStream } from "../../ports/mod.ts";
import {
  BASIC_HEADER_BYTES,
  DIGEST_BYTES,
  type PduFields,
  type PduLayout,
  paddedBytes,
} from "../../wire/iscsi/mod.ts";
import type { ByteAccount } from "./byte-budget.ts";
import { type Chunk, type ChunkPool, SMALL_BYTES } from "./chunk-pool.ts";

/** Up to here copying costs less than another part. */
const COPY_BYTES_MAX = 512;
/** A header with both digests, padding, and data that is copied. */
const PIECE_BYTES_MAX = BASIC_HEADER_BYTES + 2 * DIGEST_BYTES + 3 + COPY_BYTES_MAX;
const PADDING = new Uint8Array(3);

export class PduWriter {
  readonly #pool: ChunkPool;
  readonly #account: ByteAccount;
  stream: ByteStream | undefined;
  headerDigest = false;
  dataDigest = false;
  #chunk: Chunk | undefined;
  #position = 0;
  #begin = 0;
  #parts: Uint8Array[] = [];
  #chunks: Chunk[] = [];
  #sentChunks: Chunk[] = [];
  /** Bytes that gather here, then bytes that the stream has queued. */
  gatheredBytes = 0;
  sentBytes = 0;
  #gatheredCharge = 0;
  #sentCharge = 0;
  /** The stream has a batch queued. */
  isBusy = false;
  /** How many batches the initiator has taken. */
  batchesTaken = 0;

  constructor(pool: ChunkPool, account: ByteAccount) {
    this.#pool = pool;
    this.#account = account;
  }

  get queuedBytes(): number {
    return this.gatheredBytes + this.sentBytes;
  }

  /** Queued bytes that no account pays for: what is left of all but data-in. */
  get unpaidBytes(): number {
    return Math.max(0, this.queuedBytes - this.#gatheredCharge - this.#sentCharge);
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
    const chunk = this.#reserve();
    const position = this.#position;
    layout.encode(chunk.view, position, fields);
    this.#position += BASIC_HEADER_BYTES;
    const dataBytes = data?.length ?? 0;
    if (dataBytes > 0) chunk.view.setUint32(position + 4, dataBytes);
    if (this.headerDigest)
      this.#digest(crc32c(chunk.bytes.subarray(position, position + BASIC_HEADER_BYTES)));
    if (data !== undefined && dataBytes > 0) this.#data(data, memory);
    this.gatheredBytes += this.#position - position + (dataBytes > COPY_BYTES_MAX ? dataBytes : 0);
    this.#gatheredCharge += charge;
  }

  #data(data: Uint8Array, memory: Chunk | undefined): void {
    const chunk = this.#chunk!;
    if (data.length <= COPY_BYTES_MAX) {
      chunk.bytes.set(data, this.#position);
      this.#position += data.length;
    } else {
      this.#seal();
      this.#parts.push(data);
      if (memory !== undefined) {
        memory.retain();
        this.#chunks.push(memory);
      }
    }
    const paddingBytes = paddedBytes(data.length) - data.length;
    chunk.bytes.fill(0, this.#position, this.#position + paddingBytes);
    this.#position += paddingBytes;
    if (this.dataDigest) this.#digest(crc32c(PADDING.subarray(0, paddingBytes), crc32c(data)));
  }

  #digest(sum: number): void {
    this.#chunk!.view.setUint32(this.#position, sum, true);
    this.#position += DIGEST_BYTES;
  }

  /** Hands what has gathered to the stream, unless it has something queued. */
  flush(): void {
    if (this.isBusy || this.stream === undefined) return;
    this.#seal();
    if (this.#parts.length === 0) return;
    const parts = this.#parts;
    this.#sentChunks = this.#chunks;
    this.#parts = [];
    this.#chunks = [];
    this.sentBytes = this.gatheredBytes;
    this.#sentCharge = this.#gatheredCharge;
    this.gatheredBytes = this.#gatheredCharge = 0;
    this.isBusy = true;
    if (this.stream.write(parts)) this.drained();
  }

  /** The stream has nothing queued any more. */
  drained(): void {
    this.isBusy = false;
    this.batchesTaken++;
    this.sentBytes = 0;
    for (const chunk of this.#sentChunks) chunk.release();
    this.#sentChunks = [];
    // With nothing more to say the chunk goes back, so that an idle connection holds none.
    if (this.gatheredBytes === 0) this.#leaveChunk();
    const charge = this.#sentCharge;
    this.#sentCharge = 0;
    this.#account.give(charge);
  }

  /** Nothing is sent any more; called again for what gathered since. */
  close(): void {
    this.stream = undefined;
    for (const chunk of this.#sentChunks) chunk.release();
    for (const chunk of this.#chunks) chunk.release();
    this.#sentChunks = [];
    this.#chunks = [];
    this.#parts = [];
    this.#leaveChunk();
    const charge = this.#sentCharge + this.#gatheredCharge;
    this.#sentCharge = this.#gatheredCharge = 0;
    this.gatheredBytes = this.sentBytes = 0;
    this.#account.give(charge);
  }

  /** Room for a header and what is copied behind it. */
  #reserve(): Chunk {
    let chunk = this.#chunk;
    if (chunk !== undefined && chunk.lengthBytes - this.#position >= PIECE_BYTES_MAX) return chunk;
    if (chunk !== undefined) {
      this.#seal();
      chunk.release();
    }
    chunk = this.#pool.atLeast(SMALL_BYTES);
    this.#chunk = chunk;
    this.#position = this.#begin = 0;
    return chunk;
  }

  #leaveChunk(): void {
    this.#chunk?.release();
    this.#chunk = undefined;
    this.#position = this.#begin = 0;
  }

  /** What was written since the last seal becomes a part. */
  #seal(): void {
    const chunk = this.#chunk;
    if (chunk === undefined || this.#position === this.#begin) return;
    chunk.retain();
    this.#parts.push(chunk.bytes.subarray(this.#begin, this.#position));
    this.#chunks.push(chunk);
    this.#begin = this.#position;
  }
}
