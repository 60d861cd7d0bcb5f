// Tokens that a layer keeps over a device that cannot offload.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesOf,
  patternBytes,
  type SimulatedPool,
  withSimulatedPool,
} from "../../test/support/simulated-pool.ts";
import { Prng } from "../base/prng.ts";
import { type BlockDevice, type ChangePolicy, type Completion, MemoryDevice } from "../device/mod.ts";
import { type GivenTokenSettings, TokenRoom } from "./mod.ts";

const MIB = 2 ** 20;
const HERE = { isProtected: true };

/** A device that takes its time, differently each time. */
class SlowDevice extends MemoryDevice {
  readonly #simulated: SimulatedPool;
  readonly #random = new Prng(5);
  failsReads = false;

  constructor(simulated: SimulatedPool, sizeBytes: number) {
    super({ sizeBytes, geometry: { minimumBlockBytes: 512 } });
    this.#simulated = simulated;
  }

  override async read(offset: number, target: Uint8Array): Promise<void> {
    await this.#simulated.pause(this.#random.fraction());
    if (this.failsReads) throw new Error("the disk is gone");
    super.read(offset, target);
    await this.#simulated.pause(this.#random.fraction());
  }

  override async write(offset: number, source: Uint8Array, flags: number): Promise<void> {
    const half = source.length / 2 - ((source.length / 2) % 512);
    await this.#simulated.pause(this.#random.fraction());
    super.write(offset, source.subarray(0, half), flags);
    await this.#simulated.pause(this.#random.fraction());
    super.write(offset + half, source.subarray(half), flags);
    await this.#simulated.pause(this.#random.fraction());
  }
}

/** It tells its map late, too. */
function withLateExtents(device: SlowDevice, simulated: SimulatedPool): BlockDevice {
  const told = device.extents.bind(device);
  const extents: BlockDevice["extents"] = async (...asked) => {
    const found = told(...asked);
    await simulated.pause(1);
    return found;
  };
  return Object.assign(device, { extents });
}

function withRoom(
  body: (room: TokenRoom, simulated: SimulatedPool) => Promise<void>,
  settings: GivenTokenSettings = {},
): () => Promise<void> {
  return () =>
    withSimulatedPool(async (simulated) => {
      const { clock, random } = simulated.world;
      const { pool } = simulated;
      const key = new Uint8Array(32);
      await body(await TokenRoom.open({ pool, clock, random, key, settings, report: () => {} }), simulated);
    });
}

async function bind(
  device: BlockDevice,
  policy: ChangePolicy = "preserve",
  priority = 0,
): Promise<Uint8Array> {
  const { tokens } = await device.offload!.read({
    ranges: [{ offsetBytes: 0, lengthBytes: device.sizeBytes }],
    policy,
    ttlMs: 3_600_000,
    inactivityMs: 0,
    persistent: false,
    deleteOnUse: false,
    priority,
    provider: { skip: 0 },
    withChecksums: false,
    creator: "test",
    isProtected: true,
  });
  return tokens[0]!.token;
}

function copy(device: BlockDevice, token: Uint8Array) {
  return device.offload!.write({
    tokens: [token],
    tokenOffsetBytes: 0,
    ranges: [{ offsetBytes: 0, lengthBytes: device.sizeBytes }],
    fua: true,
    isProtected: true,
  });
}

async function dataOf(room: TokenRoom, token: Uint8Array): Promise<Uint8Array> {
  const bytes = new Uint8Array(room.show(token, HERE).lengthBytes);
  await room.read(token, 0, bytes, HERE);
  return bytes;
}

test(
  "what a token reads stays the same while many writes at once go on over a slow device",
  withRoom(async (room, simulated) => {
    const device = room.emulatedOver(new SlowDevice(simulated, MIB / 4), { id: "slow", description: "slow" });
    const random = new Prng(1);
    const tokens: { token: Uint8Array; first: Promise<Uint8Array> }[] = [];
    const writes: Completion[] = [];
    for (let round = 0; round < 60; round++) {
      const length = 512 * (1 + (random.word() % 100));
      const offset = 512 * (random.word() % ((MIB / 4 - length) / 512));
      writes.push(device.write(offset, patternBytes(length, round), 0));
      if (round % 6 === 0) {
        const token = await bind(device);
        tokens.push({ token, first: dataOf(room, token) });
      }
      if (round % 10 === 9) await Promise.all(writes);
    }
    await Promise.all(writes);
    for (const { token, first } of tokens) assert.deepEqual(await dataOf(room, token), await first);
    const last = await bind(device);
    assert.deepEqual(await dataOf(room, last), await bytesOf(device));
  }),
);

test(
  "what is copied by token is the same, holes and data, while many writes and trims at once go on",
  withRoom(async (room, simulated) => {
    const { pool } = simulated;
    const slow = withLateExtents(new SlowDevice(simulated, MIB / 4), simulated);
    const device = room.emulatedOver(slow, { id: "slow", description: "slow" });
    await pool.createVolume({ name: "v", sizeBytes: MIB / 4 });
    const volume = room.overPool({ volume: "v" }, pool.openVolume("v"));
    const random = new Prng(2);
    const changes: Completion[] = [];
    for (let round = 0; round < 12; round++) {
      for (let count = 0; count < 8; count++) {
        const length = 512 * (1 + (random.word() % 60));
        const offset = 512 * (random.word() % ((MIB / 4 - length) / 512));
        if (random.chance(0.5)) changes.push(device.trim(offset, length, 0));
        else changes.push(device.write(offset, patternBytes(length, round), 0));
        // The first are done before the token is made, the others while it is copied.
        if (count === 3) await Promise.all(changes);
        if (count !== 3) continue;
        const before = await bytesOf(device);
        const token = await bind(device);
        changes.push(
          copy(volume, token).then(async () => {
            assert.deepEqual(await bytesOf(volume), before);
            await room.revoke(token, { strength: "mandatory" });
          }),
        );
      }
      await Promise.all(changes);
    }
  }),
);

test(
  "tokens go between a plain device and a volume of the pool, both ways",
  withRoom(async (room, simulated) => {
    const device = room.emulatedOver(
      new MemoryDevice({ sizeBytes: MIB, geometry: { minimumBlockBytes: 512 } }),
      { id: "disk", description: "a disk" },
    );
    await simulated.pool.createVolume({ name: "v", sizeBytes: MIB });
    const volume = room.overPool({ volume: "v" }, simulated.pool.openVolume("v"));
    await device.write(0, patternBytes(MIB, 1), 0);
    const token = await bind(device);
    await device.write(0, patternBytes(MIB, 2), 0);
    assert.deepEqual(await copy(volume, token), { lengthBytes: MIB, movedBytes: 2 * MIB });
    assert.deepEqual(await bytesOf(volume), patternBytes(MIB, 1));
    await volume.trim(0, MIB / 2, 0);
    assert.deepEqual(await copy(device, await bind(volume)), { lengthBytes: MIB, movedBytes: MIB });
    assert.deepEqual(await bytesOf(device), await bytesOf(volume));
    assert.equal(room.show(token, HERE).source, "a disk");
    assert.equal(room.counters.bytesMoved, 3 * MIB);
  }),
);

test(
  "a token that is cut inside the destination's block is written up to that block",
  withRoom(async (room, simulated) => {
    const device = room.emulatedOver(
      new MemoryDevice({ sizeBytes: MIB, geometry: { minimumBlockBytes: 512 } }),
      { id: "disk", description: "a disk" },
    );
    await simulated.pool.createVolume({ name: "v", sizeBytes: MIB });
    const volume = room.overPool({ volume: "v" }, simulated.pool.openVolume("v"));
    await volume.write(0, patternBytes(4096, 1), 0);
    const { tokens } = await volume.offload!.read({
      ranges: [100, 200, 1001, 3].map((lengthBytes, at) => ({ offsetBytes: at * 1000 + 7, lengthBytes })),
      policy: "preserve",
      ttlMs: 1000,
      inactivityMs: 0,
      persistent: false,
      deleteOnUse: false,
      priority: 0,
      provider: { skip: 0 },
      withChecksums: false,
      creator: "test",
      isProtected: true,
    });
    const { token } = tokens[0]!;
    assert.equal((await copy(device, token)).lengthBytes, 1024);
    assert.deepEqual(await bytesOf(device, 0, 1024), (await dataOf(room, token)).subarray(0, 1024));
  }),
);

test(
  "when the memory for preserved blocks is full, the lowest priority goes",
  withRoom(
    async (room) => {
      const device = room.emulatedOver(new MemoryDevice({ sizeBytes: MIB }), {
        id: "disk",
        description: "disk",
      });
      const high = await bind(device, "preserve", 5);
      const low = await bind(device);
      await device.write(0, patternBytes(64 * 1024, 1), 0);
      assert.equal(room.show(low, HERE).state, "valid");
      await device.write(64 * 1024, patternBytes(1, 1), 0);
      assert.equal(room.show(low, HERE).state, "cancelled");
      assert.equal(room.show(high, HERE).state, "cancelled");
      assert.equal(room.counters.cancelled.preserved, 2);
      const next = await bind(device);
      assert.deepEqual(await dataOf(room, next), await bytesOf(device));
    },
    { preservedBytesMax: 64 * 1024 },
  ),
);

test(
  "a block that cannot be saved ends who needs it, and the write goes on",
  withRoom(async (room, simulated) => {
    const base = new SlowDevice(simulated, MIB);
    const device = room.emulatedOver(base, { id: "disk", description: "disk" });
    const token = await bind(device);
    base.failsReads = true;
    await device.write(0, patternBytes(512, 1), 0);
    base.failsReads = false;
    await assert.rejects(dataOf(room, token), { code: "TOKEN_CANCELLED" });
    assert.deepEqual(await bytesOf(device, 0, 512), patternBytes(512, 1));
  }),
);

test(
  "tokens end with the last opening of their device, and none outlives a restart",
  withRoom(async (room) => {
    const memory = new MemoryDevice({ sizeBytes: MIB });
    const options = { id: "disk", description: "disk" };
    const [one, other] = [room.emulatedOver(memory, options), room.emulatedOver(memory, options)];
    const token = await bind(one);
    await other.write(0, patternBytes(512, 1), 0);
    await one.close();
    assert.deepEqual(await dataOf(room, token), new Uint8Array(MIB));
    await other.close();
    assert.equal(room.show(token, HERE).state, "cancelled");
    assert.equal(room.counters.cancelled.closed, 1);
    const again = room.emulatedOver(memory, options);
    await assert.rejects(
      again.offload!.read({
        ranges: [{ offsetBytes: 0, lengthBytes: 512 }],
        policy: "preserve",
        ttlMs: 1000,
        inactivityMs: 0,
        persistent: true,
        deleteOnUse: false,
        priority: 0,
        provider: { id: "disk" },
        withChecksums: false,
        creator: "test",
        isProtected: true,
      }),
      { code: "TOKEN_UNSUPPORTED" },
    );
  }),
);

test(
  "two layers are two providers, chosen by number or name",
  withRoom(async (room) => {
    const inner = room.emulatedOver(new MemoryDevice({ sizeBytes: MIB }), { id: "inner", description: "in" });
    const outer = room.emulatedOver(inner, { id: "outer", description: "out" });
    assert.deepEqual(outer.offload!.providers, ["outer", "inner"]);
    const request = {
      ranges: [{ offsetBytes: 0, lengthBytes: 512 }],
      policy: "preserve",
      ttlMs: 1000,
      inactivityMs: 0,
      persistent: false,
      deleteOnUse: false,
      priority: 0,
      withChecksums: false,
      creator: "test",
      isProtected: true,
    } as const;
    for (const [provider, wanted] of [
      [{ skip: 0 }, "outer"],
      [{ skip: 1 }, "inner"],
      [{ id: "inner" }, "inner"],
    ] as const) {
      const { tokens } = await outer.offload!.read({ ...request, provider });
      assert.equal(room.show(tokens[0]!.token, HERE).provider, wanted);
    }
    await assert.rejects(outer.offload!.read({ ...request, provider: { skip: 2 } }), {
      code: "TOKEN_UNSUPPORTED",
    });
  }),
);
