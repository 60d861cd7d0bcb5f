// The search for a hash token's blocks in all of the pool, one behaviour each, on a simulated pool.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesOf,
  patternBytes,
  type SimulatedPool,
  withSimulatedPool,
} from "../../test/support/simulated-pool.ts";
import { readRequest } from "../../test/support/token-memory-device.ts";
import type { BlockDevice, OffloadWriteRequest } from "../device/mod.ts";
import { TokenRoom } from "./mod.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** Of a token for `LENGTH`. */
const BLOCK = 256 * KIB;
/** Six blocks and half a one. */
const LENGTH = 6 * BLOCK + BLOCK / 2;
const DATA = patternBytes(LENGTH, 3);
const HERE = { isProtected: true };

class Bench {
  readonly simulated: SimulatedPool;
  room!: TokenRoom;

  constructor(simulated: SimulatedPool) {
    this.simulated = simulated;
  }

  async open(hashSearchBytes?: number): Promise<void> {
    const { clock, random } = this.simulated.world;
    const { pool } = this.simulated;
    const key = new Uint8Array(32).fill(7);
    const settings = { hashSearchBytes };
    this.room = await TokenRoom.open({ pool, clock, random, key, settings, report: () => undefined });
  }

  /** With `data` from a place on. */
  async volume(
    name: string,
    sizeBytes: number,
    data: Uint8Array = new Uint8Array(0),
    offset = 0,
  ): Promise<BlockDevice> {
    const { pool } = this.simulated;
    await pool.createVolume({ name, sizeBytes });
    const device = this.room.overPool({ volume: name }, pool.openVolume(name));
    for (let at = 0; at < data.length; at += BLOCK)
      await device.write(offset + at, data.subarray(at, at + BLOCK), 0);
    return device;
  }

  /** A token for `data`, whose source is gone. */
  async token(data = DATA): Promise<Uint8Array> {
    const source = await this.volume("source", data.length, data);
    const request = { ...readRequest(0, data.length), policy: "invalidate", kind: "hash" } as const;
    const { tokens } = await source.offload!.read({ ...request, ttlMs: 3_600_000 });
    await source.close();
    await this.simulated.pool.deleteVolume("source");
    return tokens[0]!.token;
  }
}

function withBench(body: (bench: Bench) => Promise<void>, hashSearchBytes?: number): () => Promise<void> {
  return () =>
    withSimulatedPool(async (simulated) => {
      const bench = new Bench(simulated);
      await bench.open(hashSearchBytes);
      await body(bench);
      await bench.room.close();
      assert.deepEqual(simulated.pool.pins(), []);
    });
}

function copy(device: BlockDevice, token: Uint8Array, request: Partial<OffloadWriteRequest> = {}) {
  return device.offload!.write({
    tokens: [token],
    tokenOffsetBytes: 0,
    ranges: [{ offsetBytes: 0, lengthBytes: LENGTH }],
    fua: false,
    isProtected: true,
    ...request,
  });
}

test(
  "T23: blocks whose source is gone are found by their hashes anywhere in the pool, each where it is",
  withBench(async (bench) => {
    const token = await bench.token();
    const target = await bench.volume("target", 2 * MIB);
    // At places of the grid, in another order, the short one at the front of other data.
    const parts = [patternBytes(BLOCK, 8), DATA.subarray(4 * BLOCK, 6 * BLOCK), DATA.subarray(0, 3 * BLOCK)];
    await bench.volume("one", 8 * MIB, Buffer.concat(parts), 4 * MIB);
    await assert.rejects(copy(target, token), { code: "TOKEN_DELETED" });
    assert.deepEqual(await bytesOf(target), new Uint8Array(2 * MIB));
    const rest = Buffer.concat([DATA.subarray(6 * BLOCK), patternBytes(BLOCK / 2, 9)]);
    await bench.volume("two", 2 * MIB, Buffer.concat([rest, DATA.subarray(3 * BLOCK, 4 * BLOCK)]), BLOCK);
    assert.equal((await copy(target, token)).lengthBytes, LENGTH);
    assert.deepEqual(await bytesOf(target, 0, LENGTH), DATA);
  }),
);

test(
  "T23: the search reads the destination first, no holes, and no more than its limit",
  withBench(async (bench) => {
    const token = await bench.token();
    await bench.volume("first", 2 * MIB, patternBytes(2 * MIB, 5));
    const target = await bench.volume("target", 2 ** 40);
    for (let at = 0; at < LENGTH; at += BLOCK)
      await target.write(2 ** 39 + at, DATA.subarray(at, Math.min(LENGTH, at + BLOCK)), 0);
    const other = await bench.volume("other", 2 * MIB);
    await assert.rejects(copy(other, token), { code: "TOKEN_DELETED" });
    assert.equal((await copy(target, token)).lengthBytes, LENGTH);
    assert.deepEqual(await bytesOf(target, 0, LENGTH), DATA);
  }, 7 * BLOCK),
);

test(
  "T23: what was found once is known then, and is not searched for again",
  withBench(async (bench) => {
    const token = await bench.token();
    const found = await bench.volume("found", 2 * MIB, DATA);
    const bytes = new Uint8Array(LENGTH);
    assert.equal(await bench.room.read(token, 0, bytes, HERE), LENGTH);
    // A destination that uses up all that may be read.
    const target = await bench.volume("target", 4 * MIB, patternBytes(2 * MIB, 5), 2 * MIB);
    assert.equal((await copy(target, token)).lengthBytes, LENGTH);
    await found.write(0, patternBytes(512, 6), 0);
    await target.write(0, patternBytes(512, 6), 0);
    await assert.rejects(copy(target, token), { code: "TOKEN_DELETED" });
  }, 7 * BLOCK),
);

test(
  "T23: blocks of zeros are found though no hole is read",
  withBench(async (bench) => {
    const data = DATA.slice()
      .fill(0, BLOCK, 4 * BLOCK)
      .fill(0, 6 * BLOCK);
    const token = await bench.token(data);
    await bench.volume("some", 2 * MIB, data.subarray(0, BLOCK));
    const target = await bench.volume("target", 2 * MIB, patternBytes(2 * MIB, 5));
    const ranges = [{ offsetBytes: 0, lengthBytes: 4 * BLOCK }];
    assert.equal((await copy(target, token, { ranges })).lengthBytes, 4 * BLOCK);
    assert.deepEqual(await bytesOf(target, 0, 4 * BLOCK), data.subarray(0, 4 * BLOCK));
    const last = [{ offsetBytes: 0, lengthBytes: BLOCK / 2 }];
    await copy(target, token, { ranges: last, tokenOffsetBytes: 6 * BLOCK });
    assert.deepEqual(await bytesOf(target, 0, BLOCK / 2), new Uint8Array(BLOCK / 2));
  }),
);

test(
  "T23: a search ends with its request and with the room, and one that waits for another too",
  withBench(async (bench) => {
    const token = await bench.token();
    const target = await bench.volume("target", 32 * MIB, patternBytes(24 * MIB, 5), 4 * MIB);
    const [one, other] = [new AbortController(), new AbortController()];
    const searching = copy(target, token, { signal: one.signal });
    const waiting = copy(target, token, { signal: other.signal });
    const ends = Promise.allSettled([searching, waiting]);
    for (let turn = 0; turn < 8; turn++) await bench.simulated.pause(0);
    other.abort();
    await assert.rejects(waiting, { code: "CANCELLED" });
    one.abort();
    await assert.rejects(searching, { code: "CANCELLED" });
    await ends;
    assert.deepEqual(await bytesOf(target, 0, MIB), new Uint8Array(MIB));
    const last = copy(target, token);
    const refused = assert.rejects(last, { code: "SHUTTING_DOWN" });
    await bench.simulated.pause(0);
    await bench.room.close();
    await refused;
  }),
);

test(
  "T23: with a limit of 0 nothing is searched for",
  withBench(async (bench) => {
    const token = await bench.token();
    const target = await bench.volume("target", 4 * MIB, DATA, 2 * MIB);
    await assert.rejects(copy(target, token), { code: "TOKEN_DELETED" });
  }, 0),
);
