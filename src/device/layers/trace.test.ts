import assert from "node:assert/strict";
import { test } from "node:test";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { type BlockDevice, RequestFlag } from "../block-device.ts";
import { MemoryDevice } from "../memory-device.ts";
import { buildStack, type LayerDescription } from "../stack.ts";
import type { GivenTraceParameters } from "./trace.ts";

const block = new Uint8Array(512);

function traced(parameters: GivenTraceParameters, below: LayerDescription[] = []) {
  const clock = new SteppedClock();
  const lines: string[] = [];
  const stack = buildStack([...below, { layer: "trace", ...parameters }], {
    clock,
    print: (line) => lines.push(line),
  });
  const open = (): BlockDevice => stack.over(new MemoryDevice({ sizeBytes: 1 << 20 }));
  return { clock, lines, stack, open };
}

testBlockDevice("trace", {
  runs: 30,
  open: (sizeBytes) => {
    const world = { clock: new SteppedClock(), print: () => {} };
    return buildStack([{ layer: "trace" }], world).over(new MemoryDevice({ sizeBytes }));
  },
});

test("each request is printed with its opening, range, flags, result and latency", async () => {
  const { lines, open } = traced({});
  const device = open();
  device.write(0, block, RequestFlag.fua);
  device.read(4096, block);
  device.zero(0, 1024, RequestFlag.noHole | RequestFlag.fast);
  device.trim(512, 512, 0);
  device.flush();
  device.extents(0, 1 << 20, 100);
  await device.close();
  open();
  assert.deepEqual(lines, [
    "#1 open 1048576 read-write",
    "#1 write 0+512 fua ok 0.000 ms",
    "#1 read 4096+512 ok 0.000 ms",
    "#1 zero 0+1024 no-hole fast ok 0.000 ms",
    "#1 trim 512+512 ok 0.000 ms",
    "#1 flush ok 0.000 ms",
    "#1 extents 0+1048576 ok (2) 0.000 ms",
    "#1 close ok",
    "#2 open 1048576 read-write",
  ]);
});

test("lines come when requests end, with the time that they took", async () => {
  const rules = [{ operations: ["read", "extents"], delayMs: 20 }] as const;
  const { lines, open, clock } = traced({}, [{ layer: "fault", rules }]);
  const device = open();
  const read = device.read(0, block);
  const extents = device.extents(0, 512, 1);
  device.write(0, block, 0);
  await clock.step(20);
  await read;
  await extents;
  assert.deepEqual(lines.slice(1), [
    "#1 write 0+512 ok 0.000 ms",
    "#1 read 0+512 ok 20.000 ms",
    "#1 extents 0+512 ok (1) 20.000 ms",
  ]);
});

test("a failure is printed by its code, whether thrown or rejected, and handed on", async () => {
  const rules = [
    { operations: ["flush"], error: "IO_ERROR" },
    { operations: ["write", "extents"], delayMs: 1, error: "NO_SPACE" },
    { operations: ["extents"], error: "TIMEOUT" },
  ] as const;
  const { lines, open, clock, stack } = traced({}, [{ layer: "fault", rules }]);
  const device = open();
  assert.throws(() => device.flush(), { code: "IO_ERROR" });
  const failed = Promise.all([
    assert.rejects(device.write(0, block, 0) as Promise<void>, { code: "NO_SPACE" }),
    assert.rejects(device.extents(0, 512, 1) as Promise<unknown>, { code: "NO_SPACE" }),
  ]);
  await clock.step(1);
  await failed;
  stack.set(0, { rules: [{ operations: ["extents"], error: "TIMEOUT" }] });
  assert.throws(() => device.extents(0, 512, 1), { code: "TIMEOUT" });
  assert.deepEqual(lines.slice(1), [
    "#1 flush IO_ERROR 0.000 ms",
    "#1 write 0+512 NO_SPACE 1.000 ms",
    "#1 extents 0+512 NO_SPACE 1.000 ms",
    "#1 extents 0+512 TIMEOUT 0.000 ms",
  ]);
});

test("a failed close is printed and handed on", async () => {
  const lines: string[] = [];
  const stack = buildStack([{ layer: "trace" }], {
    clock: new SteppedClock(),
    print: (line) => lines.push(line),
  });
  const memory = new MemoryDevice({ sizeBytes: 4096, capabilities: { writable: false } });
  memory.close = () => Promise.reject(new Error("torn"));
  await assert.rejects(stack.over(memory).close(), /torn/);
  assert.deepEqual(lines, ["#1 open 4096 read-only", "#1 close INTERNAL"]);
});

test("only the operations asked for are printed, and only slow ones, also when set at run time", async () => {
  const rules = [{ operations: ["read"], offsetBytes: 4096, delayMs: 10 }] as const;
  const { lines, open, clock, stack } = traced({ operations: ["read"], slowerThanMs: 5 }, [
    { layer: "fault", rules },
  ]);
  const device = open();
  device.write(0, block, 0);
  device.read(0, block);
  const slow = device.read(4096, block);
  await clock.step(10);
  await slow;
  stack.set(1, { slowerThanMs: 0 });
  device.write(0, block, 0);
  device.read(0, block);
  assert.deepEqual(lines.slice(1), ["#1 read 4096+512 ok 10.000 ms", "#1 read 0+512 ok 0.000 ms"]);
});
