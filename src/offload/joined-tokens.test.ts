// One token for data on several members of a stack (T5).
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesOf,
  patternBytes,
  type SimulatedPool,
  withSimulatedPool,
} from "../../test/support/simulated-pool.ts";
import { makeLayer } from "../../test/support/tree-layer.ts";
import { type BlockDevice, MemoryDevice, type OffloadReadRequest } from "../device/mod.ts";
import { type GivenTokenSettings, TokenRoom } from "./mod.ts";

const MIB = 2 ** 20;
const CHUNK_BYTES = 4096;
const HALF_MIB = MIB / 2;
const HERE = { isProtected: true };

interface World {
  readonly room: TokenRoom;
  readonly simulated: SimulatedPool;
  /** A stripe of two volumes of 1 MiB, and a span of it and a memory device of 1 MiB whose tokens the room keeps. */
  readonly stripe: BlockDevice;
  readonly span: BlockDevice;
  readonly memory: BlockDevice;
  readonly data: Buffer;
}

function withWorld(
  body: (world: World) => Promise<void>,
  settings: GivenTokenSettings = {},
): () => Promise<void> {
  return () =>
    withSimulatedPool(async (simulated) => {
      const { clock, random } = simulated.world;
      const { pool } = simulated;
      const key = new Uint8Array(32);
      const room = await TokenRoom.open({ pool, clock, random, key, settings, report: () => {} });
      const members: BlockDevice[] = [];
      for (const volume of ["a", "b", "target"]) {
        await pool.createVolume({ name: volume, sizeBytes: volume === "target" ? 4 * MIB : MIB });
        if (volume !== "target") members.push(room.overPool({ volume }, pool.openVolume(volume)));
      }
      const { device: stripe } = await makeLayer("stripe", members, { chunkBytes: CHUNK_BYTES });
      const memory = room.emulatedOver(new MemoryDevice({ sizeBytes: MIB }), {
        id: "memory",
        description: "disk",
      });
      const { device: span } = await makeLayer("span", [stripe, memory]);
      const data = Buffer.from(patternBytes(3 * MIB, 7));
      for (let at = 0; at < data.length; at += HALF_MIB)
        await span.write(at, data.subarray(at, at + HALF_MIB), 0);
      await body({ room, simulated, stripe, span, memory, data });
    });
}

async function read(
  { room }: World,
  device: BlockDevice,
  fields: Partial<OffloadReadRequest> = {},
): Promise<{ token: Uint8Array; companions: Uint8Array[]; lengthBytes: number }> {
  const { tokens, lengthBytes } = await device.offload!.read({
    ranges: [{ offsetBytes: 0, lengthBytes: device.sizeBytes }],
    policy: "preserve",
    ttlMs: 3_600_000,
    inactivityMs: 0,
    persistent: false,
    deleteOnUse: false,
    priority: 0,
    provider: { skip: 0 },
    withChecksums: false,
    creator: "test",
    isProtected: true,
    joiner: room.joiner,
    ...fields,
  });
  const [first, ...others] = tokens;
  assert.deepEqual([first!.dataOffsetBytes, first!.lengthBytes, first!.role], [0, lengthBytes, "primary"]);
  assert.ok(others.every(({ role }) => role === "companion"));
  return { token: first!.token, companions: others.map(({ token }) => token), lengthBytes };
}

const target = ({ room, simulated }: World) =>
  room.overPool({ volume: "target" }, simulated.pool.openVolume("target"));
const write = (
  device: BlockDevice,
  tokens: Uint8Array[],
  range: { offsetBytes: number; lengthBytes: number },
) => device.offload!.write({ tokens, tokenOffsetBytes: 0, ranges: [range], fua: false, isProtected: true });

async function dataOf({ room }: World, token: Uint8Array, offset = 0, length = 3 * MIB): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const inside = await room.read(token, offset, bytes, HERE);
  return bytes.subarray(0, inside);
}

test(
  "T5: one token stands for a stripe and a span over it, as the data was, and is one in every list",
  withWorld(async (world) => {
    const { room, span, data } = world;
    const { token, lengthBytes } = await read(world, span);
    assert.equal(lengthBytes, 3 * MIB);
    assert.equal(room.list().length, 1);
    const { source, provider } = room.show(token, HERE);
    assert.deepEqual([source, provider], ["a, b, disk", "joined"]);
    for (let at = 0; at < 3 * MIB; at += HALF_MIB) await span.write(at, Buffer.alloc(HALF_MIB, 1), 0);
    assert.ok((await dataOf(world, token)).equals(data));
    assert.ok((await dataOf(world, token, 5000, 9000)).equals(data.subarray(5000, 14_000)));
    const to = target(world);
    const written = await write(to, [token], { offsetBytes: 0, lengthBytes: 3 * MIB });
    assert.equal(written.lengthBytes, 3 * MIB);
    // What is in the pool is referred to; the memory device's part is read and written.
    assert.equal(written.movedBytes, 2 * MIB);
    assert.ok(Buffer.from(await bytesOf(to, 0, 3 * MIB)).equals(data));
  }),
);

test(
  "T5: ranges that lie across borders, and places within pages, keep their order in one token",
  withWorld(async (world) => {
    const { span, data } = world;
    const ranges = [
      { offsetBytes: 2 * MIB - 1536, lengthBytes: 4096 },
      { offsetBytes: 512, lengthBytes: 3 * CHUNK_BYTES },
      { offsetBytes: 12_288, lengthBytes: 512 },
    ];
    const { token, lengthBytes } = await read(world, span, { ranges });
    const expected = Buffer.concat(
      ranges.map(({ offsetBytes, lengthBytes }) => data.subarray(offsetBytes, offsetBytes + lengthBytes)),
    );
    assert.equal(lengthBytes, expected.length);
    assert.ok((await dataOf(world, token)).equals(expected));
    const to = target(world);
    await write(to, [token], { offsetBytes: 1024, lengthBytes });
    assert.ok(Buffer.from(await bytesOf(to, 1024, lengthBytes)).equals(expected));
  }),
);

for (const ending of ["revoked", "deleted on use", "expired"] as const)
  test(
    `T5: a joined token that is ${ending} gives back all its parts`,
    withWorld(async (world) => {
      const { room, span, memory, simulated } = world;
      const fields = {
        deleteOnUse: ending === "deleted on use",
        ttlMs: ending === "expired" ? 1000 : 3_600_000,
      };
      const { token } = await read(world, span, fields);
      assert.equal(simulated.pool.pins().length, 2);
      if (ending === "revoked") await room.revoke(token, { strength: "mandatory" });
      else if (ending === "deleted on use")
        await write(target(world), [token], { offsetBytes: 0, lengthBytes: 3 * MIB });
      else await simulated.pause(2000);
      await assert.rejects(dataOf(world, token), {
        code: { revoked: "TOKEN_REVOKED", "deleted on use": "TOKEN_DELETED", expired: "TOKEN_EXPIRED" }[
          ending
        ],
      });
      await simulated.pause(100);
      assert.deepEqual([simulated.pool.pins().length, room.counters.live], [0, 0]);
      await memory.close();
      assert.equal(room.counters.cancelled.closed, 0);
    }),
  );

test(
  "T5: what ends a part ends the joined token with that reason: a change, a closed device",
  withWorld(async (world) => {
    const { room, span, stripe, memory, simulated } = world;
    const vulnerable = await read(world, stripe, { policy: "invalidate" });
    const other = await read(world, span);
    await stripe.write(MIB, Buffer.alloc(512, 1), 0);
    await assert.rejects(dataOf(world, vulnerable.token), { code: "TOKEN_CANCELLED" });
    assert.equal(room.counters.cancelled.changed, 1);
    assert.equal(room.counters.live, 1);
    await memory.close();
    await assert.rejects(dataOf(world, other.token), { code: "TOKEN_CANCELLED" });
    assert.equal(room.counters.cancelled.closed, 1);
    await simulated.pause(100);
    assert.deepEqual([simulated.pool.pins().length, room.counters.live], [0, 0]);
  }),
);

test(
  "T5: memory that a part needs is made by giving up the whole joined token",
  withWorld(
    async (world) => {
      const { room, span, memory } = world;
      const { token } = await read(world, span);
      for (let at = 0; at < MIB; at += 65_536) await memory.write(at, Buffer.alloc(65_536, 1), 0);
      await assert.rejects(dataOf(world, token), { code: "TOKEN_CANCELLED" });
      assert.deepEqual([room.counters.cancelled.preserved, room.counters.live], [1, 0]);
    },
    { preservedBytesMax: 2 ** 18 },
  ),
);

test(
  "T5: a joined token has a companion, follows its source when asked to, and its refusal leaves no part behind",
  withWorld(async (world) => {
    const { room, span, stripe, simulated } = world;
    const { token, companions } = await read(world, stripe, { withChecksums: true });
    assert.equal(companions.length, 1);
    const to = target(world);
    assert.equal(
      (await write(to, [token, ...companions], { offsetBytes: 0, lengthBytes: 2 * MIB })).lengthBytes,
      2 * MIB,
    );
    await room.revoke(token, { strength: "mandatory" });
    const followed = await read(world, span, { policy: "reference" });
    await span.write(2 * MIB - 512, Buffer.alloc(1024, 3), 0);
    assert.ok((await dataOf(world, followed.token, 2 * MIB - 512, 1024)).every((byte) => byte === 3));
    await room.revoke(followed.token, { strength: "mandatory" });
    for (const fields of [
      { persistent: true },
      { kind: "hash", policy: "invalidate" },
      { policy: "reference", withChecksums: true },
    ] as const)
      await assert.rejects(read(world, span, fields), { code: "TOKEN_UNSUPPORTED" });
    await simulated.pause(100);
    assert.deepEqual([simulated.pool.pins().length, room.counters.live], [0, 0]);
  }),
);

test(
  "T5: a member that gives no token shortens the joined one to what is before it, and nothing of it is left behind",
  withWorld(async (world) => {
    const { room, span, stripe, memory, simulated } = world;
    await memory.close();
    const { lengthBytes, token } = await read(world, span, {
      ranges: [{ offsetBytes: MIB, lengthBytes: 2 * MIB }],
    });
    assert.equal(lengthBytes, MIB);
    await room.revoke(token, { strength: "mandatory" });
    assert.deepEqual(room.list(), []);
    await assert.rejects(
      read(world, stripe, { ranges: [{ offsetBytes: 0, lengthBytes: 8192 }], ttlMs: -1 }),
      {
        code: "INVALID_ARGUMENT",
      },
    );
    await simulated.pause(100);
    assert.deepEqual([simulated.pool.pins().length, room.counters.live], [0, 0]);
  }),
);
