/** The order in which simulated time runs things. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sleep } from "../src/ports/mod.ts";
import { SimulatedClock, Stuck } from "./simulated-clock.ts";

test("timers run in the order of time, equal ones in the order of scheduling", async () => {
  const clock = new SimulatedClock();
  const order: string[] = [];
  for (const [delayMs, name] of [
    [5, "c"],
    [1, "a"],
    [5, "d"],
    [2, "b"],
  ] as const)
    clock.schedule(delayMs, () => order.push(name));
  await clock.run(new Promise<void>((resolve) => void clock.schedule(6, resolve)));
  assert.deepEqual(order, ["a", "b", "c", "d"]);
});

test("all promises of one event settle before the next event", async () => {
  const clock = new SimulatedClock();
  const order: number[] = [];
  clock.schedule(1, () => {
    void (async () => {
      for (let step = 0; step < 50; step++) await null;
      order.push(1);
    })();
  });
  clock.schedule(1, () => order.push(2));
  await clock.run(new Promise<void>((resolve) => void clock.schedule(2, resolve)));
  assert.deepEqual(order, [1, 2]);
});

test("an hour passes in no time when nothing is to be done", async () => {
  const clock = new SimulatedClock();
  const process = clock.startProcess();
  await clock.run(sleep(process, 3_000_000));
  assert.ok(clock.nowMs >= 3_000_000 && clock.nowMs < 3_000_001);
});

test("a killed process gets no further event, and a cancelled timer never comes", async () => {
  const clock = new SimulatedClock();
  const process = clock.startProcess();
  let ran = 0;
  process.after(1, () => ran++);
  process.soon(() => ran++);
  clock.schedule(1, () => ran++).cancel();
  process.kill();
  await clock.run(new Promise<void>((resolve) => void clock.schedule(5, resolve)));
  assert.equal(ran, 0);
});

test("waiting for what can not come is reported instead of hanging", async () => {
  await assert.rejects(new SimulatedClock().run(new Promise(() => {})), Stuck);
  const busy = new SimulatedClock();
  const again = () => void busy.schedule(1, again);
  again();
  await assert.rejects(busy.run(new Promise(() => {}), { turnsMax: 1000 }), Stuck);
});

test("what an event throws ends the run", async () => {
  const clock = new SimulatedClock();
  clock.schedule(1, () => {
    throw new Error("broken");
  });
  await assert.rejects(clock.run(new Promise(() => {})), /broken/);
});
