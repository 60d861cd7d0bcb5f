/**
 * Memory that bytes of the network stand in: chunks, counted by reference, shared by all connections.
 *
 * Always holds: a chunk goes back to the pool when the last one that retained it releases it, and not before;
 * so a write's payload is handed to the device where it arrived. The pool keeps a bounded number of free
 * chunks; the rest is the garbage collector's.
 */
import { assert } from "../../base/assert.ts";
import type { PageThreads } from "../../ports/mod.ts";

/** What an idle connection holds. */
export const SMALL_BYTES = 8 * 1024;
/** Four replies or requests of 128 KiB with their headers: one turn of a busy connection. */
export const LARGE_BYTES = 4 * 128 * 1024 + 4 * 1024;
const SMALL_FREE_MAX = 1024;
const LARGE_FREE_MAX = 48;
/**
 * Above this sum nobody gets more than needed: a small write that is long in work keeps its whole chunk.
 */
const ROOMY_BYTES = 64 * 1024 * 1024;
/** Free chunks of other sizes (powers of two), all sizes together. */
const LONG_FREE_BYTES_MAX = 32 * 1024 * 1024;

export class Chunk {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly #home: Chunk[] | undefined;
  readonly #pool: ChunkPool;
  references = 0;

  constructor(pool: ChunkPool, bytes: Buffer, home: Chunk[] | undefined) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#pool = pool;
    this.#home = home;
  }

  get lengthBytes(): number {
    return this.bytes.length;
  }

  retain(): void {
    this.references++;
  }

  release(): void {
    assert(this.references > 0, "a chunk is released no more often than it was retained");
    if (--this.references === 0) this.#pool.takeBack(this, this.#home);
  }
}

export class ChunkPool {
  readonly #small: Chunk[] = [];
  readonly #large: Chunk[] = [];
  readonly #long: Chunk[] = [];
  readonly #pageThreads: Pick<PageThreads, "allocate"> | undefined;
  #longFreeBytes = 0;
  /** Bytes of chunks that are in use. */
  usedBytes = 0;

  /** `pageThreads`: large chunks stand in memory that they see, as long as there is some. */
  constructor(pageThreads?: Pick<PageThreads, "allocate">) {
    this.#pageThreads = pageThreads;
  }

  small(): Chunk {
    return this.#out(this.#small.pop() ?? new Chunk(this, Buffer.allocUnsafeSlow(SMALL_BYTES), this.#small));
  }

  large(): Chunk {
    return this.#out(this.#large.pop() ?? new Chunk(this, this.#largeBytes(), this.#large));
  }

  /** A chunk with room for `lengthBytes`: a large one, as long as there are not too many about. */
  atLeast(lengthBytes: number): Chunk {
    if (lengthBytes <= LARGE_BYTES && this.roomy) return this.large();
    if (lengthBytes <= SMALL_BYTES) return this.small();
    const sizeBytes = 2 ** Math.ceil(Math.log2(lengthBytes));
    const index = this.#long.findIndex((chunk) => chunk.lengthBytes === sizeBytes);
    if (index < 0) return this.#out(new Chunk(this, Buffer.allocUnsafeSlow(sizeBytes), undefined));
    this.#longFreeBytes -= sizeBytes;
    return this.#out(this.#long.splice(index, 1)[0]!);
  }

  /** Whether chunks may be handed out that are larger than needed. */
  get roomy(): boolean {
    return this.usedBytes < ROOMY_BYTES;
  }

  takeBack(chunk: Chunk, home: Chunk[] | undefined): void {
    this.usedBytes -= chunk.lengthBytes;
    if (home !== undefined) {
      if (home.length < (home === this.#small ? SMALL_FREE_MAX : LARGE_FREE_MAX)) home.push(chunk);
    } else if (this.#longFreeBytes + chunk.lengthBytes <= LONG_FREE_BYTES_MAX) {
      this.#longFreeBytes += chunk.lengthBytes;
      this.#long.push(chunk);
    }
  }

  #largeBytes(): Buffer {
    const shared = this.#pageThreads?.allocate(LARGE_BYTES);
    if (shared === undefined) return Buffer.allocUnsafeSlow(LARGE_BYTES);
    return Buffer.from(shared.buffer, shared.byteOffset, LARGE_BYTES);
  }

  #out(chunk: Chunk): Chunk {
    chunk.references = 1;
    this.usedBytes += chunk.lengthBytes;
    return chunk;
  }
}
