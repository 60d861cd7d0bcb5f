import assert from "node:assert/strict";
import test from "node:test";
import { SimulatedClock } from "../../../sim/simulated-clock.ts";
import { SimulatedDisk } from "../../../sim/simulated-disk.ts";
import { SimulatedRandom } from "../../../sim/simulated-random.ts";
import { SegmentKind, segmentName } from "../format/segment.ts";
import { completeSettings } from "../settings.ts";
import type { Segment } from "./segment.ts";
import { Segments } from "./segments.ts";

const MIB = 2 ** 20;
const HANDLES_MAX = 8;
/** So many of the newest keep their handles whatever the limit. */
const RECENT = 64;

test("a segment whose handle was closed for others is still made durable by a sync, and is open afterwards", async () => {
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk(clock, "segments");
  const settings = completeSettings({ segmentBytes: MIB, sizeBytes: 128 * MIB });
  const random = new SimulatedRandom("segments");
  const process = clock.startProcess();
  const world = { disk: disk.attach(process), random, clock: process };
  const segments = new Segments(world, settings, { handlesMax: HANDLES_MAX });
  const run = async () => {
    const taken: Segment[] = [];
    for (let count = 0; count < RECENT + 2 * HANDLES_MAX; count += 1)
      taken.push(await segments.take(SegmentKind.collector, "checkpoint"));
    const [first, second] = taken as [Segment, Segment];
    first.file!.write(4096, [Buffer.from("written and not durable")]);
    first.sealed = true;
    second.sealed = true;
    await second.file!.close();
    second.file = undefined;
    await segments.read(second.number, 0, new Uint8Array(16), 0, 16);
    assert.equal(first.file, undefined, "the limit closed its handle");
    const durable = () => Buffer.from(disk.file(segmentName(first.number)).durableBytes()).toString("latin1");
    assert.doesNotMatch(durable(), /not durable/);
    await segments.sync(first);
    assert.match(durable(), /written and not durable/);
    assert.notEqual(first.file, undefined);
    assert.equal(first.readers, 0);
  };
  await clock.run(run());
});
