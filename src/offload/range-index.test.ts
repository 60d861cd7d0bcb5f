import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RangeIndex } from "./range-index.ts";

const range = fc
  .record({ offset: fc.nat(2 ** 20), power: fc.integer({ min: 0, max: 40 }), more: fc.nat(5000) })
  .map(({ offset, power, more }) => ({ offsetBytes: offset * 512, lengthBytes: 2 ** power + more }));

test("exactly the owners whose ranges a request touches are found, after any additions and removals", () =>
  fc.assert(
    fc.property(
      fc.array(fc.record({ ranges: fc.array(range, { maxLength: 4 }), stays: fc.boolean() }), {
        maxLength: 30,
      }),
      fc.array(range, { maxLength: 10 }),
      (owners, requests) => {
        const index = new RangeIndex();
        for (const [owner, { ranges }] of owners.entries()) index.add(owner, ranges);
        for (const [owner, { stays }] of owners.entries()) if (!stays) index.remove(owner);
        for (const { offsetBytes, lengthBytes } of requests) {
          const wanted = [...owners.keys()].filter((owner) => {
            const { ranges, stays } = owners[owner]!;
            const touches = (other: (typeof ranges)[number]) =>
              other.offsetBytes < offsetBytes + lengthBytes &&
              offsetBytes < other.offsetBytes + other.lengthBytes;
            return stays && ranges.some(touches);
          });
          assert.deepEqual(
            [...index.find(offsetBytes, lengthBytes)].sort((a, b) => a - b),
            wanted,
          );
          assert.equal(index.touches(offsetBytes, lengthBytes), wanted.length > 0);
        }
        for (const owner of owners.keys()) index.remove(owner);
        assert.ok(index.isEmpty);
      },
    ),
  ));
