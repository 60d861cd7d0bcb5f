/**
 * Replies on their way out: many in one chunk, all that a turn made in one write to the socket.
 *
 * Always holds: replies are written at `position` of the current chunk after `reserve`, and count once they are
 * committed; a region that a device still fills is taken out (`detach`) and joins when it is done (`attach`).
 * While the stream has a batch queued, the next one gathers here.
 */
import type { ByteStream } from "../../ports/mod.ts";
import type { ByteAccount } from "./byte-budget.ts";
import type { Chunk, ChunkPool } from "./chunk-pool.ts";

/** A reply that a device still fills. */
export interface ReplyRegion {
  readonly chunk: Chunk;
  readonly start: number;
  readonly lengthBytes: number;
}

export class ReplyQueue {
  readonly #pool: ChunkPool;
  readonly #account: ByteAccount;
  stream: ByteStream | undefined;
  /** The chunk that replies are written into; there is none while nothing is to be said. */
  chunk: Chunk | undefined;
  position = 0;
  #begin = 0;
  #parts: Uint8Array[] = [];
  #chunks: (Chunk | undefined)[] = [];
  #sentChunks: (Chunk | undefined)[] = [];
  /** Bytes that gather here, then bytes that the stream has queued. */
  gatheredBytes = 0;
  sentBytes = 0;
  #gatheredCharge = 0;
  #sentCharge = 0;
  /** The stream has a batch queued. */
  busy = false;
  /** How many batches the client has taken. */
  batchesTaken = 0;

  constructor(pool: ChunkPool, account: ByteAccount) {
    this.#pool = pool;
    this.#account = account;
  }

  get queuedBytes(): number {
    return this.gatheredBytes + this.sentBytes;
  }

  /** Makes room for `bytes` bytes in one piece at `position` of the chunk that it returns. */
  reserve(bytes: number): Chunk {
    let chunk = this.chunk;
    if (chunk !== undefined && chunk.lengthBytes - this.position >= bytes) return chunk;
    if (chunk !== undefined) {
      this.#seal();
      chunk.release();
    }
    chunk = this.#pool.atLeast(bytes);
    this.chunk = chunk;
    this.position = this.#begin = 0;
    return chunk;
  }

  /** The reserved bytes are a whole reply now. `charge`: bytes of the account that it gives back once sent. */
  commit(bytes: number, charge: number): void {
    this.position += bytes;
    this.gatheredBytes += bytes;
    this.#gatheredCharge += charge;
  }

  /** Takes the reserved bytes out of the sequence, until `attach` or `drop`. */
  detach(bytes: number): ReplyRegion {
    this.#seal();
    const chunk = this.chunk!;
    chunk.retain();
    const region = { chunk, start: this.position, lengthBytes: bytes };
    this.position += bytes;
    this.#begin = this.position;
    return region;
  }

  attach(region: ReplyRegion, charge: number): void {
    this.#seal();
    this.#push(
      region.chunk.bytes.subarray(region.start, region.start + region.lengthBytes),
      region.chunk,
      charge,
    );
  }

  drop(region: ReplyRegion): void {
    region.chunk.release();
  }

  /** Adds bytes that stand in memory of their own. */
  append(bytes: Uint8Array, charge = 0): void {
    this.#seal();
    this.#push(bytes, undefined, charge);
  }

  /** Hands what has gathered to the stream, unless it has something queued. */
  flush(): void {
    if (this.busy || this.stream === undefined) return;
    this.#seal();
    if (this.#parts.length === 0) return;
    const parts = this.#parts;
    const chunks = this.#chunks;
    this.#parts = [];
    this.#chunks = [];
    this.#sentChunks = chunks;
    this.sentBytes = this.gatheredBytes;
    this.#sentCharge = this.#gatheredCharge;
    this.gatheredBytes = this.#gatheredCharge = 0;
    this.busy = true;
    if (this.stream.write(parts)) this.drained();
  }

  /** The stream has nothing queued any more. */
  drained(): void {
    this.busy = false;
    this.batchesTaken++;
    this.sentBytes = 0;
    for (const chunk of this.#sentChunks) chunk?.release();
    this.#sentChunks = [];
    // With nothing more to say the chunk goes back, so that an idle connection holds none.
    if (this.gatheredBytes === 0) this.#leaveChunk();
    const charge = this.#sentCharge;
    this.#sentCharge = 0;
    if (charge > 0) this.#account.give(charge);
  }

  /** Nothing is sent any more; called again for what gathered since. */
  close(): void {
    this.stream = undefined;
    for (const chunk of this.#sentChunks) chunk?.release();
    for (const chunk of this.#chunks) chunk?.release();
    this.#sentChunks = [];
    this.#chunks = [];
    this.#parts = [];
    this.#leaveChunk();
    const charge = this.#sentCharge + this.#gatheredCharge;
    this.#sentCharge = this.#gatheredCharge = 0;
    this.gatheredBytes = this.sentBytes = 0;
    if (charge > 0) this.#account.give(charge);
  }

  #leaveChunk(): void {
    this.chunk?.release();
    this.chunk = undefined;
    this.position = this.#begin = 0;
  }

  /** What was committed since the last seal becomes a part. */
  #seal(): void {
    const chunk = this.chunk;
    if (chunk === undefined || this.position === this.#begin) return;
    chunk.retain();
    this.#parts.push(chunk.bytes.subarray(this.#begin, this.position));
    this.#chunks.push(chunk);
    this.#begin = this.position;
  }

  #push(bytes: Uint8Array, chunk: Chunk | undefined, charge: number): void {
    this.#parts.push(bytes);
    this.#chunks.push(chunk);
    this.gatheredBytes += bytes.length;
    this.#gatheredCharge += charge;
  }
}
