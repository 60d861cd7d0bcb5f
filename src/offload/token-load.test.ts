// Tokens that are given up for what they cost, one limit each, on a simulated pool.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesOf,
  patternBytes,
  type SimulatedPool,
  withSimulatedPool,
} from "../../test/support/simulated-pool.ts";
import { readRequest } from "../../test/support/token-memory-device.ts";
import { type BlockDevice, MemoryDevice, type OffloadReadRequest } from "../device/mod.ts";
import { type CancelReason, type GivenTokenSettings, TokenRoom } from "./mod.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const HERE = { isProtected: true };

interface Bench {
  readonly simulated: SimulatedPool;
  readonly room: TokenRoom;
  readonly reports: string[];
  volume(name: string): Promise<BlockDevice>;
  /** Checks that so many were given up for the reason and for no other, and that each was reported. */
  gaveUp(reason: CancelReason, count: number): void;
}

function withBench(body: (bench: Bench) => Promise<void>, settings: GivenTokenSettings = {}) {
  return () =>
    withSimulatedPool(async (simulated) => {
      const { clock, random } = simulated.world;
      const { pool } = simulated;
      const key = new Uint8Array(32).fill(7);
      const reports: string[] = [];
      const report = (sentence: string) => void reports.push(sentence);
      const room = await TokenRoom.open({ pool, clock, random, key, settings, report });
      await body({
        simulated,
        room,
        reports,
        async volume(name) {
          await pool.createVolume({ name, sizeBytes: 2 * MIB });
          const device = room.overPool({ volume: name }, pool.openVolume(name));
          for (let at = 0; at < 2 * MIB; at += 256 * KIB)
            await device.write(at, patternBytes(256 * KIB, at + name.charCodeAt(0)), 0);
          return device;
        },
        gaveUp(reason, count) {
          const { cancelled } = room.counters;
          assert.equal(cancelled[reason], count);
          assert.equal(
            Object.values(cancelled).reduce((sum, number) => sum + number),
            count,
          );
          assert.equal(
            reports.filter((sentence) => sentence.endsWith(`was given up (${reason}).`)).length,
            count,
          );
        },
      });
    });
}

async function bind(device: BlockDevice, request: Partial<OffloadReadRequest> = {}): Promise<Uint8Array> {
  const { tokens } = await device.offload!.read({
    ...readRequest(0, device.sizeBytes),
    ttlMs: 3_600_000,
    ...request,
  });
  return tokens[0]!.token;
}

/** To a place that does not fit the source's pages, so that data is read and written. */
function copyMoving(device: BlockDevice, token: Uint8Array, offsetBytes = 512) {
  return device.offload!.write({
    tokens: [token],
    tokenOffsetBytes: 0,
    ranges: [{ offsetBytes, lengthBytes: device.sizeBytes - offsetBytes }],
    fua: false,
    isProtected: true,
  });
}

const statesOf = ({ room }: Bench, tokens: Uint8Array[]) =>
  tokens.map((token) => room.show(token, HERE).state);

test(
  "T11: when more is saved for tokens in a second than may be, the lowest of that provider goes",
  withBench(
    async (bench) => {
      const memory = bench.room.emulatedOver(new MemoryDevice({ sizeBytes: MIB }), {
        id: "memory",
        description: "a memory",
      });
      const other = await bind(await bench.volume("a"), { priority: -1 });
      const tokens = [await bind(memory, { priority: 5 }), await bind(memory), other];
      for (let block = 0; block < 4; block++)
        await memory.write(block * 16 * KIB, patternBytes(512, block), 0);
      bench.gaveUp("overhead", 0);
      await bench.simulated.pause(1000);
      for (let block = 4; block < 9; block++)
        await memory.write(block * 16 * KIB, patternBytes(512, block), 0);
      bench.gaveUp("overhead", 1);
      assert.deepEqual(statesOf(bench, tokens), ["valid", "cancelled", "valid"]);
      const kept = new Uint8Array(MIB);
      await bench.room.read(tokens[0]!, 0, kept, HERE);
      assert.deepEqual(kept, new Uint8Array(MIB));
    },
    { savedBytesPerSecondMax: 64 * KIB },
  ),
);

test(
  "T11: when transfers move more in a second than may be, the lowest token in use goes; its write ends as configured",
  withBench(
    async (bench) => {
      const [source, target] = [await bench.volume("a"), await bench.volume("b")];
      const tokens = [
        await bind(source, { priority: -5 }),
        await bind(source),
        await bind(source, { priority: 5 }),
      ];
      const before = await bytesOf(source, 0, 2 * MIB - 512);
      await Promise.all([copyMoving(target, tokens[1]!), copyMoving(target, tokens[2]!)]);
      assert.equal(bench.room.counters.cancelled.cost > 0, true);
      assert.deepEqual(statesOf(bench, tokens).slice(0, 2), ["valid", "cancelled"]);
      assert.deepEqual(await bytesOf(target, 512), before);
      await assert.rejects(copyMoving(target, tokens[1]!), { code: "TOKEN_CANCELLED" });
    },
    { movedBytesPerSecondMax: 3 * MIB },
  ),
);

test(
  "T11: copies by reference cost nothing, however many",
  withBench(
    async (bench) => {
      const [source, target] = [await bench.volume("a"), await bench.volume("b")];
      const token = await bind(source);
      for (let round = 0; round < 8; round++) await copyMoving(target, token, 0);
      bench.gaveUp("cost", 0);
    },
    { movedBytesPerSecondMax: 1 },
  ),
);

test(
  "T11: when a transfer takes longer than may be, the lowest token in use goes, once for each",
  withBench(
    async (bench) => {
      const [source, target] = [await bench.volume("a"), await bench.volume("b")];
      const tokens = [await bind(source, { priority: -5 }), await bind(source)];
      const slow = target.write.bind(target);
      Object.assign(target, {
        write: async (offset: number, bytes: Uint8Array, flags: number) => {
          await bench.simulated.pause(200);
          await slow(offset, bytes, flags);
        },
      });
      const over = bench.room.emulatedOver(target, { id: "slow", description: "a slow device" });
      const result = await copyMoving(over, tokens[1]!).catch((error: unknown) => error as { code: string });
      assert.ok("lengthBytes" in result && result.lengthBytes < 2 * MIB - 512, JSON.stringify(result));
      bench.gaveUp("latency", 1);
      assert.deepEqual(statesOf(bench, tokens), ["valid", "cancelled"]);
    },
    { transferMsMax: 100, runningWrites: "abort" },
  ),
);

test(
  "T11: a provider has the lowest of its tokens that hold data given up",
  withBench(async (bench) => {
    const source = await bench.volume("a");
    const memory = bench.room.emulatedOver(new MemoryDevice({ sizeBytes: MIB }), {
      id: "memory",
      description: "a memory",
    });
    const tokens = [
      await bind(source, { priority: 2 }),
      await bind(source, { priority: 1 }),
      await bind(source, { policy: "reference", priority: -1 }),
      await bind(memory, { priority: -1 }),
      await bind(source, { priority: 3 }),
    ];
    assert.equal(bench.room.giveUp({ provider: "pool", count: 2 }), 2);
    assert.deepEqual(statesOf(bench, tokens), ["cancelled", "cancelled", "valid", "valid", "valid"]);
    bench.gaveUp("provider", 2);
    assert.equal(bench.room.giveUp({ provider: "memory", count: 7 }), 1);
    assert.equal(bench.room.giveUp({ provider: "other", count: 7 }), 0);
    bench.gaveUp("provider", 3);
  }),
);

test(
  "T11: a pool with less free space than it wants asks for tokens to be given up",
  withBench(
    async (bench) => {
      const token = await bind(await bench.volume("a"));
      await bench.simulated.pause(6000);
      assert.deepEqual(statesOf(bench, [token]), ["valid"]);
      await bench.volume("b");
      await bench.simulated.pause(6000);
      assert.deepEqual(statesOf(bench, [token]), ["cancelled"]);
      bench.gaveUp("provider", 1);
    },
    { poolFreeBytesMin: 61 * MIB },
  ),
);
