// The stored form of nodes: pinned to recorded words and to docs/formats/node.md.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { byteTable, readFields, tableBytes } from "../../../test/support/byte-table.ts";
import { flipEachBit } from "../../../test/support/damaged-bytes.ts";
import { bytesOfWords } from "../../base/words.ts";
import { InnerNode } from "../map/inner-node.ts";
import { EntryKind, KIND_SHIFT, Leaf } from "../map/leaf.ts";
import { LeafSlab } from "../map/leaf-slab.ts";
import { CHILD_ZERO, FANOUT, LEAF_PAGES } from "./layout.ts";
import { decodeNode, encodeNode, NODE_WORDS_MAX } from "./node-codec.ts";

const slab = new LeafSlab();
const HEADER_BYTES = 32;
const LEAF_ID = 3 * 2 ** 30 + 17;
const INNER_ID = 2 ** 30 + 20;
const FOREIGN_ID = 5 * 2 ** 30 + 99;

/** Pages 0 to 2 own, standing one behind the other; 3 own elsewhere; 5 and 6 zeros; 510 and 511 of another leaf. */
function exampleLeaf(): Leaf {
  const leaf = new Leaf(LEAF_ID, slab, 8);
  for (let page = 0; page < 3; page += 1) leaf.set(page, 9, 8192 + 88 + page * 4096, 0xaaaa_0000 + page);
  leaf.set(3, 9, 8192 + 88, 0xbbbb_0000);
  for (const page of [5, 6]) leaf.set(page, (EntryKind.zero << KIND_SHIFT) >>> 0, 0, 0);
  const position = leaf.foreignPositionFor(FOREIGN_ID);
  leaf.foreignUses![position] = 2;
  for (const page of [510, 511])
    leaf.set(page, ((EntryKind.foreign << KIND_SHIFT) | position) >>> 0, page - 500, 0);
  return leaf;
}

function exampleInner(): InnerNode {
  const node = new InnerNode(INNER_ID, 2);
  node.children[0] = LEAF_ID;
  node.children[33] = CHILD_ZERO;
  node.children[511] = FOREIGN_ID;
  return node;
}

function encode(node: Leaf | InnerNode): Uint32Array<ArrayBuffer> {
  const target = new Uint32Array(NODE_WORDS_MAX).fill(0xffff_ffff);
  return target.slice(0, encodeNode(node, target));
}

function hex(words: Uint32Array): string[] {
  return [...words].map((word) => word.toString(16).padStart(8, "0"));
}

test("a leaf is stored as the recorded words", () => {
  assert.deepEqual(
    hex(encode(exampleLeaf())),
    [
      "646e7752 00000000 c0000011 00000000 00000004 00000001 00000016 00000000",
      "00000002 00000009 00002058 aaaa0000 aaaa0001 aaaa0002",
      "00000c00 00000009 00002058 bbbb0000",
      "20001401",
      "1007f801 00000000 0000000a",
      "40000063 00000001",
    ]
      .join(" ")
      .split(" "),
  );
});

test("an inner node is stored as the recorded words", () => {
  const bitmap = Array.from({ length: 16 }, () => "00000000");
  bitmap[0] = "00000001";
  bitmap[1] = "00000002";
  bitmap[15] = "80000000";
  assert.deepEqual(hex(encode(exampleInner())), [
    ..."646e7752 00000002 40000014 00000000 00000000 00000000 00000000 00000000".split(" "),
    ...bitmap,
    ..."c0000011 00000000 00000001 00000000 40000063 00000001".split(" "),
  ]);
});

test("a node's header fields stand where docs/formats/node.md says", () => {
  const rows = byteTable("node.md", "Header");
  assert.equal(tableBytes(rows), HEADER_BYTES);
  assert.deepEqual(readFields(rows, bytesOfWords(encode(exampleLeaf()))), {
    magic: 0x646e_7752,
    level: 0,
    encoding: 0,
    id: LEAF_ID,
    runs: 4,
    foreignLeaves: 1,
    foreignAt: HEADER_BYTES / 4 + 6 + 4 + 1 + 3,
  });
  assert.deepEqual(readFields(rows, bytesOfWords(encode(exampleInner()))), {
    magic: 0x646e_7752,
    level: 2,
    encoding: 0,
    id: INNER_ID,
    runs: 0,
    foreignLeaves: 0,
    foreignAt: 0,
  });
});

test("a stored leaf comes back with every entry, and is stored again as the same words", () => {
  const words = encode(exampleLeaf());
  const leaf = decodeNode(words, LEAF_ID, 0, slab) as Leaf;
  const entries: [number, number, number, number][] = [];
  leaf.forEach((...entry) => void entries.push(entry));
  const expected: typeof entries = [];
  exampleLeaf().forEach((...entry) => void expected.push(entry));
  assert.deepEqual(entries, expected);
  assert.deepEqual([leaf.foreign, leaf.foreignUses], [[FOREIGN_ID], [2]]);
  assert.deepEqual(encode(leaf), words);
});

test("every inner node comes back from its words", () => {
  const child = fc.oneof(fc.constant(0), fc.constant(CHILD_ZERO), fc.integer({ min: 16, max: 2 ** 52 - 1 }));
  const slots = fc.array(fc.tuple(fc.nat(FANOUT - 1), child), { maxLength: FANOUT });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), slots, (level, each) => {
      const node = new InnerNode(INNER_ID, level);
      for (const [slot, id] of each) node.children[slot] = id;
      const back = decodeNode(encode(node), INNER_ID, level, slab) as InnerNode;
      assert.deepEqual([back.level, back.children], [level, node.children]);
    }),
  );
});

test("the longest leaf fits what is kept for one", () => {
  const leaf = new Leaf(LEAF_ID, slab, LEAF_PAGES);
  // Every page stands alone, so that each is a run of its own with all its words.
  for (let page = 0; page < LEAF_PAGES; page += 1) leaf.set(page, 7, page * 8192, page);
  const own = encode(leaf).length;
  for (let page = 0; page < LEAF_PAGES; page += 1) {
    const position = leaf.foreignPositionFor(1000 + page);
    leaf.foreignUses![position] = 1;
    leaf.set(page, ((EntryKind.foreign << KIND_SHIFT) | position) >>> 0, page, 0);
  }
  const foreign = encode(leaf).length;
  assert.deepEqual([own, foreign], [8 + LEAF_PAGES * 4, 8 + LEAF_PAGES * 3 + LEAF_PAGES * 2]);
  assert.ok(Math.max(own, foreign) <= NODE_WORDS_MAX);
});

const damaged = { code: "POOL_DAMAGED" };

test("the words of another node, of another level or of an unknown encoding are refused", () => {
  const words = encode(exampleLeaf());
  assert.throws(() => decodeNode(words, LEAF_ID + 1, 0, slab), damaged);
  assert.throws(() => decodeNode(words, LEAF_ID + 2 ** 30, 0, slab), damaged, "another generation");
  assert.throws(() => decodeNode(words, LEAF_ID, 1, slab), damaged);
  assert.throws(() => decodeNode(words.with(1, 1 << 8) as typeof words, LEAF_ID, 0, slab), damaged);
  assert.throws(() => decodeNode(words.subarray(0, 5), LEAF_ID, 0, slab), damaged);
});

/** Changes of one word each that no encoder makes: [word, value]. */
const contradictions: [string, number, number][] = [
  ["more runs than stand there", 4, 5],
  ["fewer runs than stand there", 4, 3],
  ["more runs than pages", 4, 513],
  ["a foreign table that ends elsewhere", 5, 2],
  ["a foreign table that begins elsewhere", 6, 17],
  ["a hole that is stored", 18, 0x3000_1401],
  ["runs that overlap", 14, 0x0000_0801],
  ["a run past the leaf's end", 19, 0x1007_fc01],
  ["an own block of no segment", 9, 0],
  ["a segment number of more than 30 bits", 9, 0x4000_0000],
  ["a block that begins at no multiple of 8", 10, 0x2059],
  ["a foreign leaf that is not in the table", 20, 1],
  ["pages past the foreign leaf's end", 21, 511],
  ["a foreign leaf without an id", 22, 0],
];

for (const [what, at, value] of contradictions)
  test(`a leaf with ${what} is refused`, () => {
    const words = encode(exampleLeaf());
    assert.notEqual(words[at], value);
    words[at] = value;
    // An id of zero is one with both words zero.
    if (at === 22) words[23] = 0;
    assert.throws(() => decodeNode(words, LEAF_ID, 0, slab), damaged);
  });

test("a refused leaf gives its memory back", () => {
  const words = encode(exampleLeaf());
  words[21] = 511;
  const own = new LeafSlab();
  for (let time = 0; time < 5000; time += 1) assert.throws(() => decodeNode(words, LEAF_ID, 0, own), damaged);
  decodeNode(encode(exampleLeaf()), LEAF_ID, 0, own);
  assert.equal(own.chunkBytes, 256 * 1024, "one chunk serves them all");
});

test("an inner node with too few, too many or impossible children is refused", () => {
  const words = encode(exampleInner());
  const change = (at: number, value: number) => {
    const changed = words.slice();
    changed[at] = value;
    return changed;
  };
  assert.throws(() => decodeNode(change(8, 3), INNER_ID, 2, slab), damaged, "a bit more than children");
  assert.throws(() => decodeNode(change(8, 0), INNER_ID, 2, slab), damaged, "a bit fewer than children");
  assert.throws(() => decodeNode(change(24, 15), INNER_ID, 2, slab), damaged, "an id that no node has");
  assert.throws(() => decodeNode(words.subarray(0, 20), INNER_ID, 2, slab), damaged);
});

/** Whatever the words are, the decoder ends with a node or with POOL_DAMAGED. */
function decodesOrRefuses(words: Uint32Array, id: number, level: number): void {
  try {
    const node = decodeNode(words, id, level, slab);
    if (node instanceof Leaf) {
      assert.ok(node.size <= LEAF_PAGES);
      node.release();
    }
  } catch (error) {
    assert.equal((error as { code?: string }).code, "POOL_DAMAGED");
  }
}

test("a node with any one bit flipped is refused or another node, never a crash", () => {
  for (const [words, id, level] of [
    [encode(exampleLeaf()), LEAF_ID, 0],
    [encode(exampleInner()), INNER_ID, 2],
  ] as const)
    flipEachBit(bytesOfWords(words), () => decodesOrRefuses(words, id, level));
});

test("garbage in the place of a node is refused or a node, never a crash", () => {
  const word = fc.integer({ min: 0, max: 0xffff_ffff });
  const small = fc.nat(40);
  const header = fc.tuple(small, small, small);
  const rest = fc.array(fc.oneof(word, small), { maxLength: 120 });
  fc.assert(
    fc.property(header, rest, fc.nat(4), (counts, words, level) => {
      const id = [LEAF_ID >>> 0, Math.floor(LEAF_ID / 2 ** 32)];
      decodesOrRefuses(Uint32Array.from([0x646e_7752, level, ...id, ...counts, 0, ...words]), LEAF_ID, level);
    }),
    { numRuns: 500 },
  );
});
