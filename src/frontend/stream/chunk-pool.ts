/**
 * Memory that data of the network stands in: chunks, counted by reference, shared by all connections of a server.
 *
 * Always holds: a chunk goes back to the pool when the last one that retained it releases it, and not before; so what
 * is written is handed to the device where it arrived. The pool keeps a bounded number of free bytes; the rest is the
 * garbage collector's.
 */
import { assert } from "../../base/assert.ts";
import type { PageThreads } from "../../ports/mod.ts";

/** What an idle connection holds. */
export const SMALL_BYTES = 8 * 1024;
/** Four replies or requests of 128 KiB with their headers: one turn of a busy connection. */
export const LARGE_BYTES = 4 * 128 * 1024 + 4 * 1024;
/** What is longer than this gets a large chunk, up to its length. */
const HALF_BYTES = 256 * 1024;
/** Above this sum nobody gets more than needed: a small write that is long in work keeps its whole chunk. */
const ROOMY_BYTES = 64 * 1024 * 1024;
const FREE_BYTES_MAX = 64 * 1024 * 1024;
/** From so many bytes on chunks stand in memory that the page threads see: they take no less. */
const SHARED_BYTES_MIN = 64 * 1024;

export class Chunk {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** The page threads see it; such memory is handed out once, so it is never left to the garbage collector. */
  readonly isShared: boolean;
  readonly #pool: ChunkPool;
  references = 1;

  constructor(pool: ChunkPool, bytes: Buffer, { isShared }: { isShared: boolean }) {
    this.isShared = isShared;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#pool = pool;
  }

  get lengthBytes(): number {
    return this.bytes.length;
  }

  retain(): void {
    this.references++;
  }

  release(): void {
    assert(this.references > 0, "a chunk is released no more often than it was retained");
    if (--this.references === 0) this.#pool.takeBack(this);
  }
}

export class ChunkPool {
  /** Free chunks, by their length: that of a large one, or a power of two. */
  readonly #free = new Map<number, Chunk[]>();
  readonly #pageThreads: Pick<PageThreads, "allocate"> | undefined;
  #freeBytes = 0;
  /** Bytes of chunks that are in use. */
  usedBytes = 0;

  /** `pageThreads`: large chunks stand in memory that they see, as long as there is some. */
  constructor(pageThreads?: Pick<PageThreads, "allocate">) {
    this.#pageThreads = pageThreads;
  }

  /** Whether chunks may be handed out that are larger than needed. */
  get roomy(): boolean {
    return this.usedBytes < ROOMY_BYTES;
  }

  /** A chunk with room for `lengthBytes`, retained once. */
  atLeast(lengthBytes: number): Chunk {
    const sizeBytes = chunkBytesFor(lengthBytes);
    this.usedBytes += sizeBytes;
    const chunk = this.#free.get(sizeBytes)?.pop();
    if (chunk === undefined) return this.#make(sizeBytes);
    this.#freeBytes -= sizeBytes;
    chunk.references = 1;
    return chunk;
  }

  takeBack(chunk: Chunk): void {
    const sizeBytes = chunk.lengthBytes;
    this.usedBytes -= sizeBytes;
    if (this.#freeBytes + sizeBytes > FREE_BYTES_MAX && !chunk.isShared) return;
    this.#freeBytes += sizeBytes;
    const free = this.#free.get(sizeBytes);
    if (free === undefined) this.#free.set(sizeBytes, [chunk]);
    else free.push(chunk);
  }

  #make(sizeBytes: number): Chunk {
    const shared = sizeBytes >= SHARED_BYTES_MIN ? this.#pageThreads?.allocate(sizeBytes) : undefined;
    return shared === undefined
      ? new Chunk(this, Buffer.allocUnsafeSlow(sizeBytes), { isShared: false })
      : new Chunk(this, Buffer.from(shared.buffer, shared.byteOffset, sizeBytes), { isShared: true });
  }
}

function chunkBytesFor(lengthBytes: number): number {
  if (lengthBytes <= SMALL_BYTES) return SMALL_BYTES;
  if (lengthBytes > HALF_BYTES && lengthBytes <= LARGE_BYTES) return LARGE_BYTES;
  return 2 ** Math.ceil(Math.log2(lengthBytes));
}
