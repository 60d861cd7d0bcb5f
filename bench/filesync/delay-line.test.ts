import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { DelayLine } from "./delay-line.ts";

test("a piece that is held up holds up those behind it, and the end comes last", async () => {
  const delays = [5, 60, 5, 5];
  const passed: string[] = [];
  const ended = Promise.withResolvers<void>();
  const startedMs = performance.now();
  const line = new DelayLine({
    delayMs: () => delays.shift()!,
    windowBytes: 1000,
    write: (chunk, taken) => {
      passed.push(Buffer.from(chunk).toString());
      taken();
    },
    end: () => ended.resolve(),
    hold: () => assert.fail("the window is large enough"),
    goOn: () => assert.fail("nothing was held"),
  });
  for (const text of ["a", "b", "c"]) line.push(Buffer.from(text));
  line.end();
  await ended.promise;
  assert.deepEqual(passed, ["a", "b", "c"]);
  assert.ok(performance.now() - startedMs >= 58);
});

test("a full window holds the sender until the other side has taken what is in it", async () => {
  const told: string[] = [];
  const taken: (() => void)[] = [];
  const line = new DelayLine({
    delayMs: () => 1,
    windowBytes: 8,
    write: (_chunk, done) => taken.push(done),
    end: () => undefined,
    hold: () => told.push("hold"),
    goOn: () => told.push("go on"),
  });
  line.push(new Uint8Array(4));
  assert.deepEqual(told, []);
  line.push(new Uint8Array(4));
  assert.deepEqual(told, ["hold"]);
  while (taken.length < 2) await delay(1);
  assert.deepEqual(told, ["hold"]);
  taken[0]!();
  assert.deepEqual(told, ["hold", "go on"]);
});
