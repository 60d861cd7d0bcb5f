// Checksums of companions that a destination keeps for later reads, one behaviour each, on a simulated pool.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, patternBytes, withSimulatedPool } from "../../test/support/simulated-pool.ts";
import { readRequest } from "../../test/support/token-memory-device.ts";
import { type BlockDevice, MemoryDevice, type OffloadWriteRequest } from "../device/mod.ts";
import { type GivenTokenSettings, TokenRoom } from "./mod.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

interface Bench {
  /** Holds 1 MiB of a pattern. */
  readonly source: BlockDevice;
  /** Over `below`, which has no tokens of its own. */
  readonly target: BlockDevice;
  readonly below: MemoryDevice;
  /** A primary and its companion. */
  bind(): Promise<Uint8Array[]>;
  room: TokenRoom;
}

function withBench(body: (bench: Bench) => Promise<void>, settings: GivenTokenSettings = {}) {
  return () =>
    withSimulatedPool(async (simulated) => {
      const { clock, random } = simulated.world;
      const { pool } = simulated;
      const key = new Uint8Array(32).fill(7);
      const room = await TokenRoom.open({ pool, clock, random, key, settings, report: () => undefined });
      await pool.createVolume({ name: "a", sizeBytes: MIB });
      const source = room.overPool({ volume: "a" }, pool.openVolume("a"));
      for (let at = 0; at < MIB; at += 256 * KIB)
        await source.write(at, patternBytes(MIB, 3).subarray(at, at + 256 * KIB), 0);
      const below = new MemoryDevice({ sizeBytes: 2 * MIB });
      const target = room.emulatedOver(below, { id: "memory", description: "a memory" });
      const bind = async () => {
        const { tokens } = await source.offload!.read({
          ranges: [{ offsetBytes: 0, lengthBytes: MIB }],
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
        });
        return tokens.map(({ token }) => token);
      };
      await body({ source, target, below, bind, room });
    });
}

function copy(device: BlockDevice, tokens: Uint8Array[], request: Partial<OffloadWriteRequest> = {}) {
  return device.offload!.write({
    tokens,
    tokenOffsetBytes: 0,
    ranges: [{ offsetBytes: 0, lengthBytes: MIB }],
    fua: false,
    isProtected: true,
    ...request,
  });
}

/** One byte of what is below becomes another, past everything that watches. */
async function rot(below: BlockDevice, at: number): Promise<void> {
  const block = await bytesOf(below, at - (at % 512), 512);
  block[at % 512]! ^= 1;
  await below.write(at - (at % 512), block, 0);
}

test(
  "T24: the destination keeps a companion's checksums, and a later read of data that has become another fails",
  withBench(async ({ target, below, bind }) => {
    await copy(target, await bind());
    assert.deepEqual(await bytesOf(target, 0, MIB), patternBytes(MIB, 3));
    await rot(below, 300 * KIB + 17);
    await assert.rejects(bytesOf(target, 300 * KIB, 512), { code: "CHECKSUM_MISMATCH" });
    await assert.rejects(bytesOf(target, 0, MIB), { code: "CHECKSUM_MISMATCH" });
    assert.deepEqual(await bytesOf(target, 0, 256 * KIB), patternBytes(MIB, 3).slice(0, 256 * KIB));
  }),
);

test(
  "T24: kept checksums guard also what a token of the destination gives",
  withBench(async ({ target, below, bind, room }) => {
    await copy(target, await bind());
    const { tokens } = await target.offload!.read({
      ...readRequest(100, 100 * KIB),
      ttlMs: 3_600_000,
    });
    await rot(below, 50 * KIB);
    const read = room.read(tokens[0]!.token, 50 * KIB, new Uint8Array(10), { isProtected: true });
    await assert.rejects(read, { code: "CHECKSUM_MISMATCH" });
  }),
);

test(
  "T24: what is overwritten, zeroed, or written by a token without a companion has no kept checksum any more",
  withBench(async ({ target, below, bind }) => {
    const tokens = await bind();
    await copy(target, tokens);
    await target.write(16 * KIB + 512, patternBytes(512, 5), 0);
    await target.zero(64 * KIB, 4 * KIB, 0);
    await copy(target, [tokens[0]!], { ranges: [{ offsetBytes: 128 * KIB, lengthBytes: 16 * KIB }] });
    for (const at of [17 * KIB, 65 * KIB, 130 * KIB]) await rot(below, at);
    await bytesOf(target, 0, MIB);
  }),
);

test(
  "T24: a range that begins anywhere in the token and the device is kept as far as it covers whole blocks",
  withBench(async ({ target, below, bind }) => {
    const ranges = [
      { offsetBytes: 512, lengthBytes: 40 * KIB },
      { offsetBytes: MIB + 8 * KIB, lengthBytes: 64 * KIB },
    ];
    await copy(target, await bind(), { tokenOffsetBytes: 5 * KIB, ranges });
    const pattern = patternBytes(MIB, 3);
    const first = await bytesOf(target, 512, 40 * KIB);
    assert.deepEqual(first, pattern.slice(5 * KIB, 45 * KIB));
    const second = await bytesOf(target, MIB + 8 * KIB, 64 * KIB);
    assert.deepEqual(second, pattern.slice(45 * KIB, 109 * KIB));
    for (const at of [20 * KIB, MIB + 70 * KIB]) {
      await rot(below, at);
      if (at < MIB) await assert.rejects(bytesOf(target, at, 512), { code: "CHECKSUM_MISMATCH" });
      else await bytesOf(target, at, 512);
    }
  }),
);

test(
  "T24: blocks that somebody else writes while the token is written are not kept",
  withBench(async ({ target, bind }) => {
    const tokens = await bind();
    const writing = copy(target, tokens);
    const others: Promise<void>[] = [];
    for (let round = 0; round < 40; round++)
      others.push(
        Promise.resolve(target.write((round % 64) * 16 * KIB, patternBytes(512, round), 0)).then(() => {}),
      );
    await Promise.all([writing, ...others]);
    await bytesOf(target, 0, MIB);
  }),
);

test("T24: kept checksums take no more memory than set, and none when that is 0", async () => {
  const unseen = async ({ target, below, bind }: Bench) => {
    await copy(target, await bind());
    await rot(below, 0);
    await bytesOf(target, 0, 16 * KIB);
  };
  await withBench(unseen, { checksumBytesMax: 0 })();
  await withBench(unseen, { checksumBytesMax: 2 * 64 })();
  await withBench(
    async ({ target, below, bind }) => {
      await copy(target, await bind());
      await rot(below, MIB - 1);
      await assert.rejects(bytesOf(target, MIB - 512, 512), { code: "CHECKSUM_MISMATCH" });
    },
    { checksumBytesMax: 2 * 64 },
  )();
});

test(
  "T24: a hole that was punched behind the daemon's back where checksums are kept is read, and found out",
  withBench(async ({ target, below, bind, room }) => {
    await copy(target, await bind());
    await below.trim(256 * KIB, 64 * KIB, 0);
    await assert.rejects(bytesOf(target, 256 * KIB, 512), { code: "CHECKSUM_MISMATCH" });
    const kinds = async (device: BlockDevice, offset: number, length: number) =>
      (await device.extents(offset, length, 8)).map((extent) => [extent.lengthBytes, extent.kind]);
    assert.deepEqual(await kinds(below, 0, 2 * MIB), [
      [256 * KIB, "data"],
      [64 * KIB, "hole"],
      [704 * KIB, "data"],
      [MIB, "hole"],
    ]);
    assert.deepEqual(await kinds(target, 0, 2 * MIB), [
      [MIB, "data"],
      [MIB, "hole"],
    ]);
    assert.deepEqual(await kinds(target, 260 * KIB, 2 * KIB), [[2 * KIB, "data"]]);
    const { tokens } = await target.offload!.read({ ...readRequest(0, MIB), ttlMs: 3_600_000 });
    const onto = room.emulatedOver(new MemoryDevice({ sizeBytes: MIB }), {
      id: "other",
      description: "other",
    });
    const { lengthBytes } = await copy(onto, [tokens[0]!.token]);
    assert.equal(lengthBytes, 256 * KIB);
  }),
);

test(
  "T24: zeros that a token write left are a hole still, with their checksums kept",
  withBench(async ({ source, target, below, bind }) => {
    await source.zero(128 * KIB, 128 * KIB, 0);
    await copy(target, await bind());
    const extents = await target.extents(0, 512 * KIB, 8);
    assert.deepEqual(
      extents.map(({ lengthBytes, kind }) => [lengthBytes, kind]),
      [
        [128 * KIB, "data"],
        [128 * KIB, "hole"],
        [256 * KIB, "data"],
      ],
    );
    await rot(below, 130 * KIB);
    await assert.rejects(bytesOf(target, 130 * KIB, 512), { code: "CHECKSUM_MISMATCH" });
  }),
);
