import assert from "node:assert/strict";
import { test } from "node:test";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import type { BlockDevice } from "../block-device.ts";
import { MemoryDevice } from "../memory-device.ts";
import { buildStack, type LayerStack } from "../stack.ts";
import type { GivenRateParameters } from "./rate.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

function rateStack(clock: SteppedClock, parameters: GivenRateParameters): LayerStack {
  return buildStack([{ layer: "rate", ...parameters }], { clock, print: assert.fail });
}

function rated(parameters: GivenRateParameters): {
  clock: SteppedClock;
  device: BlockDevice;
  stack: LayerStack;
} {
  const clock = new SteppedClock();
  const stack = rateStack(clock, parameters);
  return { clock, stack, device: stack.over(new MemoryDevice({ sizeBytes: 64 * MIB })) };
}

/** Starts requests, and counts those that have completed. */
function counted(completions: unknown[]): { done: number } {
  const count = { done: 0 };
  for (const completion of completions) {
    if (completion === undefined) count.done++;
    else void (completion as Promise<void>).then(() => count.done++);
  }
  return count;
}

testBlockDevice("rate without limits", {
  runs: 30,
  open: (sizeBytes) => rateStack(new SteppedClock(), {}).over(new MemoryDevice({ sizeBytes })),
});
testBlockDevice("rate with limits that make most requests wait", {
  runs: 30,
  open: (sizeBytes) => {
    const parameters = {
      readBytesPerSecond: "1MiB",
      writeBytesPerSecond: "64KiB",
      writeRequestsPerSecond: 5,
    };
    return rateStack(new SteppedClock({ jumps: true }), parameters).over(new MemoryDevice({ sizeBytes }));
  },
});

test("within the burst a request completes at once; beyond it requests pass at the rate", async () => {
  const { clock, device } = rated({ readBytesPerSecond: "1MiB", burstMs: 1000 });
  const target = new Uint8Array(256 * KIB);
  const reads = counted(Array.from({ length: 12 }, () => device.read(0, target)));
  // Four empty the bucket, the fifth goes into debt.
  assert.equal(reads.done, 5);
  await clock.step(249);
  assert.equal(reads.done, 5);
  await clock.step(1);
  assert.equal(reads.done, 6);
  await clock.step(500);
  assert.equal(reads.done, 8);
  await clock.step(10_000);
  assert.equal(reads.done, 12);
  assert.equal(clock.pending, 0);
});

test("requests are limited by number as well, and both limits hold", async () => {
  const { clock, device } = rated({ writeRequestsPerSecond: 10, writeBytesPerSecond: "1GiB", burstMs: 100 });
  const source = new Uint8Array(512);
  const writes = counted(Array.from({ length: 20 }, () => device.write(0, source, 0)));
  assert.equal(writes.done, 2);
  await clock.step(1000);
  assert.equal(writes.done, 12);
});

test("a request larger than the burst passes, and those behind it pay for it", async () => {
  const { clock, device } = rated({ writeBytesPerSecond: "1MiB", burstMs: 1 });
  const writes = counted([
    device.write(0, new Uint8Array(8 * MIB), 0),
    device.write(0, new Uint8Array(512), 0),
  ]);
  assert.equal(writes.done, 1);
  await clock.step(7900);
  assert.equal(writes.done, 1);
  await clock.step(200);
  assert.equal(writes.done, 2);
});

test("a waiting write holds up neither reads nor flushes nor extents", async () => {
  const { device, clock } = rated({ writeRequestsPerSecond: 1, burstMs: 1 });
  const writes = counted(Array.from({ length: 5 }, () => device.trim(0, 512, 0)));
  assert.equal(writes.done, 2);
  assert.equal(device.read(0, new Uint8Array(512)), undefined);
  assert.equal(device.flush(), undefined);
  assert.equal((device.extents(0, 512, 1) as unknown[]).length, 1);
  await clock.step(60_000);
  assert.equal(writes.done, 5);
});

test("all openings of a volume share one limit, and wait in one line", async () => {
  const clock = new SteppedClock();
  const stack = rateStack(clock, { readRequestsPerSecond: 10, burstMs: 1 });
  const memory = new MemoryDevice({ sizeBytes: MIB });
  const first = stack.over(memory);
  const second = stack.over(memory);
  const target = new Uint8Array(512);
  const order: string[] = [];
  const read = (name: string, device: BlockDevice) =>
    void Promise.resolve(device.read(0, target)).then(() => order.push(name));
  for (let index = 0; index < 3; index++) {
    read("first", first);
    read("second", second);
  }
  await clock.step(0);
  assert.equal(order.length, 2);
  await clock.step(400);
  assert.deepEqual(order, ["first", "second", "first", "second", "first", "second"]);
});

test("a newcomer does not overtake those that wait, even when the timer is late", async () => {
  const { clock, device } = rated({ readRequestsPerSecond: 1, burstMs: 1 });
  const order: number[] = [];
  const read = (name: number) =>
    void Promise.resolve(device.read(0, new Uint8Array(1))).then(() => order.push(name));
  for (const name of [1, 2, 3]) read(name);
  clock.delayLoop(5000);
  read(4);
  await clock.step(5000);
  assert.deepEqual(order, [1, 2, 3, 4]);
});

test("closing an opening lets its waiting requests through at once, only its own, and nobody pays for them", async () => {
  const clock = new SteppedClock();
  const stack = rateStack(clock, { writeRequestsPerSecond: 1, burstMs: 1 });
  const memory = new MemoryDevice({ sizeBytes: MIB });
  const closing = stack.over(memory);
  const staying = stack.over(memory);
  const stayed = counted([staying.write(0, Uint8Array.of(1), 0), staying.write(0, Uint8Array.of(1), 0)]);
  const closed = counted([closing.write(9, Uint8Array.of(7), 0), closing.write(10, Uint8Array.of(8), 0)]);
  const last = counted([staying.write(0, Uint8Array.of(1), 0)]);
  await closing.close();
  assert.equal(closed.done, 2);
  assert.deepEqual([stayed.done, last.done], [2, 0]);
  const bytes = new Uint8Array(2);
  memory.read(9, bytes);
  assert.deepEqual([...bytes], [7, 8]);
  await clock.step(1000);
  assert.equal(last.done, 1);
});

test("limits changed at run time hold for those that wait already", async () => {
  const { clock, device, stack } = rated({ readRequestsPerSecond: 0.001, burstMs: 1 });
  const target = new Uint8Array(512);
  const reads = counted(Array.from({ length: 10 }, () => device.read(0, target)));
  assert.equal(reads.done, 2);
  stack.set(0, { readRequestsPerSecond: 10 });
  await clock.step(300);
  assert.equal(reads.done, 7);
  stack.set(0, { readRequestsPerSecond: 0 });
  await clock.step(0);
  assert.equal(reads.done, 10);
  assert.equal(clock.pending, 0);
});

test("a line that is full refuses with TOO_MANY, and closing still empties it", async () => {
  const { device } = rated({ readRequestsPerSecond: 0.001, burstMs: 1 });
  const target = new Uint8Array(1);
  const completions: unknown[] = [];
  for (let index = 0; index < 65_536 + 2; index++) completions.push(device.read(0, target));
  assert.throws(() => device.read(0, target), { code: "TOO_MANY" });
  await device.close();
  await Promise.all(completions);
});
