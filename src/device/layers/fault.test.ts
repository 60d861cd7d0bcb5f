import assert from "node:assert/strict";
import { test } from "node:test";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import type { RopewalkError } from "../../base/errors.ts";
import type { BlockDevice } from "../block-device.ts";
import { MemoryDevice } from "../memory-device.ts";
import { buildStack, type LayerStack } from "../stack.ts";
import type { GivenFaultParameters } from "./fault.ts";

const block = new Uint8Array(512);

interface Faulty {
  clock: SteppedClock;
  memory: MemoryDevice;
  device: BlockDevice;
  stack: LayerStack;
}

function faulty(parameters: GivenFaultParameters, clock = new SteppedClock()): Faulty {
  const memory = new MemoryDevice({ sizeBytes: 1 << 20 });
  const stack = buildStack([{ layer: "fault", ...parameters }], { clock, print: assert.fail });
  return { clock, memory, stack, device: stack.over(memory) };
}

/** The codes that requests ended with, one after the other; "ok" for none. */
async function codes(count: number, request: () => unknown): Promise<string[]> {
  const ended: string[] = [];
  for (let index = 0; index < count; index++) {
    try {
      await request();
      ended.push("ok");
    } catch (error) {
      ended.push((error as RopewalkError).code);
    }
  }
  return ended;
}

testBlockDevice("fault without rules", {
  runs: 30,
  open: (sizeBytes) =>
    buildStack([{ layer: "fault" }], { clock: new SteppedClock(), print: assert.fail }).over(
      new MemoryDevice({ sizeBytes }),
    ),
});
testBlockDevice("fault that only delays", {
  runs: 30,
  open: (sizeBytes) =>
    buildStack([{ layer: "fault", rules: [{ delayMs: 5, probability: 0.5 }, { delayMs: 1 }] }], {
      clock: new SteppedClock({ jumps: true }),
      print: assert.fail,
    }).over(new MemoryDevice({ sizeBytes })),
});

test("each operation can be made to fail, with the code of the rule, and does nothing then", async () => {
  const { device, memory } = faulty({
    rules: [
      { operations: ["read"], error: "CHECKSUM_MISMATCH" },
      { operations: ["write", "zero"], error: "NO_SPACE" },
      { operations: ["trim"], error: "UNSUPPORTED" },
      { operations: ["flush"], error: "POOL_READ_ONLY" },
      { operations: ["extents"], error: "TIMEOUT" },
    ],
  });
  memory.write(0, block.slice().fill(5), 0);
  assert.throws(() => device.read(0, block), {
    code: "CHECKSUM_MISMATCH",
    message: /read at 0 of 512 bytes/,
  });
  assert.throws(() => device.write(0, block, 0), { code: "NO_SPACE" });
  assert.throws(() => device.zero(0, 512, 0), { code: "NO_SPACE" });
  assert.throws(() => device.trim(0, 512, 0), { code: "UNSUPPORTED" });
  assert.throws(() => device.flush(), { code: "POOL_READ_ONLY", message: /failed a flush, as/ });
  assert.throws(() => device.extents(0, 512, 1), { code: "TIMEOUT" });
  const target = new Uint8Array(512);
  memory.read(0, target);
  assert.ok(target.every((byte) => byte === 5));
});

test("a rule strikes only requests that touch its range", async () => {
  const { device } = faulty({
    rules: [{ operations: ["read"], offsetBytes: "4KiB", lengthBytes: 4096, error: "IO_ERROR" }],
  });
  const read = (offset: number) => () => device.read(offset, block);
  assert.deepEqual(await codes(1, read(4096 - 512)), ["ok"]);
  assert.deepEqual(await codes(1, read(4096 - 511)), ["IO_ERROR"]);
  assert.deepEqual(await codes(1, read(8191)), ["IO_ERROR"]);
  assert.deepEqual(await codes(1, read(8192)), ["ok"]);
});

test("a rule skips its first requests and strikes as often as it says", async () => {
  const { device } = faulty({ rules: [{ operations: ["write"], skip: 2, count: 3, error: "IO_ERROR" }] });
  const bad = "IO_ERROR";
  assert.deepEqual(await codes(7, () => device.write(0, block, 0)), ["ok", "ok", bad, bad, bad, "ok", "ok"]);
  assert.deepEqual(await codes(2, () => device.read(0, block)), ["ok", "ok"]);
});

test("the same seed gives the same faults, another one others, about as often as the probability says", async () => {
  const rules = [{ operations: ["read"], probability: 0.3, error: "IO_ERROR" }] as const;
  const run = (seed: number) => {
    const { device } = faulty({ seed, rules });
    return codes(500, () => device.read(0, block));
  };
  const first = await run(1);
  assert.deepEqual(await run(1), first);
  assert.notDeepEqual(await run(2), first);
  const failed = first.filter((code) => code === "IO_ERROR").length;
  assert.ok(failed > 110 && failed < 190, `${failed} of 500`);
});

test("delays of several rules add up, and the first rule with an error ends the search", async () => {
  const { device, clock } = faulty({
    rules: [
      { delayMs: 10 },
      { operations: ["write"], delayMs: 5, error: "IO_ERROR" },
      { delayMs: 100, error: "NO_SPACE" },
    ],
  });
  let outcome = "pending";
  const write = device.write(0, block, 0) as Promise<void>;
  write.catch((error: RopewalkError) => {
    outcome = error.code;
  });
  await clock.step(14);
  assert.equal(outcome, "pending");
  await clock.step(1);
  assert.equal(outcome, "IO_ERROR");
});

test("a delayed request takes effect after its delay, not before", async () => {
  const { device, clock, memory } = faulty({ rules: [{ operations: ["write"], delayMs: 50 }] });
  const write = device.write(0, Uint8Array.of(9), 0);
  const target = new Uint8Array(1);
  await clock.step(49);
  memory.read(0, target);
  assert.equal(target[0], 0);
  await clock.step(1);
  memory.read(0, target);
  assert.equal(target[0], 9);
  await write;
});

test("closing an opening ends its delays, and the requests finish first", async () => {
  const { device, clock, memory } = faulty({ rules: [{ operations: ["write"], delayMs: 3_600_000 }] });
  const write = device.write(0, Uint8Array.of(9), 0) as Promise<void>;
  await device.close();
  await write;
  const target = new Uint8Array(1);
  memory.read(0, target);
  assert.equal(target[0], 9);
  assert.equal(clock.pending, 0);
});

test("rules set at run time hold from the next request on, their counts beginning anew", async () => {
  const { device, stack } = faulty({ rules: [] });
  const write = () => device.write(0, block, 0);
  assert.deepEqual(await codes(2, write), ["ok", "ok"]);
  stack.set(0, { rules: [{ count: 1, error: "IO_ERROR" }] });
  assert.deepEqual(await codes(2, write), ["IO_ERROR", "ok"]);
  stack.set(0, { rules: [{ count: 1, error: "IO_ERROR" }] });
  assert.deepEqual(await codes(2, write), ["IO_ERROR", "ok"]);
  stack.set(0, { rules: [] });
  assert.deepEqual(await codes(2, write), ["ok", "ok"]);
});
