import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BoundedQueue } from "./bounded-queue.ts";

test("any sequence of pushes and shifts behaves as an array with a limit", () => {
  const limits = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(limits, fc.array(fc.boolean(), { maxLength: 400 }), (lengthMax, pushes) => {
      const queue = new BoundedQueue<number>(lengthMax);
      const model: number[] = [];
      for (const [index, isPush] of pushes.entries()) {
        if (isPush) {
          const fits = model.length < lengthMax;
          assert.equal(queue.push(index), fits);
          if (fits) model.push(index);
        } else assert.equal(queue.shift(), model.shift());
        assert.equal(queue.length, model.length);
        assert.equal(queue.peek(), model[0]);
      }
    }),
  );
});

test("a limit that is no positive whole number is a programmer's error", () => {
  for (const lengthMax of [0, -1, 1.5, Number.NaN]) {
    assert.throws(() => new BoundedQueue(lengthMax), { name: "AssertionFailed" });
  }
});
