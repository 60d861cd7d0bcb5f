/**
 * Checksums of blocks that a token write with a companion left on a device without checksums of its own: later reads are
 * held against them (T24). The pool needs none of this, as every page of it has a checksum.
 *
 * Always holds: a checksum is known only of a block that nothing else changed since the token write began; no more of
 * them than the memory is counted for, those kept longest ago are forgotten; a hole is none where a block with a
 * checksum of something else than zeros is known. Errors: CHECKSUM_MISMATCH instead of bytes that are others.
 */
import { checksum, checksumAt } from "../base/checksum.ts";
import { RopewalkError } from "../base/errors.ts";
import type { BlockDevice, ByteRange, Extent } from "../device/mod.ts";
import { BlockSums, KEPT_BLOCK_BYTES } from "./block-sums.ts";
import type { StoredChecksums } from "./checksum-file.ts";
import { readWhole } from "./token-backing.ts";

/** A map's entry of two small numbers, measured generously. */
const ENTRY_BYTES = 64;
const ZERO_SUM = checksum(new Uint8Array(KEPT_BLOCK_BYTES));

export class KeptChecksums {
  readonly #blocksMax: number;
  readonly #description: string;
  /** In the order in which they were kept. */
  readonly #sums = new Map<number, number>();
  readonly #writes = new Set<KeptWrite>();
  #sizeBytes = 0;
  #acting: KeptWrite | undefined;
  /** Grows with each write that kept some. */
  #keeps = 0;

  constructor({ bytesMax, description }: { bytesMax: number; description: string }) {
    this.#blocksMax = Math.floor(bytesMax / ENTRY_BYTES);
    this.#description = description;
  }

  get isIdle(): boolean {
    return this.#sums.size === 0 && this.#writes.size === 0;
  }

  get isOff(): boolean {
    return this.#blocksMax === 0;
  }

  /** The write whose own changes are being issued. */
  get actor(): KeptWrite | undefined {
    return this.#acting;
  }

  /** A token write begins, in a moment in which no change is under way. */
  begin(request: { tokenOffsetBytes: number; ranges: readonly ByteRange[] }): KeptWrite {
    const write = new KeptWrite(request);
    this.#writes.add(write);
    return write;
  }

  /** Changes issued while `act` runs are the write's own. */
  acting<Result>(write: KeptWrite | undefined, act: () => Result): Result {
    const before = this.#acting;
    this.#acting = write;
    try {
      return act();
    } finally {
      this.#acting = before;
    }
  }

  /** A change is issued: nothing is known of what it touches. */
  changed(offset: number, length: number): void {
    const first = Math.floor(offset / KEPT_BLOCK_BYTES);
    const last = Math.floor((offset + length - 1) / KEPT_BLOCK_BYTES);
    if (last - first < this.#sums.size)
      for (let number = first; number <= last; number++) this.#sums.delete(number);
    else
      for (const number of this.#sums.keys())
        if (number >= first && number <= last) this.#sums.delete(number);
    for (const write of this.#writes) if (write !== this.#acting) write.touched(first, last);
  }

  /** The write has ended, and wrote so much from its start on. */
  end(write: KeptWrite, { lengthBytes, sizeBytes }: { lengthBytes: number; sizeBytes: number }): void {
    this.#writes.delete(write);
    this.#checkSize(sizeBytes);
    for (const [number, sum] of write.sums(lengthBytes)) this.#keep(number, sum);
    this.#keeps += 1;
  }

  #keep(number: number, sum: number): void {
    if (this.#sums.size >= this.#blocksMax) {
      const [oldest] = this.#sums.keys();
      this.#sums.delete(oldest!);
    }
    this.#sums.set(number, sum);
  }

  /** What an earlier opening of a device of that size kept, before anything is done with this one. */
  restore({ sizeBytes, sums }: StoredChecksums): void {
    if (this.isOff) return;
    this.#sizeBytes = sizeBytes;
    for (const [number, sum] of sums) this.#keep(number, sum);
  }

  /** For a later opening; undefined when nothing is kept. */
  stored(sizeBytes: number): StoredChecksums | undefined {
    this.#checkSize(sizeBytes);
    return this.#sums.size === 0 ? undefined : { sizeBytes, sums: this.#sums };
  }

  /** `extents` of a device, with data where something was kept that is not zeros: it has to be read to be seen. */
  guarded(extents: Extent[], { sizeBytes, extentsMax }: { sizeBytes: number; extentsMax: number }): Extent[] {
    this.#checkSize(sizeBytes);
    if (this.#sums.size === 0) return extents;
    const parts: Extent[] = [];
    const add = (start: number, end: number, kind: Extent["kind"]) => {
      if (start >= end) return;
      const last = parts.at(-1);
      if (last?.kind !== kind) parts.push({ offsetBytes: start, lengthBytes: end - start, kind });
      else parts[parts.length - 1] = { ...last, lengthBytes: last.lengthBytes + end - start };
    };
    for (const { offsetBytes, lengthBytes, kind } of extents) {
      let at = offsetBytes;
      const end = offsetBytes + lengthBytes;
      if (kind !== "data")
        for (const number of this.#dataBlocks(at, end)) {
          const start = Math.max(at, number * KEPT_BLOCK_BYTES);
          add(at, start, kind);
          at = Math.min(end, (number + 1) * KEPT_BLOCK_BYTES);
          add(start, at, "data");
        }
      add(at, end, kind);
    }
    return parts.slice(0, extentsMax);
  }

  /** Blocks of a range that are known to be more than zeros, in order. */
  #dataBlocks(start: number, end: number): number[] {
    const first = Math.floor(start / KEPT_BLOCK_BYTES);
    const last = Math.floor((end - 1) / KEPT_BLOCK_BYTES);
    const found: number[] = [];
    if (last - first < this.#sums.size) {
      for (let number = first; number <= last; number++)
        if ((this.#sums.get(number) ?? ZERO_SUM) !== ZERO_SUM) found.push(number);
      return found;
    }
    for (const [number, sum] of this.#sums)
      if (number >= first && number <= last && sum !== ZERO_SUM) found.push(number);
    return found.sort((one, other) => one - other);
  }

  /** Reads however long a range; what lies past the device's end is zeros. CHECKSUM_MISMATCH */
  async read(device: BlockDevice, offset: number, target: Uint8Array): Promise<void> {
    const { sizeBytes } = device;
    this.#checkSize(sizeBytes);
    if (this.#sums.size === 0 || target.length === 0) return readWhole(device, offset, target);
    const keeps = this.#keeps;
    const first = Math.floor(offset / KEPT_BLOCK_BYTES);
    const last = Math.floor((offset + target.length - 1) / KEPT_BLOCK_BYTES);
    const start = this.#sums.has(first) ? first * KEPT_BLOCK_BYTES : offset;
    const end = this.#sums.has(last) ? (last + 1) * KEPT_BLOCK_BYTES : offset + target.length;
    const isWhole = start === offset && end === offset + target.length;
    const bytes = isWhole ? target : new Uint8Array(end - start);
    await readWhole(device, start, bytes);
    // What was kept meanwhile may be of other data than what was read.
    if (keeps === this.#keeps) this.#compare(start, bytes);
    if (!isWhole) target.set(bytes.subarray(offset - start, offset - start + target.length));
  }

  #compare(start: number, bytes: Uint8Array): void {
    const end = start + bytes.length;
    for (let number = Math.ceil(start / KEPT_BLOCK_BYTES); (number + 1) * KEPT_BLOCK_BYTES <= end; number++) {
      const known = this.#sums.get(number);
      const at = number * KEPT_BLOCK_BYTES;
      if (known === undefined || known === checksumAt(bytes, at - start, KEPT_BLOCK_BYTES)) continue;
      throw new RopewalkError(
        "CHECKSUM_MISMATCH",
        `The ${KEPT_BLOCK_BYTES} bytes at ${at} of ${this.#description} are not those that a token's checksum came with.`,
      );
    }
  }

  /** A device that was cut or grown holds what nobody wrote through here. */
  #checkSize(sizeBytes: number): void {
    if (sizeBytes === this.#sizeBytes) return;
    this.#sums.clear();
    this.#sizeBytes = sizeBytes;
  }
}

/** One token write whose data's checksums are to be kept. */
export class KeptWrite {
  readonly #request: { tokenOffsetBytes: number; ranges: readonly ByteRange[] };
  #sums: BlockSums | undefined;
  /** Some of the data came from a token of which no checksum is known. */
  #isSpoilt = false;
  /** Blocks that others changed meanwhile lie between these. */
  #touchedFirst = Number.POSITIVE_INFINITY;
  #touchedLast = Number.NEGATIVE_INFINITY;

  constructor(request: { tokenOffsetBytes: number; ranges: readonly ByteRange[] }) {
    this.#request = request;
  }

  /** A token is about to be hashed from its start to its end. */
  hashing(): BlockSums {
    this.#sums = new BlockSums(this.#request);
    return this.#sums;
  }

  spoil(): void {
    this.#isSpoilt = true;
  }

  touched(first: number, last: number): void {
    this.#touchedFirst = Math.min(this.#touchedFirst, first);
    this.#touchedLast = Math.max(this.#touchedLast, last);
  }

  *sums(writtenBytes: number): Generator<[number: number, sum: number]> {
    if (this.#isSpoilt || this.#sums === undefined) return;
    for (const { number, sum, endBytes } of this.#sums.found) {
      const isTouched = this.#touchedFirst <= number && number <= this.#touchedLast;
      if (endBytes <= writtenBytes && !isTouched) yield [number, sum];
    }
  }
}
