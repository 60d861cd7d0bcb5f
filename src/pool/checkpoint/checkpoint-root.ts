/** The root of a checkpoint: what a superblock slot points to (docs/formats/checkpoint.md). */
import { RopewalkError } from "../../base/errors.ts";
import { highWord, joinWords } from "../../base/words.ts";
import type { Place } from "../format/superblock.ts";

const MAGIC = 0x7243_7752;
const WORDS = 24;

export interface CheckpointRoot {
  readonly checkpoint: number;
  /** Entries of the node table, rows of the segment table. */
  readonly nodeBound: number;
  readonly segmentRows: number;
  readonly catalogueBytes: number;
  readonly nodeDirectory: Place;
  readonly segmentDirectory: Place;
  readonly catalogue: Place;
  readonly reclaim: Place;
}

export function encodeRoot(root: CheckpointRoot): Uint32Array {
  const words = new Uint32Array(WORDS);
  words[0] = MAGIC;
  words[1] = root.checkpoint >>> 0;
  words[2] = highWord(root.checkpoint);
  words[3] = root.nodeBound;
  words[4] = root.segmentRows;
  words[5] = root.catalogueBytes;
  [root.nodeDirectory, root.segmentDirectory, root.catalogue, root.reclaim].forEach((place, index) => {
    words.set([place.segment, place.offset, place.length, place.checksum], 6 + index * 4);
  });
  return words;
}

export function decodeRoot(words: Uint32Array): CheckpointRoot {
  if (words.length !== WORDS || words[0] !== MAGIC)
    throw new RopewalkError("POOL_DAMAGED", "the checkpoint's root is malformed");
  const place = (index: number): Place => {
    const at = 6 + index * 4;
    return { segment: words[at]!, offset: words[at + 1]!, length: words[at + 2]!, checksum: words[at + 3]! };
  };
  return {
    checkpoint: joinWords(words[1]!, words[2]!),
    nodeBound: words[3]!,
    segmentRows: words[4]!,
    catalogueBytes: words[5]!,
    nodeDirectory: place(0),
    segmentDirectory: place(1),
    catalogue: place(2),
    reclaim: place(3),
  };
}
