import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { hostClock } from "./clock.ts";

test("a timer runs once, and never before its delay by the same clock", async () => {
  for (const delayMs of [0, 0.3, 1, 2.7, 5]) {
    const startMs = hostClock.nowMs();
    let runs = 0;
    await new Promise<void>((resolve) => {
      hostClock.after(delayMs, () => {
        runs++;
        resolve();
      });
      keepAlive(delayMs);
    });
    assert.ok(hostClock.nowMs() - startMs >= delayMs, `${delayMs} ms`);
    assert.equal(runs, 1);
  }
});

test("a timer of Node's that fires early is set again for the rest", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let ran = false;
  const timer = hostClock.after(60_000, () => {
    ran = true;
  });
  t.mock.timers.tick(60_000);
  assert.equal(ran, false, "by the monotonic clock no time has passed");
  timer.cancel();
  t.mock.timers.tick(60_000);
  assert.equal(ran, false);
});

test("a cancelled timer does not run", async () => {
  let ran = false;
  const timer = hostClock.after(1, () => {
    ran = true;
  });
  timer.cancel();
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(ran, false);
});

test("a delay of a year never asks Node for more than its timers can do", (t) => {
  const setTimeoutSpy = t.mock.method(globalThis, "setTimeout");
  hostClock.after(365 * 24 * 3600 * 1000, assert.fail).cancel();
  assert.deepEqual(
    setTimeoutSpy.mock.calls.map((call) => call.arguments[1]),
    [2 ** 31 - 1],
  );
});

test("soon runs after the promises of this turn, in order", async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    hostClock.soon(() => order.push("first"));
    hostClock.soon(() => {
      order.push("second");
      resolve();
    });
    void Promise.resolve().then(() => order.push("promise"));
  });
  assert.deepEqual(order, ["promise", "first", "second"]);
});

test("a pending timer does not keep the process alive", () => {
  const clockFile = join(import.meta.dirname, "clock.ts");
  const script = `import { hostClock } from ${JSON.stringify(clockFile)}; hostClock.after(60_000, () => {});`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], { timeout: 20_000 });
  assert.equal(child.signal, null);
  assert.equal(child.status, 0, child.stderr.toString());
});

test("the wall clock says today and the monotonic one does not go back", () => {
  assert.ok(Math.abs(hostClock.wallMs() - Date.now()) < 1000);
  let beforeMs = hostClock.nowMs();
  for (let index = 0; index < 1000; index++) {
    const nowMs = hostClock.nowMs();
    assert.ok(nowMs >= beforeMs);
    beforeMs = nowMs;
  }
});

/** The clock's own timers don't keep the loop running; a test must. */
function keepAlive(delayMs: number): void {
  setTimeout(() => {}, delayMs + 20);
}
