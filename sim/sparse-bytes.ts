/**
 * The content of a simulated file: bytes in chunks, where a chunk that was never written reads as zeros.
 * Always holds: a copy shares chunks with its original and neither sees the other's later writes, so copying
 * a disk costs nothing per byte.
 */

const chunkBytes = 16 * 1024;

export class SparseBytes {
  readonly sizeBytes: number;
  readonly #chunks: (Uint8Array | undefined)[];
  /** Chunks that no copy shares. */
  readonly #own: boolean[];

  constructor(sizeBytes: number, chunks: (Uint8Array | undefined)[] = []) {
    this.sizeBytes = sizeBytes;
    this.#chunks = chunks;
    this.#own = [];
  }

  copy(): SparseBytes {
    this.#own.length = 0;
    return new SparseBytes(this.sizeBytes, this.#chunks.slice());
  }

  read(position: number, target: Uint8Array, targetOffset: number, length: number): void {
    for (let done = 0; done < length; ) {
      const index = Math.floor((position + done) / chunkBytes);
      const from = (position + done) % chunkBytes;
      const part = Math.min(length - done, chunkBytes - from);
      const chunk = this.#chunks[index];
      if (chunk === undefined) target.fill(0, targetOffset + done, targetOffset + done + part);
      else target.set(chunk.subarray(from, from + part), targetOffset + done);
      done += part;
    }
  }

  write(position: number, source: Uint8Array): void {
    for (let done = 0; done < source.length; ) {
      const index = Math.floor((position + done) / chunkBytes);
      const from = (position + done) % chunkBytes;
      const part = Math.min(source.length - done, chunkBytes - from);
      this.#ownChunk(index).set(source.subarray(done, done + part), from);
      done += part;
    }
  }

  slice(position: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.read(position, bytes, 0, length);
    return bytes;
  }

  #ownChunk(index: number): Uint8Array {
    const chunk = this.#chunks[index];
    if (chunk !== undefined && this.#own[index]) return chunk;
    const own = chunk === undefined ? new Uint8Array(chunkBytes) : chunk.slice();
    this.#chunks[index] = own;
    this.#own[index] = true;
    return own;
  }
}
