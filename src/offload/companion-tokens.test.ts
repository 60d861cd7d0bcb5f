// Companions with checksums, one behaviour each, on a simulated pool.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesOf,
  patternBytes,
  type SimulatedPool,
  withSimulatedPool,
} from "../../test/support/simulated-pool.ts";
import type { BlockDevice, OffloadReadRequest, OffloadWriteRequest } from "../device/mod.ts";
import { MemoryDevice } from "../device/mod.ts";
import { type GivenTokenSettings, TokenRoom } from "./mod.ts";
import { TokenBytes } from "./token-bytes.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const KEY = new Uint8Array(32).fill(7);
const HERE = { isProtected: true };

interface Bench {
  readonly room: TokenRoom;
  readonly simulated: SimulatedPool;
  volume(name: string): Promise<BlockDevice>;
}

function withBench(
  body: (bench: Bench) => Promise<void>,
  settings: GivenTokenSettings = {},
): () => Promise<void> {
  return () =>
    withSimulatedPool(async (simulated) => {
      const { clock, random } = simulated.world;
      const { pool } = simulated;
      const room = await TokenRoom.open({ pool, clock, random, key: KEY, settings, report: () => undefined });
      await body({
        room,
        simulated,
        async volume(name) {
          await pool.createVolume({ name, sizeBytes: 4 * MIB });
          const device = room.overPool({ volume: name }, pool.openVolume(name));
          for (let at = 0; at < 3 * MIB; at += 256 * KIB)
            await device.write(at, patternBytes(256 * KIB, at + name.charCodeAt(0)), 0);
          return device;
        },
      });
    });
}

async function bind(device: BlockDevice, request: Partial<OffloadReadRequest> = {}): Promise<Uint8Array[]> {
  const { tokens } = await device.offload!.read({
    ranges: [{ offsetBytes: 0, lengthBytes: device.sizeBytes }],
    policy: "preserve",
    ttlMs: 3_600_000,
    inactivityMs: 0,
    persistent: false,
    deleteOnUse: false,
    priority: 0,
    provider: { skip: 0 },
    withChecksums: true,
    creator: "test",
    isProtected: true,
    ...request,
  });
  assert.deepEqual(
    tokens.map(({ role }) => role),
    ["primary", "companion"],
  );
  return tokens.map(({ token }) => token);
}

function copy(device: BlockDevice, tokens: Uint8Array[], request: Partial<OffloadWriteRequest> = {}) {
  return device.offload!.write({
    tokens,
    tokenOffsetBytes: 0,
    ranges: [{ offsetBytes: 0, lengthBytes: device.sizeBytes }],
    fua: false,
    isProtected: true,
    ...request,
  });
}

/** The companion of `primary`, with another checksum than its own. */
function withOtherChecksum(companion: Uint8Array): Uint8Array {
  const codec = new TokenBytes(KEY);
  const fields = codec.verify(companion)!;
  assert.equal(fields.payload?.kind, "checksum");
  return codec.encode({ ...fields, payload: { ...fields.payload, checksum: new Uint8Array(32) } });
}

test(
  "a write of a token and its companion compares all of the data, and then moves none",
  withBench(async (bench) => {
    const [source, target] = [await bench.volume("a"), await bench.volume("b")];
    const before = await bytesOf(source);
    const tokens = await bind(source);
    await source.write(MIB, patternBytes(4096, 9), 0);
    assert.deepEqual(await copy(target, tokens), { lengthBytes: 4 * MIB, movedBytes: 0 });
    assert.deepEqual(await bytesOf(target), before);
  }),
);

test(
  "data that does not add up is CHECKSUM_MISMATCH and nothing of it is written, however little was asked for",
  withBench(async (bench) => {
    const [source, target] = [await bench.volume("a"), await bench.volume("b")];
    const before = await bytesOf(target);
    const [primary, companion] = await bind(source);
    const wrong = withOtherChecksum(companion!);
    for (const request of [{}, { tokenOffsetBytes: 8192, ranges: [{ offsetBytes: 512, lengthBytes: 512 }] }])
      await assert.rejects(copy(target, [primary!, wrong], request), { code: "CHECKSUM_MISMATCH" });
    await assert.rejects(copy(target, [primary!], { companions: [companion!, wrong] }), {
      code: "CHECKSUM_MISMATCH",
    });
    assert.deepEqual(await bytesOf(target), before);
    assert.equal((await copy(target, [primary!])).lengthBytes, 4 * MIB);
  }),
);

test(
  "where a token's data does not add up, an alternative is turned to",
  withBench(async (bench) => {
    const [source, target] = [await bench.volume("a"), await bench.volume("b")];
    const [first, companion] = await bind(source);
    const [second, other] = await bind(source);
    const tokens = [first!, second!, withOtherChecksum(companion!), other!];
    assert.equal((await copy(target, tokens)).lengthBytes, 4 * MIB);
    assert.deepEqual(await bytesOf(target), await bytesOf(source));
  }),
);

test(
  "a companion that is unknown or without its primary fails the write",
  withBench(async (bench) => {
    const [source, target] = [await bench.volume("a"), await bench.volume("b")];
    const [primary, companion] = await bind(source);
    const [, stray] = await bind(source);
    const forged = companion!.slice();
    forged[230]! ^= 1;
    for (const request of [{ companions: [forged] }, { companions: [stray!] }, { companions: [primary!] }])
      await assert.rejects(copy(target, [primary!], request), { code: "TOKEN_UNKNOWN" });
    await assert.rejects(copy(target, [primary!, stray!]), { code: "TOKEN_UNKNOWN" });
    await assert.rejects(copy(target, [companion!]), { code: "TOKEN_UNKNOWN" });
    assert.equal((await copy(target, [primary!], { companions: [companion!] })).lengthBytes, 4 * MIB);
  }),
);

test(
  "it is passed over where that is set, and alone it gives no data",
  withBench(
    async (bench) => {
      const [source, target] = [await bench.volume("a"), await bench.volume("b")];
      const [primary, companion] = await bind(source);
      const [, stray] = await bind(source);
      const companions = [companion!, stray!, new Uint8Array(512)];
      assert.equal((await copy(target, [primary!], { companions })).lengthBytes, 4 * MIB);
      await assert.rejects(copy(target, [companion!]), { code: "TOKEN_UNSUPPORTED" });
      await assert.rejects(bench.room.read(companion!, 0, new Uint8Array(1), HERE), {
        code: "TOKEN_UNSUPPORTED",
      });
    },
    { unknownCompanions: "ignore" },
  ),
);

test(
  "a companion shows whose it is, ends by its time and needs no revoking",
  withBench(async (bench) => {
    const source = await bench.volume("a");
    const [primary, companion] = await bind(source, { ttlMs: 1000 });
    const { id } = bench.room.show(primary!, HERE);
    const shown = bench.room.show(companion!, HERE);
    assert.deepEqual(
      [shown.kind, shown.state, shown.provider, shown.source, shown.lengthBytes],
      ["hash", "valid", "checksum", `companion of ${id}`, 4 * MIB],
    );
    assert.throws(() => bench.room.show(companion!, { isProtected: false }), { code: "TOKEN_CHANNEL" });
    await bench.room.revoke(companion!, { strength: "mandatory" });
    assert.equal(bench.room.show(primary!, HERE).state, "valid");
    await bench.simulated.pause(2000);
    assert.equal(bench.room.show(companion!, HERE).state, "expired");
  }),
);

test(
  "tokens over a device that cannot offload have companions too",
  withBench(async (bench) => {
    const memory = new MemoryDevice({ sizeBytes: MIB });
    const source = bench.room.emulatedOver(memory, { id: "memory", description: "a memory" });
    await source.write(0, patternBytes(MIB, 3), 0);
    const [primary, companion] = await bind(source, { policy: "invalidate" });
    const target = await bench.volume("b");
    const ranges = [{ offsetBytes: 0, lengthBytes: MIB }];
    await assert.rejects(copy(target, [primary!, withOtherChecksum(companion!)], { ranges }), {
      code: "CHECKSUM_MISMATCH",
    });
    assert.equal((await copy(target, [primary!, companion!], { ranges })).lengthBytes, MIB);
    assert.deepEqual(await bytesOf(target, 0, MIB), patternBytes(MIB, 3));
  }),
);

test(
  "a room that closes ends what is being hashed, and leaves no pin",
  withBench(async (bench) => {
    const source = await bench.volume("a");
    const binding = assert.rejects(bind(source), { code: "SHUTTING_DOWN" });
    const hashing = assert.rejects(
      bind(source, { kind: "hash", policy: "invalidate", withChecksums: false }),
      {
        code: "SHUTTING_DOWN",
      },
    );
    while (bench.simulated.pool.pins().length === 0) await bench.simulated.pause(0);
    await Promise.all([bench.room.close(), binding, hashing]);
    assert.deepEqual(bench.simulated.pool.pins(), []);
  }),
);
