// The bytes of the sectors that the torture writes: each says which request wrote it and where it belongs, and
// the rest of it follows from these two, so that a torn, old or misplaced sector cannot pass for a right one.
//
//     byte  0  u32  request, never 0
//     byte  4  u32  sector number
//     byte  8  504 bytes that follow from both
//
// Request 0 stands for zeros: never written, zeroed or trimmed.

export const SECTOR_BYTES = 512;
const WORDS = SECTOR_BYTES / 4;

/** Fills `target`, whole sectors, with what `request` writes from `firstSector` on. */
export function stamp(target: Uint8Array, request: number, firstSector: number): void {
  const words = new Uint32Array(target.buffer, target.byteOffset, target.byteLength / 4);
  for (let index = 0; index < words.length; index += WORDS) {
    stampSector(words.subarray(index, index + WORDS), request, firstSector + index / WORDS);
  }
}

function stampSector(words: Uint32Array, request: number, sector: number): void {
  words[0] = request;
  words[1] = sector;
  let state = mix(request, sector);
  for (let index = 2; index < WORDS; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[index] = state;
  }
}

function mix(request: number, sector: number): number {
  return (Math.imul(request, 0x9e3779b1) ^ Math.imul(sector, 0x85ebca77)) >>> 0;
}

const expected = new Uint32Array(WORDS);

/** The request whose sector this is, 0 for zeros; undefined when the bytes are no request's at this place. */
export function requestOf(bytes: Uint8Array, offset: number, sector: number): number | undefined {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + offset, WORDS);
  const request = words[0]!;
  if (request === 0) return words.every((word) => word === 0) ? 0 : undefined;
  stampSector(expected, request, sector);
  for (let index = 1; index < WORDS; index++) {
    if (words[index] !== expected[index]) return undefined;
  }
  return request;
}
