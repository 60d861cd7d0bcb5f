/**
 * Nodes as they stand in metadata segments (docs/formats/node.md).
 *
 * Always holds: `decodeNode` refuses whatever an encoder of this version cannot have made, although the
 * checksum in the node table was right already: POOL_DAMAGED.
 */
import { RopewalkError } from "../../base/errors.ts";
import { highWord, joinWords } from "../../base/words.ts";
import { InnerNode } from "../map/inner-node.ts";
import { EntryKind, KIND_SHIFT, Leaf, VALUE_MASK } from "../map/leaf.ts";
import { ENTRY_WORDS, type LeafSlab } from "../map/leaf-slab.ts";
import { CHILD_HOLE, CHILD_ZERO, FANOUT, LEAF_PAGES, NODE_INDEX_FIRST, PAGE_BYTES } from "./layout.ts";

const NODE_MAGIC = 0x646e_7752;
const HEADER_WORDS = 8;
const BITMAP_WORDS = 16;
/** Encoding of a node: 0 whole. 1 is kept for a base and one cumulative delta. */
const ENCODING_WHOLE = 0;

/** Longest encoded node: every page its own run, every run foreign to another leaf. */
export const NODE_WORDS_MAX = HEADER_WORDS + LEAF_PAGES * 4 + LEAF_PAGES * 2;

/** Encodes into `target` and returns the words used. */
export function encodeNode(node: Leaf | InnerNode, target: Uint32Array): number {
  target.fill(0, 0, HEADER_WORDS);
  target[0] = NODE_MAGIC;
  target[2] = node.id >>> 0;
  target[3] = highWord(node.id);
  return node.level === 0 ? encodeLeaf(node as Leaf, target) : encodeInner(node as InnerNode, target);
}

/** One pass over the bitmap and the entries, which stand in its order; a leaf of 512 runs takes some 4 µs. */
function encodeLeaf(leaf: Leaf, target: Uint32Array): number {
  const { words, base } = leaf;
  let out = HEADER_WORDS;
  let runs = 0;
  // The run that is being gathered: where its head stands, and what its next page would be.
  let head = 0;
  let length = 0;
  let nextPage = -1;
  let runFirst = 0;
  let nextSecond = 0;
  let stride = 0;
  let at = base + BITMAP_WORDS;
  for (let word = 0; word < BITMAP_WORDS; word += 1) {
    for (let bits = words[base + word]!; bits !== 0; bits &= bits - 1, at += ENTRY_WORDS) {
      const page = word * 32 + 31 - Math.clz32(bits & -bits);
      const first = words[at]!;
      const second = words[at + 1]!;
      if (page === nextPage && first === runFirst && second === nextSecond) {
        length += 1;
        if (stride === PAGE_BYTES) target[out++] = words[at + 2]!;
      } else {
        if (runs > 0) target[head]! |= length - 1;
        const kind = first >>> KIND_SHIFT;
        head = out;
        length = 1;
        runs += 1;
        runFirst = first;
        nextSecond = second;
        target[out++] = ((kind << 28) | (page << 10)) >>> 0;
        stride = kind === EntryKind.own ? PAGE_BYTES : kind === EntryKind.foreign ? 1 : 0;
        if (kind !== EntryKind.zero) {
          target[out++] = first & VALUE_MASK;
          target[out++] = second;
        }
        if (kind === EntryKind.own) target[out++] = words[at + 2]!;
      }
      nextPage = page + 1;
      nextSecond += stride;
    }
  }
  if (runs > 0) target[head]! |= length - 1;
  const foreignAt = out;
  const foreign = leaf.foreign ?? [];
  for (const id of foreign) {
    target[out] = id >>> 0;
    target[out + 1] = highWord(id);
    out += 2;
  }
  target[1] = ENCODING_WHOLE << 8;
  target[4] = runs;
  target[5] = foreign.length;
  target[6] = foreignAt;
  return out;
}

function encodeInner(node: InnerNode, target: Uint32Array): number {
  let out = HEADER_WORDS + BITMAP_WORDS;
  target.fill(0, HEADER_WORDS, out);
  for (let slot = 0; slot < FANOUT; slot += 1) {
    const child = node.children[slot]!;
    if (child === CHILD_HOLE) continue;
    target[HEADER_WORDS + (slot >>> 5)]! |= 1 << (slot & 31);
    target[out] = child >>> 0;
    target[out + 1] = highWord(child);
    out += 2;
  }
  target[1] = node.level | (ENCODING_WHOLE << 8);
  return out;
}

function damaged(id: number, what: string): RopewalkError {
  return new RopewalkError("POOL_DAMAGED", `node ${id} is malformed: ${what}`);
}

/** Rebuilds a node from `words`, which are exactly its stored form. */
export function decodeNode(words: Uint32Array, id: number, level: number, slab: LeafSlab): Leaf | InnerNode {
  if (words.length < HEADER_WORDS || words[0] !== NODE_MAGIC) throw damaged(id, "magic");
  if (joinWords(words[2]!, words[3]!) !== id) throw damaged(id, "another node's bytes");
  if ((words[1]! & 0xff) !== level || words[1]! >>> 8 !== ENCODING_WHOLE)
    throw damaged(id, "level or encoding");
  return level === 0 ? decodeLeaf(words, id, slab) : decodeInner(words, id, level);
}

function decodeLeaf(words: Uint32Array, id: number, slab: LeafSlab): Leaf {
  const runs = words[4]!;
  const foreignCount = words[5]!;
  const foreignAt = words[6]!;
  if (runs > LEAF_PAGES || foreignCount > LEAF_PAGES) throw damaged(id, "counts");
  if (foreignAt + foreignCount * 2 !== words.length) throw damaged(id, "length");
  let total = 0;
  for (let run = 0, at = HEADER_WORDS; run < runs; run += 1) {
    if (at >= foreignAt) throw damaged(id, "runs");
    const length = (words[at]! & 0x1ff) + 1;
    const kind = words[at]! >>> 28;
    total += length;
    at += kind === EntryKind.own ? 3 + length : kind === EntryKind.foreign ? 3 : 1;
  }
  if (total > LEAF_PAGES) throw damaged(id, "pages");
  const leaf = new Leaf(id, slab, total);
  try {
    fillLeaf(leaf, words, { runs, foreignCount, foreignAt });
  } catch (error) {
    leaf.release();
    throw error;
  }
  leaf.size = total;
  leaf.last = LEAF_PAGES - 1;
  return leaf;
}

function fillLeaf(
  leaf: Leaf,
  words: Uint32Array,
  { runs, foreignCount, foreignAt }: { runs: number; foreignCount: number; foreignAt: number },
): void {
  const { id } = leaf;
  const out = leaf.words;
  let to = leaf.base + BITMAP_WORDS;
  let at = HEADER_WORDS;
  let previousEnd = 0;
  const uses: number[] = new Array(foreignCount).fill(0);
  for (let run = 0; run < runs; run += 1) {
    const head = words[at]!;
    const kind = head >>> 28;
    const page = (head >>> 10) & 0x3ff;
    const length = (head & 0x1ff) + 1;
    if (kind > EntryKind.zero || page < previousEnd || page + length > LEAF_PAGES) throw damaged(id, "run");
    previousEnd = page + length;
    const value = kind === EntryKind.zero ? 0 : words[at + 1]!;
    const second = kind === EntryKind.zero ? 0 : words[at + 2]!;
    if (
      value > VALUE_MASK ||
      (kind === EntryKind.foreign && (value >= foreignCount || second + length > LEAF_PAGES))
    )
      throw damaged(id, "run target");
    if (kind === EntryKind.own && (value === 0 || second % 8 !== 0)) throw damaged(id, "run place");
    const first = ((kind << KIND_SHIFT) | value) >>> 0;
    const stride = kind === EntryKind.own ? 4096 : kind === EntryKind.foreign ? 1 : 0;
    for (let index = 0; index < length; index += 1, to += ENTRY_WORDS) {
      out[leaf.base + ((page + index) >>> 5)]! |= 1 << ((page + index) & 31);
      out[to] = first;
      out[to + 1] = second + stride * index;
      out[to + 2] = kind === EntryKind.own ? words[at + 3 + index]! : 0;
    }
    if (kind === EntryKind.foreign) uses[value]! += length;
    at += kind === EntryKind.own ? 3 + length : kind === EntryKind.foreign ? 3 : 1;
  }
  if (at !== foreignAt) throw damaged(id, "runs end elsewhere");
  if (foreignCount > 0) {
    leaf.foreign = [];
    leaf.foreignUses = uses;
    for (let position = 0; position < foreignCount; position += 1) {
      const foreignId = joinWords(words[foreignAt + position * 2]!, words[foreignAt + position * 2 + 1]!);
      if ((foreignId === 0) !== (uses[position] === 0)) throw damaged(id, "foreign table");
      leaf.foreign.push(foreignId);
    }
  }
}

function decodeInner(words: Uint32Array, id: number, level: number): InnerNode {
  const node = new InnerNode(id, level);
  if (words.length < HEADER_WORDS + BITMAP_WORDS) throw damaged(id, "length");
  let at = HEADER_WORDS + BITMAP_WORDS;
  for (let slot = 0; slot < FANOUT; slot += 1) {
    if (((words[HEADER_WORDS + (slot >>> 5)]! >>> (slot & 31)) & 1) === 0) continue;
    if (at + 2 > words.length) throw damaged(id, "children");
    const child = joinWords(words[at]!, words[at + 1]!);
    if (child !== CHILD_ZERO && child < NODE_INDEX_FIRST) throw damaged(id, "child");
    node.children[slot] = child;
    at += 2;
  }
  if (at !== words.length) throw damaged(id, "trailing bytes");
  return node;
}
