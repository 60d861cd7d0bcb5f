import assert from "node:assert/strict";
import { test } from "node:test";
import { openSmallPool } from "../../test/support/small-pool.ts";
import { hostClock, hostRandom } from "../host/mod.ts";
import { TOKEN_KEY_BYTES, TokenRoom } from "../offload/mod.ts";
import { Control } from "./control.ts";
import type { CopyWish } from "./copy-work.ts";

const MIB = 2 ** 20;
const machine = {
  version: "1",
  rssBytes: () => 0,
  longestTurnMs: () => ({ lastMinute: 0, sinceStart: 0 }),
  longestDelayMs: () => ({ lastMinute: 0, sinceStart: 0 }),
};

async function controlled({ withTokens = true } = {}) {
  const opened = await openSmallPool();
  const { pool } = opened;
  const room = await TokenRoom.open({
    pool,
    clock: hostClock,
    random: hostRandom,
    key: hostRandom.bytes(TOKEN_KEY_BYTES),
    report() {},
  });
  const tokens = withTokens ? room : undefined;
  const control = new Control({
    pool,
    clock: hostClock,
    machine,
    stack: (_volume, device) => device,
    tokens,
  });
  await control.volumes.create({ name: "v", sizeBytes: 8 * MIB });
  await write(control, "v", 4096, 9);
  await write(control, "v", 5 * MIB, 7);
  return {
    control,
    pool,
    room,
    copy: (wish: CopyWish) => control.copies.start(wish).work.outcome(),
    async [Symbol.asyncDispose]() {
      await control.stop();
      await room.close();
      await opened[Symbol.asyncDispose]();
    },
  };
}

async function write(control: Control, name: string, offset: number, value: number): Promise<void> {
  const device = control.exports.open(name);
  for (const half of [0, MIB / 2]) await device.write(offset + half, new Uint8Array(MIB / 2).fill(value), 0);
  await device.close();
}

async function contents(control: Control, name: string): Promise<Uint8Array> {
  const device = control.exports.open(name);
  const bytes = new Uint8Array(device.sizeBytes);
  for (let at = 0; at < bytes.length; at += MIB / 4)
    await device.read(at, bytes.subarray(at, Math.min(bytes.length, at + MIB / 4)));
  await device.close();
  return bytes;
}

test("a copy on the pool makes the destination and moves no data", async () => {
  await using world = await controlled();
  const { elapsedMs, ...copied } = await world.copy({ source: "v", destination: "w" });
  assert.deepEqual(copied, { bytes: 8 * MIB, bytesMoved: 0, bytesPlain: 0 });
  assert.ok(elapsedMs > 0);
  assert.deepEqual(await contents(world.control, "w"), await contents(world.control, "v"));
  assert.equal(world.room.list().length, 0);
});

test("without tokens a copy reads and writes data, and holes stay holes", async () => {
  await using world = await controlled({ withTokens: false });
  const { elapsedMs: _, ...copied } = await world.copy({ source: "v", destination: "w" });
  assert.deepEqual(copied, { bytes: 8 * MIB, bytesMoved: 4 * MIB, bytesPlain: 8 * MIB });
  assert.deepEqual(await contents(world.control, "w"), await contents(world.control, "v"));
  assert.equal(world.control.volumes.show("w").usedBytes, world.control.volumes.show("v").usedBytes);
});

test("a range goes to another place, and the destination grows for it and keeps the rest", async () => {
  for (const withTokens of [true, false]) {
    await using world = await controlled({ withTokens });
    const { control } = world;
    await control.volumes.create({ name: "w", sizeBytes: MIB });
    await write(control, "w", 0, 1);
    const wish = { source: "v", destination: "w", offsetBytes: 5000, lengthBytes: 6 * MIB + 1000 };
    const { bytes } = await world.copy({ ...wish, toOffsetBytes: 2 * MIB + 5000 });
    assert.equal(bytes, wish.lengthBytes);
    const [source, target] = [await contents(control, "v"), await contents(control, "w")];
    assert.equal(target.length % 512, 0);
    const expected = new Uint8Array(target.length);
    expected.fill(1, 0, MIB);
    expected.set(source.subarray(5000, 5000 + wish.lengthBytes), 2 * MIB + 5000);
    assert.ok(Buffer.compare(target, expected) === 0);
  }
});

test("a volume is copied onto itself where the ranges do not overlap, and from its snapshot even where they do", async () => {
  await using world = await controlled();
  const { control } = world;
  const before = await contents(control, "v");
  assert.throws(() => control.copies.start({ source: "v", destination: "v", toOffsetBytes: 4096 }), {
    code: "INVALID_RANGE",
    message: /overlap/,
  });
  await world.copy({ source: "v", destination: "v", toOffsetBytes: 4 * MIB, lengthBytes: 4 * MIB });
  const after = await contents(control, "v");
  assert.ok(Buffer.compare(after.subarray(4 * MIB), before.subarray(0, 4 * MIB)) === 0);
  await control.snapshots.create("v", "s");
  await world.copy({ source: "v@s", destination: "v", toOffsetBytes: MIB });
  assert.ok(Buffer.compare((await contents(control, "v")).subarray(MIB), after) === 0);
});

test("what cannot be copied is refused before anything is made", async () => {
  await using world = await controlled();
  const { control } = world;
  for (const [wish, code] of [
    [{ source: "none" }, "VOLUME_NOT_FOUND"],
    [{ source: "v@none" }, "SNAPSHOT_NOT_FOUND"],
    [{ source: "v", destination: "w@s" }, "INVALID_NAME"],
    [{ source: "v", offsetBytes: 8 * MIB }, "INVALID_RANGE"],
    [{ source: "v", offsetBytes: MIB, lengthBytes: 8 * MIB }, "INVALID_RANGE"],
  ] as const)
    assert.throws(() => control.copies.start({ destination: "w", ...wish }), { code });
  assert.deepEqual(control.copies.list(), []);
  assert.equal(control.volumes.list().length, 1);
});

test("a cancelled copy stops, keeps what it wrote, and says how much that is", async () => {
  await using world = await controlled({ withTokens: false });
  const { control } = world;
  await control.volumes.create({ name: "w", sizeBytes: 8 * MIB });
  const copy = control.copies.start({ source: "v", destination: "w" });
  const ended = assert.rejects(copy.work.outcome(), {
    code: "CANCELLED",
    message: /\d+ of 8388608 bytes were copied and stay\.$/,
  });
  await copy.work.cancel();
  await ended;
  const { state, progress } = copy.work.report();
  assert.equal(state, "cancelled");
  assert.ok(progress!.bytes < progress!.bytesExpected);
  const [source, target] = [await contents(control, "v"), await contents(control, "w")];
  assert.ok(Buffer.compare(target.subarray(0, progress!.bytes), source.subarray(0, progress!.bytes)) === 0);
  assert.equal(control.copies.running(), 0);
});

test("a destination that cannot take all says how much it took", async () => {
  await using world = await controlled({ withTokens: false });
  const { control, pool } = world;
  await control.volumes.create({ name: "w", sizeBytes: 8 * MIB });
  const open = pool.openVolume.bind(pool);
  pool.openVolume = (name) => {
    const device = open(name);
    const write = device.write.bind(device);
    device.write = (offset, source, flags) => {
      if (offset >= 5 * MIB) throw new Error("the disk is gone");
      return write(offset, source, flags);
    };
    return device;
  };
  await assert.rejects(world.copy({ source: "v", destination: "w" }), {
    code: "INTERNAL",
    message: new RegExp(`^the disk is gone ${5 * MIB} of ${8 * MIB} bytes were copied and stay`),
  });
});

test("zeroing takes space away and leaves what is beside the range", async () => {
  for (const withTokens of [true, false]) {
    await using world = await controlled({ withTokens });
    const { control } = world;
    const expected = await contents(control, "v");
    expected.fill(0, 6000, 6000 + 5 * MIB);
    const { bytes } = await control.zeroing.zero({ volume: "v", offsetBytes: 6000, lengthBytes: 5 * MIB });
    assert.equal(bytes, 5 * MIB);
    assert.ok(Buffer.compare(await contents(control, "v"), expected) === 0);
    assert.equal((await control.zeroing.zero({ volume: "v" })).bytes, 8 * MIB);
    assert.equal(control.volumes.show("v").usedBytes, 0);
    await assert.rejects(control.zeroing.zero({ volume: "v", lengthBytes: 9 * MIB }), {
      code: "INVALID_RANGE",
    });
  }
});
