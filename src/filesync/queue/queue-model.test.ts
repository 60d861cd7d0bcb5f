// The rules hold, and the target ends equal to the source, in whatever order the threads come to act; and what breaks a
// rule on purpose is found.
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { type ModelStep, QueueModel } from "./testing/queue-model.ts";

const SEED = 4;

const step: fc.Arbitrary<ModelStep> = fc.record({
  what: fc.oneof(
    { arbitrary: fc.constantFrom("work" as const), weight: 12 },
    { arbitrary: fc.constantFrom("bulk" as const), weight: 4 },
    { arbitrary: fc.constantFrom("write" as const, "rename" as const, "remove" as const), weight: 3 },
    { arbitrary: fc.constantFrom("part" as const), weight: 2 },
    { arbitrary: fc.constantFrom("die" as const, "dieUnheard" as const), weight: 1 },
  ),
  one: fc.nat(15),
  other: fc.nat(15),
});

function check(options: {
  barrier: "tree" | "path";
  plants?: ReadonlySet<string>;
  entriesMax?: number;
  runs: number;
}) {
  const { barrier, entriesMax = 1024, plants = new Set(), runs } = options;
  const property = fc.property(
    fc.integer({ min: 1, max: 4 }),
    fc.array(step, { maxLength: 120, size: "max" }),
    (threads, steps) => {
      const model = new QueueModel({
        clock: new SteppedClock(),
        threads,
        settings: { barrier, entriesMax },
        plants,
      });
      for (const one of steps) model.step(one);
      model.settle();
    },
  );
  return fc.check(property, { numRuns: runs, seed: SEED });
}

for (const barrier of ["tree", "path"] as const) {
  test(`with the barrier over the ${barrier} every order of the threads keeps the rules and ends equal`, () => {
    const result = check({ barrier, runs: 1500 });
    assert.ok(!result.failed, fc.defaultReportMessage(result));
  });

  test(`with the barrier over the ${barrier} a queue that is too short for the changes ends equal`, () => {
    const result = check({ barrier, entriesMax: 6, runs: 700 });
    assert.ok(!result.failed, fc.defaultReportMessage(result));
  });

  for (const plant of [
    "filesync-skip-barrier",
    "filesync-late-copy",
    "filesync-double-claim",
    "filesync-early-finish",
  ])
    test(`the planted bug ${plant} is found with the barrier over the ${barrier}`, () => {
      assert.ok(check({ barrier, plants: new Set([plant]), runs: 1500 }).failed);
    });
}
