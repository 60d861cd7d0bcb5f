import assert from "node:assert/strict";
import { test } from "node:test";
import { SteppedClock } from "../../test/support/stepped-clock.ts";
import { type BlockDevice, MemoryDevice } from "../device/mod.ts";
import { MeasuredDevice } from "./measured-device.ts";
import { LATENCY_BUCKETS, MeteredRequest, VolumeMeter } from "./volume-meter.ts";

function measuredDevice() {
  const inner: BlockDevice = new MemoryDevice({ sizeBytes: 2 ** 20 });
  const [clock, meter] = [new SteppedClock(), new VolumeMeter()];
  return { inner, clock, meter, device: new MeasuredDevice({ device: inner, meter, clock }) as BlockDevice };
}

test("a request that completes at once is counted at once and costs no promise", async () => {
  const { device, meter } = measuredDevice();
  assert.equal(device.write(0, new Uint8Array(100), 0), undefined);
  assert.equal(device.trim(0, 50, 0), undefined);
  assert.equal(meter.requests[MeteredRequest.write], 1);
  assert.equal(meter.bytes[MeteredRequest.write], 100);
  assert.equal(meter.bytes[MeteredRequest.trim], 50);
});

test("a request that completes later is counted then, with the time it took, and its own promise is handed on", async () => {
  const { inner, device, meter, clock } = measuredDevice();
  const completed = Promise.withResolvers<void>();
  inner.read = () => completed.promise;
  assert.equal(device.read(0, new Uint8Array(512)), completed.promise);
  await clock.step(3);
  assert.equal(meter.requests[MeteredRequest.read], 0);
  completed.resolve();
  await completed.promise;
  assert.equal(meter.requests[MeteredRequest.read], 1);
  assert.equal(meter.latencyMs[MeteredRequest.read], 3);
  // 3 ms is above 2^11 µs and within 2^12.
  assert.equal(meter.buckets[MeteredRequest.read * LATENCY_BUCKETS + 12], 1);
});

test("a request that fails, thrown or rejected, is counted as an error only", async () => {
  const { inner, device, meter } = measuredDevice();
  inner.flush = () => Promise.reject(new Error("later"));
  inner.zero = () => {
    throw new Error("at once");
  };
  await assert.rejects(async () => device.flush(), /later/);
  assert.throws(() => device.zero(0, 512, 0), /at once/);
  assert.equal(meter.errors[MeteredRequest.flush], 1);
  assert.equal(meter.errors[MeteredRequest.zero], 1);
  assert.equal(meter.requests[MeteredRequest.flush], 0);
});
