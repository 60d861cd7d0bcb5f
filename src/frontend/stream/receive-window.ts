/**
 * The bytes that arrived on one connection and are not consumed yet, always in one piece; or, while a long data
 * segment arrives, the memory that it goes to directly.
 *
 * Always holds: [start, end) of `chunk` is what arrived; whoever waits for more than fits behind `start` says so by
 * `want`, and the window then goes on in a chunk where it fits, taking the few bytes along. A payload that fits is never
 * copied. Memory of a direct segment is retained until it is filled or the stream is gone, so a command may end
 * meanwhile. A connection that sends little holds a small chunk only.
 */
import { type Chunk, type ChunkPool, LARGE_BYTES, SMALL_BYTES } from "./chunk-pool.ts";

/** Below this much room it is cheaper to begin another chunk than to read in bits. */
const ROOM_BYTES_MIN = 64 * 1024;
const SMALL_ROOM_BYTES_MIN = 1024;
/** Small reads in a row after which a connection counts as quiet. */
const BUSY_READS = 16;

interface DirectSegment {
  readonly chunk: Chunk;
  position: number;
  readonly end: number;
}

export class ReceiveWindow {
  readonly #pool: ChunkPool;
  chunk: Chunk;
  start = 0;
  end = 0;
  #wantedBytes = 1;
  #offeredBytes = 0;
  #busyReads = 0;
  #direct: DirectSegment | undefined;
  /** The stream was given the direct segment, not the window. */
  #offeredDirect: DirectSegment | undefined;
  /** Chunks from before a reset. */
  readonly #before: Chunk[] = [];
  /** All bytes that ever arrived. */
  receivedBytes = 0;

  constructor(pool: ChunkPool) {
    this.#pool = pool;
    this.chunk = pool.atLeast(SMALL_BYTES);
  }

  get availableBytes(): number {
    return this.end - this.start;
  }

  /** Nothing can go on before `bytes` bytes from `start` are there. */
  want(bytes: number): void {
    this.#wantedBytes = bytes;
  }

  consume(bytes: number): void {
    this.start += bytes;
    this.#wantedBytes = 1;
  }

  /** Consumes up to `bytes` bytes; returns how many there were. */
  skip(bytes: number): number {
    const skipped = Math.min(bytes, this.end - this.start);
    this.consume(skipped);
    return skipped;
  }

  /** The next `length` bytes go to `chunk` at `position`. */
  direct(chunk: Chunk, position: number, length: number): void {
    chunk.retain();
    this.#direct = { chunk, position, end: position + length };
  }

  /** Moves what stands in the window on to the direct segment; true when that is complete, and over. */
  directDone(): boolean {
    const direct = this.#direct!;
    const moved = Math.min(this.availableBytes, direct.end - direct.position);
    if (moved > 0) {
      this.chunk.bytes.copy(direct.chunk.bytes, direct.position, this.start, this.start + moved);
      direct.position += moved;
      this.consume(moved);
    }
    if (direct.position < direct.end) return false;
    this.#direct = undefined;
    if (this.#offeredDirect !== direct) direct.chunk.release();
    return true;
  }

  /** Where the next bytes should go. */
  target(): Uint8Array {
    const direct = this.#direct;
    if (this.#offeredDirect !== undefined && this.#offeredDirect !== direct)
      this.#offeredDirect.chunk.release();
    this.#offeredDirect = undefined;
    if (direct !== undefined && direct.position < direct.end && this.start === this.end) {
      this.#offeredDirect = direct;
      return direct.chunk.bytes.subarray(direct.position, direct.end);
    }
    const chunk = this.chunk;
    const quiet = this.#busyReads === 0 || !this.#pool.roomy;
    if (this.start === this.end) {
      if (chunk.references === 1 && (chunk.lengthBytes === SMALL_BYTES || !quiet)) this.start = this.end = 0;
      else if (quiet && chunk.lengthBytes > SMALL_BYTES) this.#moveOn();
    }
    const roomBytes = this.chunk.lengthBytes - this.end;
    const roomBytesMin = this.chunk.lengthBytes === SMALL_BYTES ? SMALL_ROOM_BYTES_MIN : ROOM_BYTES_MIN;
    const missingBytes = this.#wantedBytes - (this.end - this.start);
    if (
      roomBytes < missingBytes ||
      roomBytes === 0 ||
      (roomBytes < roomBytesMin && missingBytes < roomBytesMin / 2)
    )
      this.#moveOn();
    this.#offeredBytes = this.chunk.lengthBytes - this.end;
    return this.end === 0 ? this.chunk.bytes : this.chunk.bytes.subarray(this.end);
  }

  /** `length` bytes arrived in what `target` gave. */
  received(length: number): void {
    this.receivedBytes += length;
    if (this.#offeredDirect !== undefined) {
      this.#offeredDirect.position += length;
      this.#busyReads = BUSY_READS;
      return;
    }
    this.end += length;
    if (length === this.#offeredBytes || length > SMALL_BYTES / 2) this.#busyReads = BUSY_READS;
    else if (this.#busyReads > 0) this.#busyReads--;
  }

  /** Goes on in another chunk that has room for what is wanted, with the unconsumed bytes at its beginning. */
  #moveOn(): void {
    const generous = this.#busyReads > 0 && this.#pool.roomy;
    const neededBytes = Math.max(this.#wantedBytes, generous ? LARGE_BYTES : 0, this.availableBytes + 1);
    const next = this.#pool.atLeast(neededBytes);
    this.chunk.bytes.copy(next.bytes, 0, this.start, this.end);
    this.end -= this.start;
    this.start = 0;
    this.chunk.release();
    this.chunk = next;
  }

  /** Forgets everything that arrived. The old chunk may still be known to the stream, so nobody gets it before that closes. */
  reset(): void {
    this.#before.push(this.chunk);
    this.chunk = this.#pool.atLeast(SMALL_BYTES);
    this.start = this.end = 0;
    this.#wantedBytes = 1;
  }

  /** The stream is gone: nobody writes into the memory any more. */
  close(): void {
    this.start = this.end = 0;
    this.chunk.release();
    for (const chunk of this.#before.splice(0)) chunk.release();
    const offered = this.#offeredDirect;
    if (offered !== undefined) offered.chunk.release();
    if (this.#direct !== undefined && this.#direct !== offered) this.#direct.chunk.release();
    this.#direct = this.#offeredDirect = undefined;
  }
}
