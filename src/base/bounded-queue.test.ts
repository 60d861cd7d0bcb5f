import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BoundedQueue } from "./bounded-queue.ts";

test("any sequence of pushes and shifts behaves as an array with a limit", () => {
  const limits = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(
      limits,
      fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 400, size: "max" }),
      (lengthMax, steps) => {
        const queue = new BoundedQueue<number>(lengthMax);
        const model: number[] = [];
        for (const [index, step] of steps.entries()) {
          // Twice as many pushes, so that the ring grows while its head is somewhere inside.
          if (step > 0) {
            const fits = model.length < lengthMax;
            assert.equal(queue.push(index), fits);
            if (fits) model.push(index);
          } else assert.equal(queue.shift(), model.shift());
          assert.equal(queue.length, model.length);
          assert.equal(queue.peek(), model[0]);
        }
        while (model.length > 0) assert.equal(queue.shift(), model.shift());
      },
    ),
  );
});

test("a limit that is no positive whole number is a programmer's error", () => {
  for (const lengthMax of [0, -1, 1.5, Number.NaN]) {
    assert.throws(() => new BoundedQueue(lengthMax), { name: "AssertionFailed" });
  }
});
