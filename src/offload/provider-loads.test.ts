// Choosing one of several providers by a policy, one behaviour each.
import assert from "node:assert/strict";
import { test } from "node:test";
import { patternBytes, withSimulatedPool } from "../../test/support/simulated-pool.ts";
import { MemoryDevice } from "../device/mod.ts";
import { TokenRoom } from "./mod.ts";
import { ProviderLoads } from "./provider-loads.ts";

/** Gives its numbers in turn. */
function randomOf(...numbers: number[]) {
  return {
    bytes(length: number): Uint8Array {
      const bytes = Buffer.alloc(length);
      bytes.writeUInt32LE(numbers.shift() ?? 0);
      return bytes;
    },
  };
}

const IDS = ["outer", "middle", "inner"];

test("T17: first and last are the outer and the inner one, and random is any", () => {
  const loads = new ProviderLoads(randomOf(0, 4, 5));
  assert.equal(loads.choose(IDS, "first"), "outer");
  assert.equal(loads.choose(IDS, "last"), "inner");
  const random = [1, 2, 3].map(() => loads.choose(IDS, "random"));
  assert.deepEqual(random, ["outer", "middle", "inner"]);
});

test("T17: the least loaded is the one with the fewest reads and uses under way", () => {
  const loads = new ProviderLoads(randomOf());
  assert.equal(loads.choose(IDS, "least-loaded"), "outer");
  for (const id of ["outer", "outer", "middle"]) loads.began(id);
  assert.equal(loads.choose(IDS, "least-loaded"), "inner");
  loads.began("inner");
  loads.ended("outer");
  loads.ended("outer");
  assert.equal(loads.choose(IDS, "least-loaded"), "outer");
});

test("T17: the most efficient moved least for what was written, and the lowest latency is a mean", () => {
  const loads = new ProviderLoads(randomOf());
  loads.used("outer", { bytes: 100, movedBytes: 200 });
  loads.used("middle", { bytes: 1000, movedBytes: 10 });
  loads.used("inner", { bytes: 10, movedBytes: 20 });
  assert.equal(loads.choose(IDS, "most-efficient"), "middle");
  loads.answered("outer", 5);
  loads.answered("middle", 50);
  loads.answered("inner", 4);
  assert.equal(loads.choose(IDS, "lowest-latency"), "inner");
  for (let round = 0; round < 20; round++) loads.answered("inner", 100);
  assert.equal(loads.choose(IDS, "lowest-latency"), "outer");
});

test("T17: the room measures its providers: what runs, and what their tokens cost", () =>
  withSimulatedPool(async (simulated) => {
    const { clock, random } = simulated.world;
    const { pool } = simulated;
    const key = new Uint8Array(32).fill(7);
    const room = await TokenRoom.open({ pool, clock, random, key, report: () => undefined });
    await pool.createVolume({ name: "a", sizeBytes: 65_536 });
    const below = room.overPool({ volume: "a" }, pool.openVolume("a"));
    await below.write(0, patternBytes(65_536, 1), 0);
    const stack = room.emulatedOver(below, { id: "outer", description: "a layer" });
    const { providers } = stack.offload!;
    assert.deepEqual(providers, ["outer", "pool"]);
    const target = room.emulatedOver(new MemoryDevice({ sizeBytes: 65_536 }), { id: "t", description: "t" });
    await pool.createVolume({ name: "b", sizeBytes: 65_536 });
    const other = room.overPool({ volume: "b" }, pool.openVolume("b"));
    const read = (id: string) =>
      stack.offload!.read({
        ranges: [{ offsetBytes: 0, lengthBytes: 65_536 }],
        policy: "preserve",
        ttlMs: 3_600_000,
        inactivityMs: 0,
        persistent: false,
        deleteOnUse: false,
        priority: 0,
        provider: { id },
        withChecksums: false,
        creator: "test",
        isProtected: true,
      });
    const ways = {
      tokenOffsetBytes: 0,
      ranges: [{ offsetBytes: 0, lengthBytes: 65_536 }],
      fua: false,
      isProtected: true,
    };
    for (const id of providers) {
      const { tokens } = await read(id);
      await other.offload!.write({ ...ways, tokens: tokens.map(({ token }) => token) });
    }
    assert.deepEqual(room.chooseProvider(providers, "most-efficient"), { id: "pool" });
    assert.deepEqual(room.chooseProvider(providers), { skip: 0 });
    assert.deepEqual(room.chooseProvider(["pool"], "last"), { skip: 0 });
    const { tokens } = await read("outer");
    const writing = target.offload!.write({ ...ways, tokens: [tokens[0]!.token] });
    assert.deepEqual(room.chooseProvider(providers, "least-loaded"), { id: "pool" });
    await writing;
    assert.deepEqual(room.chooseProvider(providers, "least-loaded"), { id: "outer" });
  }));
