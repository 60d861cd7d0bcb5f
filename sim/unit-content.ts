/**
 * What stands in each 512-byte unit of a modelled map, as a number: the stamp. Every unit of every request has
 * a stamp of its own, so bytes that were read say which request wrote them.
 *
 * Always holds: stamp 0 is zeros that were never written or were given back, stamp 1 is zeros that may still
 * occupy their block; a stamp means the same bytes for ever, in every map.
 */

export const unitBytes = 512;
export const pageBytes = 4096;
export const unitsPerPage = pageBytes / unitBytes;

export const stampHole = 0;
export const stampZero = 1;

const wordsPerUnit = unitBytes / 4;

export class UnitContent {
  #nextStamp = 2;
  #nextBlock = 1;
  /** Units that a request covered in part: their bytes are not a pattern. */
  readonly #mixed = new Map<number, Uint8Array>();

  /** Fresh stamps, one for each of `units`; the first is returned. */
  reserveStamps(units: number): number {
    const first = this.#nextStamp;
    this.#nextStamp += units;
    return first;
  }

  /** Fresh names of 4 KiB blocks. */
  reserveBlocks(pages: number): number {
    const first = this.#nextBlock;
    this.#nextBlock += pages;
    return first;
  }

  setMixed(stamp: number, bytes: Uint8Array): void {
    this.#mixed.set(stamp, bytes);
  }

  /** Writes the unit's 512 bytes to `target` at `at`, which need not be aligned. */
  fill(stamp: number, target: Uint8Array, at: number): void {
    if (stamp <= stampZero) {
      target.fill(0, at, at + unitBytes);
      return;
    }
    const mixed = this.#mixed.get(stamp);
    if (mixed !== undefined) {
      target.set(mixed, at);
      return;
    }
    const address = target.byteOffset + at;
    if (address % 4 === 0) fillPattern(stamp, new Uint32Array(target.buffer, address, wordsPerUnit));
    else target.set(patternBytes(stamp), at);
  }

  bytes(stamp: number): Uint8Array {
    const bytes = new Uint8Array(unitBytes);
    this.fill(stamp, bytes, 0);
    return bytes;
  }

  /** The stamp whose pattern these 512 bytes are, if any. */
  stampOf(bytes: Uint8Array): number | undefined {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const word = view.getUint32(0, true);
    if (word <= stampZero || word >= this.#nextStamp || view.getUint32(4, true) !== nextWord(word) >>> 0)
      return undefined;
    return Buffer.compare(patternBytes(word), bytes) === 0 ? word : undefined;
  }

  /** What the bytes of a unit look like, for messages. */
  describe(bytes: Uint8Array): string {
    if (bytes.every((byte) => byte === 0)) return "zeros";
    const stamp = this.stampOf(bytes);
    if (stamp !== undefined) return `stamp ${stamp}`;
    return `bytes ${Buffer.from(bytes.subarray(0, 16)).toString("hex")}…`;
  }
}

/** The data of a write request: from byte `offset` of the device on, `length` bytes, in units stamped from `firstStamp`. */
export function requestBytes(firstStamp: number, offset: number, length: number): Uint8Array {
  const firstUnit = Math.floor(offset / unitBytes);
  const units = Math.ceil((offset + length) / unitBytes) - firstUnit;
  const words = new Uint32Array(units * wordsPerUnit);
  for (let unit = 0; unit < units; unit++)
    fillPattern(firstStamp + unit, words.subarray(unit * wordsPerUnit, (unit + 1) * wordsPerUnit));
  const start = offset - firstUnit * unitBytes;
  return new Uint8Array(words.buffer, start, length);
}

/** The first word is the stamp itself, so that a stray unit can be named. */
function fillPattern(stamp: number, words: Uint32Array): void {
  let state = stamp;
  for (let at = 0; at < words.length; at++) {
    words[at] = state;
    state = nextWord(state);
  }
}

function nextWord(word: number): number {
  return (Math.imul(word, 0x9e37_79b1) + 0x7f4a_7c15) | 0;
}

function patternBytes(stamp: number): Uint8Array {
  const words = new Uint32Array(wordsPerUnit);
  fillPattern(stamp, words);
  return new Uint8Array(words.buffer);
}
