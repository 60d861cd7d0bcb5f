import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { decodeNode, encodeNode, NODE_WORDS_MAX } from "../format/node-codec.ts";
import { EntryKind, KIND_SHIFT, Leaf } from "./leaf.ts";
import { LeafSlab } from "./leaf-slab.ts";

test("a leaf keeps what was set and its stored form brings it back", () => {
  const slab = new LeafSlab();
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(511), fc.nat(3), fc.nat(5), fc.nat(511), fc.nat(8)), { maxLength: 900 }),
      (steps) => {
        const leaf = new Leaf(1_000_000_000_017, slab, 1);
        const model = new Map<number, [number, number, number]>();
        for (const [page, kind, value, second, length] of steps) {
          for (let index = 0; index <= length && page + index < 512; index += 1) {
            const at = leaf.find(page + index);
            if (at >= 0 && leaf.words[at]! >>> KIND_SHIFT === EntryKind.foreign) {
              const position = leaf.words[at]! & 0x3fff_ffff;
              leaf.foreignUses![position]! -= 1;
              if (leaf.foreignUses![position] === 0) leaf.foreign![position] = 0;
            }
            if (kind === EntryKind.hole) {
              leaf.clear(page + index);
              model.delete(page + index);
              continue;
            }
            let entry: [number, number, number] = [(EntryKind.zero << KIND_SHIFT) >>> 0, 0, 0];
            if (kind === EntryKind.own) entry = [value + 1, (second + index) * 4096, 77 + index];
            if (kind === EntryKind.foreign && second + index < 512) {
              const position = leaf.foreignPositionFor(5000 + value);
              leaf.foreignUses![position]! += 1;
              entry = [((EntryKind.foreign << KIND_SHIFT) | position) >>> 0, second + index, 0];
            }
            leaf.set(page + index, ...entry);
            model.set(page + index, entry);
          }
        }
        const target = new Uint32Array(NODE_WORDS_MAX);
        const length = encodeNode(leaf, target);
        const back = decodeNode(target.slice(0, length), leaf.id, 0, slab) as Leaf;
        for (const each of [leaf, back]) {
          const seen = new Map<number, [number, number, number]>();
          each.forEach((page, ...entry) => {
            seen.set(page, entry);
          });
          assert.deepEqual(
            [...seen],
            [...model].sort((a, b) => a[0] - b[0]),
          );
          assert.equal(each.size, model.size);
          for (let page = 0; page < 512; page += 1) assert.equal(each.find(page) >= 0, model.has(page));
        }
        leaf.release();
        back.release();
      },
    ),
    { numRuns: 150 },
  );
});

test("runs of entries are appended and measured as one by one", () => {
  const slab = new LeafSlab();
  const entry = ((EntryKind.foreign << KIND_SHIFT) | 3) >>> 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 120 }), fc.nat(511)), { maxLength: 12 }),
      (runs) => {
        const [quick, slow] = [new Leaf(1, slab, 1), new Leaf(2, slab, 1)];
        let page = 0;
        for (const [gap, length, slot] of runs) {
          page += gap;
          const count = Math.min(length, 512 - page);
          if (count <= 0) break;
          quick.appendForeign(page, count, entry, slot);
          for (let done = 0; done < count; done += 1) slow.set(page + done, entry, slot + done, 0);
          page += count;
        }
        const entriesOf = (leaf: Leaf) => {
          const entries: number[][] = [];
          leaf.forEach((...each) => {
            entries.push(each);
          });
          return entries;
        };
        assert.deepEqual(entriesOf(quick), entriesOf(slow));
        assert.equal(quick.size, slow.size);
        assert.equal(quick.last, slow.last);
        for (let from = 0; from < 512; from += 7) {
          for (const end of [from + 1, Math.min(512, from + 33), 512]) {
            let present = 0;
            while (from + present < end && slow.find(from + present) >= 0) present += 1;
            assert.equal(quick.presentRun(from, end), present, `from ${from} to ${end}`);
          }
        }
        quick.release();
        slow.release();
      },
    ),
    { numRuns: 150 },
  );
});
