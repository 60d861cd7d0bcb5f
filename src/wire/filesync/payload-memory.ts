/**
 * Memory for the payloads of frames, of which the large ones come back and are used again.
 *
 * Always holds: at most `FREE_BYTES_MAX` lie unused; nobody is handed memory that somebody else still has. New memory for
 * each large frame cost a large copy more than half of the target's processor time: it is taken out of the garbage
 * collector's allowance, which then looks at the whole heap for every few frames, and the kernel has to zero it.
 */

import { releaseMemory } from "../../base/release-memory.ts";

/** What is shorter comes from the heap, zeroed, and does not come back. */
const UNZEROED_BYTES_MIN = 16 * 1024;
const REUSED_BYTES_MIN = 256 * 1024;
/** As much as a large copy has under way. */
const FREE_BYTES_MAX = 8 * 2 ** 20;

export class PayloadMemory {
  /** The last one is still in the processor's cache. */
  readonly #free: ArrayBuffer[] = [];
  #freeBytes = 0;

  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** What is in it is anything: it is filled wholly before anybody sees it. */
  take(length: number): Uint8Array {
    if (length < UNZEROED_BYTES_MIN) return new Uint8Array(length);
    if (length >= REUSED_BYTES_MIN) {
      // Not one that is much too long: a small frame would keep it from a large one.
      const index = this.#free.findLastIndex(
        ({ byteLength }) => byteLength >= length && byteLength <= 2 * length,
      );
      if (index >= 0) {
        const [found] = this.#free.splice(index, 1);
        this.#freeBytes -= found!.byteLength;
        return new Uint8Array(found!, 0, length);
      }
    }
    return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
  }

  /** `payload`: from `take`, once; nobody looks at it any more. The oldest ones go where it is too much. */
  giveBack(payload: Uint8Array): void {
    const { buffer } = payload;
    // One that was transferred to a thread has no bytes.
    if (!(buffer instanceof ArrayBuffer)) return;
    if (buffer.byteLength < REUSED_BYTES_MIN) {
      releaseMemory(payload);
      return;
    }
    this.#free.push(buffer);
    this.#freeBytes += buffer.byteLength;
    while (this.#freeBytes > FREE_BYTES_MAX) this.#freeBytes -= this.#free.shift()!.byteLength;
  }

  clear(): void {
    this.#free.length = 0;
    this.#freeBytes = 0;
  }
}
