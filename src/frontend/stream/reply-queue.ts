/**
 * Replies on their way out: many in one chunk, data where it stands, all that a turn made in one write to the stream.
 *
 * Always holds: replies are written at `position` of the current chunk after `reserve`, and count once they are
 * committed; a region that a device still fills is taken out (`detach`) and joins when it is done (`attach`). While the
 * stream has a batch queued, the next ones gather here; none of more than twice `BATCH_BYTES` leaves in one write, so
 * that a peer that takes its replies slowly is told from one that takes none.
 */
import type { ByteStream } from "../../ports/mod.ts";
import type { Chunk, ChunkPool } from "./chunk-pool.ts";

/** A reply that a device still fills. */
export interface ReplyRegion {
  readonly chunk: Chunk;
  readonly start: number;
  readonly lengthBytes: number;
}

/** Who pays for replies until they are sent. */
export interface ReplyAccount {
  give(bytes: number): void;
}

/** From so many bytes on the next batch begins. */
const BATCH_BYTES = 1024 * 1024;

/** What is handed to the stream in one write. */
class Batch {
  readonly parts: Uint8Array[] = [];
  /** Memory of the parts that is retained until they are sent. */
  readonly chunks: Chunk[] = [];
  bytes = 0;
  /** Bytes of the account that are given back once it is sent. */
  charge = 0;

  release(): void {
    for (const chunk of this.chunks) chunk.release();
  }
}

export class ReplyQueue {
  readonly #pool: ChunkPool;
  readonly #account: ReplyAccount;
  readonly #chunkBytes: number;
  stream: ByteStream | undefined;
  /** The chunk that replies are written into; there is none while nothing is to be said. */
  chunk: Chunk | undefined;
  position = 0;
  #begin = 0;
  #gathering = new Batch();
  /** Batches that are full and wait for the stream. */
  readonly #full: Batch[] = [];
  #sent: Batch | undefined;
  /** Bytes that gather here, then bytes that the stream has queued. */
  gatheredBytes = 0;
  sentBytes = 0;
  #charge = 0;
  /** How many batches the peer has taken. */
  batchesTaken = 0;

  /** `chunkBytes`: what replies are written into, as long as the pool has room. */
  constructor(pool: ChunkPool, account: ReplyAccount, chunkBytes: number) {
    this.#pool = pool;
    this.#account = account;
    this.#chunkBytes = chunkBytes;
  }

  get queuedBytes(): number {
    return this.gatheredBytes + this.sentBytes;
  }

  /** Bytes of the account that are held for the peer. */
  get chargedBytes(): number {
    return this.#charge;
  }

  /** Queued bytes that the account does not pay for. */
  get unpaidBytes(): number {
    return Math.max(0, this.queuedBytes - this.#charge);
  }

  /** The stream has a batch queued. */
  get isBusy(): boolean {
    return this.#sent !== undefined;
  }

  /** Makes room for `bytes` bytes in one piece at `position` of the chunk that it returns. */
  reserve(bytes: number): Chunk {
    let chunk = this.chunk;
    if (chunk !== undefined && chunk.lengthBytes - this.position >= bytes) return chunk;
    if (chunk !== undefined) {
      this.#seal();
      chunk.release();
    }
    chunk = this.#pool.atLeast(this.#pool.roomy ? Math.max(bytes, this.#chunkBytes) : bytes);
    this.chunk = chunk;
    this.position = this.#begin = 0;
    return chunk;
  }

  /** The reserved bytes belong to a reply now. `charge`: bytes of the account that it gives back once sent. */
  commit(bytes: number, charge: number): void {
    this.position += bytes;
    this.#count(bytes, charge);
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

  /** Adds a region that is filled; it was retained when it was detached. */
  attach(region: ReplyRegion, charge: number): void {
    this.#seal();
    const { parts, chunks } = this.#gathering;
    parts.push(region.chunk.bytes.subarray(region.start, region.start + region.lengthBytes));
    chunks.push(region.chunk);
    this.#count(region.lengthBytes, charge);
  }

  drop(region: ReplyRegion): void {
    region.chunk.release();
  }

  /** Adds bytes where they stand. `memory`: what they stand in, kept until they are sent; else the garbage collector's. */
  append(bytes: Uint8Array, charge = 0, memory?: Chunk): void {
    this.#seal();
    this.#gathering.parts.push(bytes);
    if (memory !== undefined) {
      memory.retain();
      this.#gathering.chunks.push(memory);
    }
    this.#count(bytes.length, charge);
  }

  /** Hands what has gathered to the stream, unless it has something queued. */
  flush(): void {
    if (this.isBusy) return;
    this.#seal();
    while (this.stream !== undefined && !this.isBusy) {
      const batch = this.#next();
      if (batch === undefined) return;
      this.#sent = batch;
      this.sentBytes = batch.bytes;
      this.gatheredBytes -= batch.bytes;
      if (this.stream.write(batch.parts)) this.drained();
    }
  }

  /** The stream has nothing queued any more. */
  drained(): void {
    const batch = this.#sent;
    this.#sent = undefined;
    this.batchesTaken++;
    this.sentBytes = 0;
    batch?.release();
    // With nothing more to say the chunk goes back, so that an idle connection holds none.
    if (this.gatheredBytes === 0) this.#leaveChunk();
    this.#give(batch?.charge ?? 0);
  }

  /** Nothing is sent any more; called again for what gathered since. */
  close(): void {
    this.stream = undefined;
    for (const batch of this.#full.splice(0)) batch.release();
    this.#sent?.release();
    this.#gathering.release();
    this.#sent = undefined;
    this.#gathering = new Batch();
    this.#leaveChunk();
    this.gatheredBytes = this.sentBytes = 0;
    this.#give(this.#charge);
  }

  #next(): Batch | undefined {
    let batch = this.#full.shift();
    if (batch === undefined) {
      batch = this.#gathering;
      if (batch.parts.length === 0) return undefined;
      this.#gathering = new Batch();
    }
    return batch.bytes > 2 * BATCH_BYTES ? this.#headOf(batch) : batch;
  }

  /** A long reply leaves bit by bit; its memory and its charge stay with the rest. */
  #headOf(batch: Batch): Batch {
    const head = new Batch();
    while (head.bytes < BATCH_BYTES) {
      const part = batch.parts[0]!;
      const taken = part.subarray(0, BATCH_BYTES - head.bytes);
      head.parts.push(taken);
      head.bytes += taken.length;
      if (taken.length === part.length) batch.parts.shift();
      else batch.parts[0] = part.subarray(taken.length);
    }
    batch.bytes -= head.bytes;
    this.#full.unshift(batch);
    return head;
  }

  #count(bytes: number, charge: number): void {
    this.gatheredBytes += bytes;
    this.#charge += charge;
    const batch = this.#gathering;
    batch.bytes += bytes;
    batch.charge += charge;
    if (batch.bytes < BATCH_BYTES) return;
    this.#seal();
    this.#full.push(batch);
    this.#gathering = new Batch();
  }

  #give(charge: number): void {
    if (charge === 0) return;
    this.#charge -= charge;
    this.#account.give(charge);
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
    this.#gathering.parts.push(chunk.bytes.subarray(this.#begin, this.position));
    this.#gathering.chunks.push(chunk);
    this.#begin = this.position;
  }
}
