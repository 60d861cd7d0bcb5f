// SANITIZE over restarts: one that did not come to its end is never taken for a finished one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SteppedClock } from "../../../../test/support/stepped-clock.ts";
import { RopewalkError } from "../../../base/errors.ts";
import { MemoryDevice } from "../../../device/mod.ts";
import { ScsiUnitTarget } from "./mod.ts";
import { TestInitiator, testNexus } from "./testing/test-initiator.ts";

const SIZE = 1024 * 1024;
const READ = "28 00 00000000 00 0001";
const TEST_UNIT_READY = "00";
const BLOCK_ERASE = "48 02 00 00 00 00 00 0000 00";
const EXIT_FAILURE_MODE = "48 1f 00 00 00 00 00 0000 00";
/** IMMED, without AUSE and with it. */
const OVERWRITE = "48 81 00 00 00 00 00 0005 00";
const OVERWRITE_EXIT_ALLOWED = "48 a1 00 00 00 00 00 0005 00";
const PATTERN = Uint8Array.of(1, 0, 0, 1, 9);
const FAILED = "03/31/03";
const IN_PROGRESS = "02/04/1b";

/** What outlives the daemon: the device and the record. */
class Disk {
  readonly device = new MemoryDevice({ sizeBytes: SIZE });
  text: string | undefined;
  isBroken = false;

  async load() {
    return this.text;
  }

  async save(text: string) {
    if (this.isBroken) throw new RopewalkError("IO_ERROR", "The store cannot be written.");
    this.text = text;
  }

  /** A daemon that has just been started on it. */
  async start() {
    const clock = new SteppedClock();
    const target = new ScsiUnitTarget({
      device: this.device,
      blockBytes: 512,
      identity: { name: "vol0", uuid: "6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0" },
      ports: [{ name: "iqn.2026-11.io.ropewalk:vol0,t,0x0001", portalGroupTag: 1, relativePort: 1 }],
      store: this,
      clock,
      isWritable: true,
      trimReadsZeros: true,
      sanitizeBytesPerSecond: SIZE / 4,
    });
    return { clock, target, initiator: await TestInitiator.ready(target, testNexus(1)) };
  }
}

test("a SANITIZE that a restart interrupts has failed, until another one succeeds", async () => {
  const disk = new Disk();
  const { initiator } = await disk.start();
  assert.equal((await initiator.send(OVERWRITE, PATTERN)).status, 0);
  assert.equal((await initiator.send(TEST_UNIT_READY)).sense, IN_PROGRESS);
  for (let restarts = 0; restarts < 2; restarts++) {
    const again = (await disk.start()).initiator;
    for (const cdb of [TEST_UNIT_READY, READ, EXIT_FAILURE_MODE])
      assert.equal((await again.send(cdb)).sense, FAILED, cdb);
    assert.equal((await again.send("12 00 00 00 ff")).status, 0);
  }
  const { initiator: third } = await disk.start();
  assert.equal((await third.send(BLOCK_ERASE)).status, 0);
  assert.equal((await third.send(READ)).status, 0);
  const { initiator: last } = await disk.start();
  assert.equal((await last.send(READ)).status, 0);
});

test("one that had AUSE may be given up after the restart too, and that is durable", async () => {
  const disk = new Disk();
  const { initiator } = await disk.start();
  await initiator.send(OVERWRITE_EXIT_ALLOWED, PATTERN);
  const { initiator: second } = await disk.start();
  assert.equal((await second.send(READ)).sense, FAILED);
  assert.equal((await second.send(EXIT_FAILURE_MODE)).status, 0);
  assert.equal((await second.send(READ)).status, 0);
  assert.equal((await (await disk.start()).initiator.send(READ)).status, 0);
});

test("one that came to its end is complete after a restart", async () => {
  const disk = new Disk();
  const { initiator, clock } = await disk.start();
  await initiator.send(OVERWRITE, PATTERN);
  await clock.step(5_000);
  assert.equal((await initiator.send(READ)).status, 0);
  const { data } = await (await disk.start()).initiator.send(READ);
  assert.deepEqual(data, new Uint8Array(512).fill(9));
});

test("one that cannot be recorded changes nothing, and one whose success cannot be has failed", async () => {
  const disk = new Disk();
  disk.device.write(0, new Uint8Array(512).fill(5), 0);
  const { initiator, clock } = await disk.start();
  disk.isBroken = true;
  assert.equal((await initiator.send(OVERWRITE, PATTERN)).sense, "04/44/00");
  assert.deepEqual((await initiator.send(READ)).data, new Uint8Array(512).fill(5));
  disk.isBroken = false;
  await initiator.send(OVERWRITE, PATTERN);
  disk.isBroken = true;
  await clock.step(5_000);
  assert.equal((await initiator.send(READ)).sense, FAILED);
  assert.equal((await (await disk.start()).initiator.send(READ)).sense, FAILED);
});

test("reservations and an unfinished SANITIZE do not undo each other's record", async () => {
  const disk = new Disk();
  const { initiator } = await disk.start();
  const list = new Uint8Array(24);
  list[15] = 1;
  list[20] = 1;
  const both = [initiator.send("5f 00 00 00 00 00 00 00 18 00", list), initiator.send(OVERWRITE, PATTERN)];
  for (const { status } of await Promise.all(both)) assert.equal(status, 0);
  const { initiator: second } = await disk.start();
  assert.equal((await second.send(READ)).sense, FAILED);
  assert.equal((await second.send(BLOCK_ERASE)).status, 0);
  assert.equal((await second.send("5e 00 00 00 00 00 00 00 10 00")).data[15], 1);
});

test("a copy manager neither reads nor writes a unit under SANITIZE, or after it failed", async () => {
  const disk = new Disk();
  const { initiator, target } = await disk.start();
  await initiator.send(OVERWRITE, PATTERN);
  for (const unit of [target.copyUnit, (await disk.start()).target.copyUnit]) {
    const command = { nexus: initiator.nexus } as Parameters<typeof unit.checkReadable>[0];
    await Promise.resolve();
    assert.throws(() => unit.checkReadable(command));
    assert.throws(() => unit.checkWritable(command));
  }
});
