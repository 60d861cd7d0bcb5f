// What docs/formats/checkpoint.md and segment.md draw is what stands in the tables: root, entries, rows, lists.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { byteTable, readFields, tableBytes } from "../../../test/support/byte-table.ts";
import { bytesOfWords } from "../../base/words.ts";
import { hostClock } from "../../host/mod.ts";
import type { Disk, DiskFile } from "../../ports/mod.ts";
import { SegmentKind } from "../format/segment.ts";
import { Owners } from "../log/owners.ts";
import type { Segment } from "../log/segment.ts";
import { Segments } from "../log/segments.ts";
import { NodeTable, nodeIndex } from "../map/node-table.ts";
import { ReclaimQueue } from "../map/reclaim-queue.ts";
import { completeSettings } from "../settings.ts";
import { type CheckpointRoot, decodeRoot, encodeRoot } from "./checkpoint-root.ts";

const place = (first: number) => ({
  segment: first,
  offset: first + 1,
  length: first + 2,
  checksum: first + 3,
});

const root: CheckpointRoot = {
  checkpoint: 0x1_0000_0002,
  nodeBound: 300,
  segmentRows: 65,
  catalogueBytes: 777,
  nodeDirectory: place(100),
  segmentDirectory: place(200),
  catalogue: place(300),
  reclaim: place(400),
};

/** Places as flat fields, `name.part`. */
function flat(value: object): Record<string, number> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, part]) =>
      typeof part === "number"
        ? [[name, part]]
        : Object.entries(part as object).map(([inner, number]) => [`${name}.${inner}`, number]),
    ),
  );
}

test("a checkpoint's root has its fields where the document says, and comes back", () => {
  const words = encodeRoot(root);
  const rows = byteTable("checkpoint.md", "Root");
  assert.equal(tableBytes(rows), words.byteLength);
  assert.deepEqual(readFields(rows, bytesOfWords(words)), { magic: 0x7243_7752, ...flat(root) });
  assert.deepEqual(decodeRoot(words), root);
});

test("what is no root is POOL_DAMAGED", () => {
  const words = encodeRoot(root);
  const damaged = { code: "POOL_DAMAGED" };
  assert.throws(() => decodeRoot(words.subarray(0, 23)), damaged);
  assert.throws(() => decodeRoot(Uint32Array.from([...words, 0])), damaged);
  assert.throws(() => decodeRoot(words.with(0, 0)), damaged);
  fc.assert(
    fc.property(fc.uint32Array({ minLength: 24, maxLength: 24 }), (garbage) => {
      assert.throws(() => decodeRoot(garbage), damaged);
    }),
  );
});

/** Bytes of one entry of a table. */
function entryBytes(
  table: { page(index: number): Uint32Array; offsetOf(index: number): number },
  index: number,
  size: number,
): Uint8Array {
  return bytesOfWords(table.page(index)).subarray(
    table.offsetOf(index) * 4,
    table.offsetOf(index) * 4 + size,
  );
}

test("a node's entry has place, checksum, count and referrers where the document says", () => {
  const rows = byteTable("checkpoint.md", "Node entry");
  const nodes = new NodeTable();
  assert.equal(tableBytes(rows), nodes.table.entryWords * 4);
  const first = nodes.allocate(0);
  nodes.free(first);
  const id = nodes.allocate(3);
  assert.equal(nodeIndex(id), nodeIndex(first), "the index is given out again");
  nodes.addReference(id, 2 ** 52 + 5);
  nodes.addReference(id, 7);
  nodes.addReference(id, 2 ** 52 + 9);
  nodes.setDataPages(id, 512);
  nodes.setPlace(id, { segment: 11, offset: 4096, length: 12_320, checksum: 0xdead_beef });
  assert.deepEqual(readFields(rows, entryBytes(nodes.table, nodeIndex(id), 32)), {
    state: 2 + 3 * 2 ** 22 + 2 ** 31,
    segment: 11,
    offset: 4096,
    lengthAndPages: 12_320 + 512 * 2 ** 20,
    checksum: 0xdead_beef,
    count: 3,
    referrers: 7 ^ 5 ^ 9,
  });
  assert.equal(id, 2 * 2 ** 30 + nodeIndex(id), "an id is a generation above an index");
});

test("a free node's entry keeps its generation and nothing else", () => {
  const nodes = new NodeTable();
  const id = nodes.allocate(1);
  nodes.free(id);
  const fields = readFields(
    byteTable("checkpoint.md", "Node entry"),
    entryBytes(nodes.table, nodeIndex(id), 32),
  );
  assert.equal(fields["state"], 1);
  assert.deepEqual(Object.values(fields).slice(1), [0, 0, 0, 0, 0, 0]);
});

/** A disk on which everything can be made and nothing is kept. */
function emptyDisk(): Disk {
  const file = { write() {} } as unknown as DiskFile;
  const done = () => Promise.resolve();
  return {
    create: () => Promise.resolve({ ...file, close: done }),
    open: () => Promise.resolve(file),
    rename: done,
    syncDirectory: done,
  } as unknown as Disk;
}

async function dataSegment(): Promise<{ segments: Segments; segment: Segment }> {
  const random = { bytes: (length: number) => new Uint8Array(length) };
  const settings = completeSettings({ segmentBytes: 2 ** 20, sizeBytes: 2 ** 25 });
  const segments = new Segments({ disk: emptyDisk(), random, clock: hostClock }, settings);
  await segments.spares.fill();
  const segment = await segments.take(SegmentKind.collector, "upkeep");
  segments.age = 6;
  segments.begin(segment);
  return { segments, segment };
}

test("a segment's row has its numbers where the document says", async () => {
  const rows = byteTable("checkpoint.md", "Segment row");
  const { segments, segment } = await dataSegment();
  assert.equal(tableBytes(rows), segments.table.entryWords * 4);
  segments.addLive(segment, 20);
  segments.dropLive(segment.number);
  segment.end = 90_112;
  segments.age = 8;
  segments.setEnd(segment, { sealed: true });
  segments.setOwnersPlace(segment, place(50));
  const row = () => readFields(rows, entryBytes(segments.table, segment.row, 64));
  const owners = { "owners.segment": 50, "owners.offset": 51, "owners.length": 52, "owners.checksum": 53 };
  assert.deepEqual(row(), {
    number: segment.number,
    kind: 2,
    sealed: 1,
    end: 90_112,
    liveBlocks: 19,
    blocks: 20,
    ...owners,
    age: 8,
  });
  const restored = segments.restoreRow(segment.row)!;
  assert.deepEqual(
    [restored.number, restored.kind, restored.end, restored.sealed, segments.live(restored)],
    [segment.number, 2, 90_112, true, 19],
  );
});

test("an owner entry says the block's offset, its leaf and the page", () => {
  const rows = byteTable("segment.md", "Owner entry");
  const owners = new Owners();
  const leaf = 2 ** 52 - 1;
  owners.add(8192, leaf, 511);
  owners.add(12_288, 2 ** 30 + 16, 0);
  const bytes = bytesOfWords(owners.words);
  assert.deepEqual(readFields(rows, bytes), {
    offset: 8192,
    leafLow: 0xffff_ffff,
    leafHighAndPage: (2 ** 20 - 1) * 512 + 511,
  });
  const second = bytes.subarray(tableBytes(rows));
  assert.deepEqual(readFields(rows, second), { offset: 12_288, leafLow: 2 ** 30 + 16, leafHighAndPage: 0 });
  const restored = Owners.restore(owners.words.slice(0, owners.length * 3));
  assert.deepEqual([restored.offset(0), restored.leaf(0), restored.slot(0)], [8192, leaf, 511]);
});

test("owners come back in their order however many there are", () => {
  const entry = fc.tuple(fc.nat(2 ** 30), fc.integer({ min: 16, max: 2 ** 52 - 1 }), fc.nat(511));
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 300 }), fc.nat(40), (entries, more) => {
      const owners = new Owners();
      for (const each of entries) owners.add(...each);
      const restored = Owners.restore(owners.words.slice(0, entries.length * 3));
      for (let index = 0; index < more; index += 1) restored.add(index * 4096, 16 + index, index);
      assert.equal(restored.length, entries.length + more);
      const all = entries.map((_, at) => [restored.offset(at), restored.leaf(at), restored.slot(at)]);
      assert.deepEqual(all, entries);
      if (more > 0) assert.equal(restored.leaf(restored.length - 1), 15 + more);
    }),
  );
});

test("the drop-list is two counts and the ids, those to drop first", () => {
  const queue = new ReclaimQueue();
  queue.shrink(2 ** 32 + 1);
  queue.drop(2 ** 40 + 2);
  queue.shrink(2 ** 32 + 3);
  queue.drop(2 ** 40 + 4);
  const words = queue.encode();
  assert.deepEqual([...words], [2, 4, 2, 256, 4, 256, 1, 1, 3, 1]);
  const restored = new ReclaimQueue();
  restored.restore(words);
  assert.deepEqual([...restored.encode()], [...words]);
});

test("a drop-list whose counts do not agree with its length is POOL_DAMAGED", () => {
  for (const words of [[], [0], [0, 1], [2, 1, 5, 0], [0, 0, 0], [1, 1, 5, 0, 0]])
    assert.throws(
      () => new ReclaimQueue().restore(Uint32Array.from(words)),
      { code: "POOL_DAMAGED" },
      JSON.stringify(words),
    );
});
