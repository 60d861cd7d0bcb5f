import assert from "node:assert/strict";
import { test } from "node:test";
import { testBlockDevice } from "../../test/support/block-device-conformance.ts";
import { SteppedClock } from "../../test/support/stepped-clock.ts";
import { MemoryDevice } from "./memory-device.ts";
import { buildStack } from "./stack.ts";

const world = { clock: new SteppedClock(), print: () => {} };

testBlockDevice("a stack of all layers", {
  runs: 30,
  open: (sizeBytes) =>
    buildStack(
      [
        { layer: "fault", rules: [{ delayMs: 1, probability: 0.3 }] },
        { layer: "rate", writeBytesPerSecond: "1MiB" },
        { layer: "trace" },
      ],
      { clock: new SteppedClock({ jumps: true }), print: () => {} },
    ).over(new MemoryDevice({ sizeBytes })),
});

test("an empty stack is the volume behind the shim", () => {
  const device = buildStack([], world).over(new MemoryDevice({ sizeBytes: 4096 }));
  assert.equal(device.sizeBytes, 4096);
  assert.throws(() => device.read(4096, new Uint8Array(1)), { code: "INVALID_RANGE" });
});

test("the last layer of the description faces the client", () => {
  const lines: string[] = [];
  const rules = [{ operations: ["read"], error: "IO_ERROR" }];
  const printing = { clock: new SteppedClock(), print: (line: string) => lines.push(line) };
  const read = (description: unknown) => {
    const device = buildStack(description, printing).over(new MemoryDevice({ sizeBytes: 4096 }));
    assert.throws(() => device.read(0, new Uint8Array(1)), { code: "IO_ERROR" });
  };
  read([{ layer: "fault", rules }, { layer: "trace" }]);
  assert.deepEqual(lines.splice(0), ["#1 open 4096 read-write", "#1 read 0+1 IO_ERROR 0.000 ms"]);
  read([{ layer: "trace" }, { layer: "fault", rules }]);
  assert.deepEqual(lines.splice(0), ["#1 open 4096 read-write"]);
});

test("a request that is out of range does not reach the layers", () => {
  const lines: string[] = [];
  const stack = buildStack([{ layer: "trace" }], {
    clock: new SteppedClock(),
    print: (line) => lines.push(line),
  });
  const device = stack.over(new MemoryDevice({ sizeBytes: 4096 }));
  assert.throws(() => device.read(4096, new Uint8Array(1)), { code: "INVALID_RANGE" });
  assert.deepEqual(lines, ["#1 open 4096 read-write"]);
});

test("a change of one parameter keeps the others", () => {
  const stack = buildStack([{ layer: "rate", readBytesPerSecond: "1MiB", burstMs: 50 }], world);
  stack.set(0, { writeRequestsPerSecond: 0.5 });
  assert.deepEqual(stack.describe(), [
    {
      layer: "rate",
      readBytesPerSecond: 1048576,
      writeBytesPerSecond: 0,
      readRequestsPerSecond: 0,
      writeRequestsPerSecond: 0.5,
      burstMs: 50,
      tokenCopies: "requests",
    },
  ]);
});

test("a description that was printed builds the same stack again", () => {
  const stack = buildStack([{ layer: "fault", seed: 3, rules: [{ skip: 1 }] }, { layer: "trace" }], world);
  const printed: unknown = JSON.parse(JSON.stringify(stack.describe()));
  assert.deepEqual(buildStack(printed, world).describe(), stack.describe());
});

test("every mistake in a description is INVALID_CONFIG and says where and what", () => {
  const mistakes: [description: unknown, message: RegExp][] = [
    [null, /^layers must be a list\.$/],
    [{}, /^layers must be a list/],
    [Array.from({ length: 17 }, () => ({ layer: "trace" })), /^layers has 17 entries; at most 16/],
    [[7], /^layers\[0\] must be an object/],
    [[[]], /^layers\[0\] must be an object/],
    [[{}], /^layers\[0\] names no layer; known are trace, fault, rate\.$/],
    [[{ layer: "trace" }, { layer: "sponge" }], /^layers\[1\] names the layer "sponge"/],
    [[{ layer: "toString" }], /^layers\[0\] names the layer "toString"/],
    [[{ layer: "rate", speed: 1 }], /^layers\[0\] has no parameter "speed"; it knows readBytesPerSecond, /],
    [[JSON.parse('{"layer":"rate","__proto__":{}}')], /^layers\[0\] has no parameter "__proto__"/],
    [
      [{ layer: "rate", readBytesPerSecond: "fast" }],
      /^layers\[0\]\.readBytesPerSecond: "fast" is not a size/,
    ],
    [[{ layer: "rate", readBytesPerSecond: -1 }], /must be a whole number of bytes\/s from 0 to /],
    [[{ layer: "rate", readBytesPerSecond: 1.5 }], /must be a whole number/],
    [[{ layer: "rate", readBytesPerSecond: "2PiB" }], /must be a whole number of bytes\/s from 0 to /],
    [[{ layer: "rate", readRequestsPerSecond: "9" }], /must be a number of requests\/s/],
    [[{ layer: "rate", burstMs: Number.NaN }], /burstMs must be a number of ms from 1 to 60000/],
    [[{ layer: "rate", burstMs: null }], /burstMs must be a number/],
    [[{ layer: "trace", operations: "read" }], /operations must be a list/],
    [[{ layer: "trace", operations: ["read", "read"] }], /operations names something twice/],
    [[{ layer: "trace", operations: ["open"] }], /operations\[0\] must be one of read, write, zero/],
    [[{ layer: "fault", rules: [{ error: "EIO" }] }], /rules\[0\]\.error must be one of none, IO_ERROR/],
    [
      [{ layer: "fault", rules: [{}, { probability: 2 }] }],
      /rules\[1\]\.probability must be a number from 0 to 1/,
    ],
    [[{ layer: "fault", rules: [{ delay: 2 }] }], /rules\[0\] has no parameter "delay"/],
    [[{ layer: "fault", rules: Array.from({ length: 65 }, () => ({})) }], /rules has 65 entries/],
  ];
  for (const [description, message] of mistakes) {
    assert.throws(
      () => buildStack(description, world),
      { code: "INVALID_CONFIG", message },
      JSON.stringify(description),
    );
  }
});

test("a mistake at run time changes nothing", () => {
  const stack = buildStack([{ layer: "rate" }], world);
  const before = stack.describe();
  assert.throws(() => stack.set(0, { burstMs: 5, speed: 1 }), { code: "INVALID_CONFIG" });
  assert.throws(() => stack.set(1, {}), { code: "INVALID_CONFIG", message: /layers\[1\] does not exist/ });
  assert.deepEqual(stack.describe(), before);
});
