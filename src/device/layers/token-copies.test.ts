// What trace, fault and rate do to copies by token.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import {
  pattern,
  readRequest,
  TokenShelf,
  tokenMemoryDevice,
  writeRequest,
} from "../../../test/support/token-memory-device.ts";
import { makeLayer } from "../../../test/support/tree-layer.ts";

const MIB = 1024 * 1024;

test("trace prints ranges, tokens and lengths, and no token", async () => {
  const shelf = new TokenShelf();
  const { device, lines } = await makeLayer("trace", [
    tokenMemoryDevice(shelf, { sizeBytes: MIB, bytesMax: 4096 }),
  ]);
  const request = readRequest(512, 1024);
  const ranges = [...request.ranges, { offsetBytes: 8192, lengthBytes: 8192 }];
  const { tokens } = await device.offload!.read({ ...request, ranges });
  await device.offload!.write({ ...writeRequest([tokens[0]!.token], 0, 4096), fua: true });
  await assert.rejects(device.offload!.write(writeRequest([], 0, 512)), { code: "TOKEN_UNKNOWN" });
  assert.deepEqual(lines.slice(1), [
    "#1 offloadRead 512+1024 and 1 more, 9216 in all preserve ok (1 for 4096) 0.000 ms",
    "#1 offloadWrite 0+4096 fua ok (4096, moved 4096) 0.000 ms",
    "#1 offloadWrite 0+512 TOKEN_UNKNOWN 0.000 ms",
  ]);
});

test("fault fails and delays copies by token by any of their ranges", async () => {
  const clock = new SteppedClock();
  const shelf = new TokenShelf();
  const rules = [
    { operations: ["offloadWrite"], offsetBytes: 65_536, error: "TOKEN_EXPIRED" },
    { operations: ["offloadRead"], delayMs: 20 },
  ];
  const { device } = await makeLayer(
    "fault",
    [tokenMemoryDevice(shelf, { sizeBytes: MIB })],
    { rules },
    clock,
  );
  const token = shelf.keep(pattern(8192, 1));
  await device.offload!.write(writeRequest([token], 0, 4096));
  const { ranges, ...rest } = writeRequest([token], 0, 4096);
  await assert.rejects(
    device.offload!.write({ ...rest, ranges: [...ranges, { offsetBytes: 65_536, lengthBytes: 512 }] }),
    { code: "TOKEN_EXPIRED", message: /failed a offloadWrite at 0 of 4608 bytes/ },
  );
  assert.equal(shelf.calls.length, 1);
  let isDone = false;
  const read = device.offload!.read(readRequest(0, 512)).then(() => {
    isDone = true;
  });
  await clock.step(19);
  assert.equal(isDone, false);
  await clock.step(1);
  await read;
});

for (const [tokenCopies, waits] of [
  ["free", false],
  ["requests", false],
  ["bytes", true],
] as const)
  test(`rate with token copies as ${tokenCopies} ${waits ? "makes" : "does not make"} a second write wait for the first's bytes`, async () => {
    const clock = new SteppedClock();
    const shelf = new TokenShelf();
    const parameters = { writeBytesPerSecond: 4096, tokenCopies };
    const { device } = await makeLayer(
      "rate",
      [tokenMemoryDevice(shelf, { sizeBytes: MIB })],
      parameters,
      clock,
    );
    const token = shelf.keep(pattern(8192, 1));
    await device.offload!.write(writeRequest([token], 0, 8192));
    const second = device.offload!.write(writeRequest([token], 0, 8192));
    await clock.step(0);
    assert.equal(shelf.calls.length, waits ? 1 : 2);
    await clock.step(1100);
    await second;
  });

test("rate counts token copies as requests unless they are free", async () => {
  for (const tokenCopies of ["free", "requests"]) {
    const clock = new SteppedClock();
    const shelf = new TokenShelf();
    const parameters = { readRequestsPerSecond: 1, tokenCopies };
    const { device } = await makeLayer(
      "rate",
      [tokenMemoryDevice(shelf, { sizeBytes: MIB })],
      parameters,
      clock,
    );
    const reads = [0, 1, 2].map(() => device.offload!.read(readRequest(0, 512)));
    await clock.step(0);
    assert.equal(shelf.calls.length, tokenCopies === "free" ? 3 : 2);
    await clock.step(3000);
    await Promise.all(reads);
  }
});
