import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import { BusyPoll } from "./busy-poll.ts";

const WINDOW_US = 200_000;

test("polls while bytes arrive in close succession, and stops after the last", async () => {
  const poll = new BusyPoll(WINDOW_US);
  poll.arrived();
  assert.equal(poll.isPolling, false, "one arrival says nothing about the next");
  poll.arrived();
  assert.equal(poll.isPolling, true);
  await turn();
  assert.equal(poll.isPolling, true, "the window is not over");
  const deadlineMs = performance.now() + 5000;
  while (poll.isPolling && performance.now() < deadlineMs) await turn();
  assert.equal(poll.isPolling, false);
});

test("leaves arrivals that are far apart to the kernel", async () => {
  const poll = new BusyPoll(1000);
  for (let arrival = 0; arrival < 3; arrival++) {
    poll.arrived();
    assert.equal(poll.isPolling, false);
    await delay(10);
  }
});

test("never polls with a window of zero", () => {
  const poll = new BusyPoll(0);
  poll.arrived();
  poll.arrived();
  assert.equal(poll.isPolling, false);
});
