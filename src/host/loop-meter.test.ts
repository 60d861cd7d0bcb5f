import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SteppedClock } from "../../test/support/stepped-clock.ts";
import { LoopMeter } from "./loop-meter.ts";

test("a long turn of the loop is measured, remembered for its minute, and since start", async () => {
  const clock = new SteppedClock();
  const meter = new LoopMeter(clock);
  await sleep(20);
  const turnMs = 80;
  const measuredAtLeastMs = turnMs - 5;
  const endMs = performance.now() + turnMs;
  while (performance.now() < endMs);
  await sleep(20);
  const { lastMinute, sinceStart } = meter.longestTurnMs();
  assert.ok(lastMinute >= measuredAtLeastMs, `${lastMinute} ms`);
  assert.equal(sinceStart, lastMinute);
  for (let ended = 1; ended <= 6; ended += 1) {
    await clock.step(10_000);
    assert.ok(meter.longestTurnMs().lastMinute >= measuredAtLeastMs, `${ended * 10} s later`);
  }
  await clock.step(10_000);
  assert.ok(meter.longestTurnMs().lastMinute < lastMinute);
  assert.equal(meter.longestTurnMs().sinceStart, lastMinute);
});

test("where lengths are told, they count, and the timer's lateness stands beside", async () => {
  const meter = new LoopMeter(new SteppedClock());
  await sleep(20);
  const endMs = performance.now() + 60;
  while (performance.now() < endMs);
  await sleep(20);
  meter.note(3);
  assert.equal(meter.longestTurnMs().lastMinute, 3);
  assert.ok(meter.longestDelayMs().lastMinute > 50);
});

test("exact lengths are noted, and forgotten with the start", () => {
  const meter = new LoopMeter(new SteppedClock());
  meter.note(1234);
  meter.note(5);
  assert.equal(meter.longestTurnMs().lastMinute, 1234);
  meter.reset();
  assert.ok(meter.longestTurnMs().sinceStart < 1234);
});

test("a turn of a little more than 5 ms is seen", async () => {
  const meter = new LoopMeter(new SteppedClock());
  await sleep(20);
  const before = meter.longestTurnMs().sinceStart;
  const endMs = performance.now() + before + 6;
  while (performance.now() < endMs);
  await sleep(20);
  assert.ok(meter.longestTurnMs().sinceStart > before);
});

test("an idle loop that is woken late had no long turn", async () => {
  const meter = new LoopMeter(new SteppedClock());
  await sleep(20);
  // The process stands still while nothing is to be done, as where a machine does not wake it in time.
  const { pid } = process;
  await once(spawn("sh", ["-c", `sleep 0.1; kill -STOP ${pid}; sleep 0.3; kill -CONT ${pid}`]), "exit");
  await sleep(20);
  assert.ok(meter.longestDelayMs().lastMinute > 200, `${meter.longestDelayMs().lastMinute} ms late`);
  assert.ok(meter.longestTurnMs().lastMinute < 100, `${meter.longestTurnMs().lastMinute} ms at work`);
});
