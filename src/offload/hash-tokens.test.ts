// Hash tokens, one behaviour each, on a simulated pool.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesOf,
  patternBytes,
  type SimulatedPool,
  withSimulatedPool,
} from "../../test/support/simulated-pool.ts";
import {
  type BlockDevice,
  MemoryDevice,
  type OffloadReadRequest,
  type OffloadWriteRequest,
} from "../device/mod.ts";
import { TokenRoom } from "./mod.ts";
import { HASHED_BYTES_MAX } from "./token-payload.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const KEY = new Uint8Array(32).fill(7);
const HERE = { isProtected: true };

class Bench {
  readonly simulated: SimulatedPool;
  room!: TokenRoom;

  constructor(simulated: SimulatedPool) {
    this.simulated = simulated;
  }

  async open(): Promise<void> {
    const { clock, random } = this.simulated.world;
    const { pool } = this.simulated;
    const settings = { hashSearchBytes: 0 };
    this.room = await TokenRoom.open({ pool, clock, random, key: KEY, settings, report: () => undefined });
  }

  over(volume: string): BlockDevice {
    return this.room.overPool({ volume }, this.simulated.pool.openVolume(volume));
  }

  async volume(name: string, sizeBytes = 2 * MIB): Promise<BlockDevice> {
    await this.simulated.pool.createVolume({ name, sizeBytes });
    const device = this.over(name);
    for (let at = 0; at < 2 * MIB; at += 256 * KIB)
      await device.write(at, patternBytes(256 * KIB, at + name.charCodeAt(0)), 0);
    return device;
  }
}

function withBench(body: (bench: Bench) => Promise<void>): () => Promise<void> {
  return () =>
    withSimulatedPool(async (simulated) => {
      const bench = new Bench(simulated);
      await bench.open();
      await body(bench);
    });
}

function read(device: BlockDevice, request: Partial<OffloadReadRequest> = {}) {
  return device.offload!.read({
    ranges: [{ offsetBytes: 0, lengthBytes: device.sizeBytes }],
    policy: "invalidate",
    ttlMs: 3_600_000,
    inactivityMs: 0,
    persistent: false,
    deleteOnUse: false,
    priority: 0,
    provider: { skip: 0 },
    withChecksums: false,
    kind: "hash",
    creator: "test",
    isProtected: true,
    ...request,
  });
}

async function hash(device: BlockDevice, request: Partial<OffloadReadRequest> = {}): Promise<Uint8Array> {
  const { tokens } = await read(device, request);
  assert.equal(tokens.length, 1);
  return tokens[0]!.token;
}

function copy(device: BlockDevice, token: Uint8Array, request: Partial<OffloadWriteRequest> = {}) {
  return device.offload!.write({
    tokens: [token],
    tokenOffsetBytes: 0,
    ranges: [{ offsetBytes: 0, lengthBytes: device.sizeBytes }],
    fua: false,
    isProtected: true,
    ...request,
  });
}

test(
  "a hash token keeps nothing in the pool or the room, and its data is found by its locator",
  withBench(async (bench) => {
    const [source, target] = [await bench.volume("a"), await bench.volume("b")];
    const token = await hash(source);
    assert.deepEqual(bench.room.list(), []);
    assert.deepEqual(bench.simulated.pool.pins(), []);
    const { kind, state, source: name, lengthBytes } = bench.room.show(token, HERE);
    assert.deepEqual([kind, state, name, lengthBytes], ["hash", "valid", "a", 2 * MIB]);
    assert.deepEqual(await copy(target, token), { lengthBytes: 2 * MIB, movedBytes: 0 });
    assert.deepEqual(await bytesOf(target), await bytesOf(source));
    await bench.room.close();
    assert.deepEqual(bench.simulated.pool.pins(), []);
    await bench.open();
    assert.equal((await copy(bench.over("b"), token)).lengthBytes, 2 * MIB);
  }),
);

test(
  "a block that has changed is noticed before anything is written; others are still good, and so it is when it is back",
  withBench(async (bench) => {
    const [source, target] = [await bench.volume("a"), await bench.volume("b")];
    const token = await hash(source, { ranges: [{ offsetBytes: 8192, lengthBytes: 28 * KIB }] });
    const before = await bytesOf(target);
    const at = 8192 + 3 * 4096 + 512;
    const kept = await bytesOf(source, at, 512);
    await source.write(at, patternBytes(512, 77), 0);
    await assert.rejects(copy(target, token, { ranges: [{ offsetBytes: 0, lengthBytes: 28 * KIB }] }), {
      code: "TOKEN_CANCELLED",
      message: `a changed since the hash token was made: the block of 4096 bytes at ${8192 + 3 * 4096} differs; ask for a new token or copy plainly.`,
    });
    assert.deepEqual(await bytesOf(target), before);
    const first = [{ offsetBytes: 0, lengthBytes: 12 * KIB }];
    assert.equal((await copy(target, token, { ranges: first })).lengthBytes, 12 * KIB);
    const bytes = new Uint8Array(100);
    assert.equal(await bench.room.read(token, 16 * KIB, bytes, HERE), 100);
    assert.deepEqual(bytes, await bytesOf(source, 24 * KIB, 100));
    await assert.rejects(bench.room.read(token, 12 * KIB, bytes, HERE), { code: "TOKEN_CANCELLED" });
    await source.write(at, kept, 0);
    assert.equal(await bench.room.read(token, 28 * KIB - 10, bytes, HERE), 10);
    assert.equal((await copy(target, token)).lengthBytes, 28 * KIB);
  }),
);

test(
  "it stands for the first range, as far as its hashes reach",
  withBench(async (bench) => {
    const source = await bench.volume("a", 64 * MIB);
    assert.equal((await read(source)).lengthBytes, HASHED_BYTES_MAX);
    const ranges = [
      { offsetBytes: 512, lengthBytes: 1024 },
      { offsetBytes: 8192, lengthBytes: 512 },
    ];
    assert.equal((await read(source, { ranges })).lengthBytes, 1024);
  }),
);

test(
  "it ends with its time and with its volume, and nobody can revoke it",
  withBench(async (bench) => {
    const source = await bench.volume("a");
    const target = await bench.volume("b");
    const [short, long] = [await hash(source, { ttlMs: 1000 }), await hash(source)];
    await assert.rejects(bench.room.revoke(long, { strength: "mandatory" }), { code: "TOKEN_UNSUPPORTED" });
    await bench.room.revoke(long, { strength: "hint" });
    await assert.rejects(copy(target, long, { isProtected: false }), { code: "TOKEN_CHANNEL" });
    await bench.simulated.pause(2000);
    await assert.rejects(copy(target, short), { code: "TOKEN_EXPIRED" });
    await source.close();
    await bench.simulated.pool.deleteVolume("a");
    await assert.rejects(copy(target, long), { code: "TOKEN_DELETED" });
    assert.deepEqual(
      [short, long].map((token) => bench.room.show(token, HERE).state),
      ["expired", "deleted"],
    );
  }),
);

test(
  "a snapshot and a device that cannot offload have hash tokens too",
  withBench(async (bench) => {
    const source = await bench.volume("a");
    const { pool } = bench.simulated;
    await pool.createSnapshot("a", "s");
    const map = { volume: "a", snapshot: "s" };
    const snapshot = bench.room.overPool(map, pool.openSnapshot("a", "s"));
    const before = await bytesOf(snapshot);
    const token = await hash(snapshot);
    await source.write(0, patternBytes(4096, 5), 0);
    const target = await bench.volume("b");
    assert.equal((await copy(target, token)).lengthBytes, 2 * MIB);
    assert.deepEqual(await bytesOf(target), before);
    const memory = new MemoryDevice({ sizeBytes: MIB });
    const emulated = bench.room.emulatedOver(memory, { id: "memory", description: "a memory" });
    await emulated.write(0, patternBytes(MIB, 3), 0);
    const other = await hash(emulated);
    assert.equal(
      (await copy(target, other, { ranges: [{ offsetBytes: 0, lengthBytes: MIB }] })).lengthBytes,
      MIB,
    );
    assert.deepEqual(await bytesOf(target, 0, MIB), patternBytes(MIB, 3));
    await emulated.write(512, patternBytes(512, 4), 0);
    await assert.rejects(copy(target, other), { code: "TOKEN_CANCELLED" });
  }),
);

test(
  "what needs something stored is refused",
  withBench(async (bench) => {
    const source = await bench.volume("a");
    for (const request of [
      { policy: "preserve" as const },
      { policy: "reference" as const },
      { deleteOnUse: true },
      { inactivityMs: 5 },
      { withChecksums: true },
    ])
      await assert.rejects(read(source, request), { code: "TOKEN_UNSUPPORTED" }, JSON.stringify(request));
  }),
);

test(
  "T23: a block that is no longer at its source is found by its hash in another map of the volume",
  withBench(async (bench) => {
    const [source, target] = [await bench.volume("a"), await bench.volume("b")];
    const before = await bytesOf(source);
    const token = await hash(source);
    const { pool } = bench.simulated;
    await pool.createSnapshot("a", "old");
    await pool.createSnapshot("a", "s");
    await source.write(MIB + 512, patternBytes(512, 77), 0);
    await pool.createSnapshot("a", "late");
    const { lengthBytes, movedBytes } = await copy(target, token);
    assert.equal(lengthBytes, 2 * MIB);
    assert.ok(movedBytes > 0);
    assert.deepEqual(await bytesOf(target), before);
    const some = new Uint8Array(1024);
    assert.equal(await bench.room.read(token, MIB, some, HERE), 1024);
    assert.deepEqual(some, before.slice(MIB, MIB + 1024));
    for (const name of ["old", "s"]) await pool.deleteSnapshot("a", name);
    await assert.rejects(copy(target, token), { code: "TOKEN_CANCELLED" });
    await bench.room.close();
    assert.deepEqual(pool.pins(), []);
  }),
);

test(
  "T23: a block whose source is gone is found by its hash where it was last seen, and compared there",
  withBench(async (bench) => {
    const source = await bench.volume("a");
    const target = await bench.volume("b");
    const before = await bytesOf(source);
    const token = await hash(source);
    const memory = bench.room.emulatedOver(new MemoryDevice({ sizeBytes: 3 * MIB }), {
      id: "memory",
      description: "a memory",
    });
    await memory.write(MIB, before, 0);
    await hash(memory, { ranges: [{ offsetBytes: MIB, lengthBytes: 2 * MIB }] });
    await source.close();
    await bench.simulated.pool.deleteVolume("a");
    assert.equal((await copy(target, token)).lengthBytes, 2 * MIB);
    assert.deepEqual(await bytesOf(target), before);
    await memory.write(2 * MIB, patternBytes(512, 78), 0);
    await assert.rejects(copy(target, token), { code: "TOKEN_DELETED" });
  }),
);
