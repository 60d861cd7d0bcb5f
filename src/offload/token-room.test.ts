// Tokens over volumes of the pool, one behaviour each, on a simulated pool.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesOf,
  patternBytes,
  type SimulatedPool,
  withSimulatedPool,
} from "../../test/support/simulated-pool.ts";
import { readRequest } from "../../test/support/token-memory-device.ts";
import type { BlockDevice, OffloadReadRequest, OffloadWriteRequest } from "../device/mod.ts";
import { type GivenTokenSettings, TokenRoom } from "./mod.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const KEY = new Uint8Array(32).fill(7);
const HERE = { isProtected: true };

class Bench {
  readonly simulated: SimulatedPool;
  readonly reports: string[] = [];
  room!: TokenRoom;

  constructor(simulated: SimulatedPool) {
    this.simulated = simulated;
  }

  async open(settings: GivenTokenSettings = {}, key = KEY): Promise<void> {
    const { clock, random } = this.simulated.world;
    this.room = await TokenRoom.open({
      pool: this.simulated.pool,
      clock,
      random,
      key,
      settings,
      report: (sentence) => this.reports.push(sentence),
    });
  }

  async volume(name: string, sizeBytes: number): Promise<BlockDevice> {
    await this.simulated.pool.createVolume({ name, sizeBytes });
    return this.over(name);
  }

  over(volume: string): BlockDevice {
    return this.room.overPool({ volume }, this.simulated.pool.openVolume(volume));
  }

  pins(): number {
    return this.simulated.pool.pins().length;
  }
}

function withBench(
  body: (bench: Bench) => Promise<void>,
  settings: GivenTokenSettings = {},
): () => Promise<void> {
  return () =>
    withSimulatedPool(async (simulated) => {
      const bench = new Bench(simulated);
      await bench.open(settings);
      await body(bench);
    });
}

async function bind(device: BlockDevice, request: Partial<OffloadReadRequest> = {}): Promise<Uint8Array> {
  const { tokens } = await device.offload!.read({
    ...readRequest(0, device.sizeBytes),
    ttlMs: 3_600_000,
    ...request,
  });
  assert.equal(tokens.length, 1);
  assert.equal(tokens[0]!.token.length, 512);
  return tokens[0]!.token;
}

/** However long it is. */
async function write(device: BlockDevice, offset: number, bytes: Uint8Array): Promise<void> {
  const step = device.geometry.maximumRequestBytes;
  for (let done = 0; done < bytes.length; done += step)
    await device.write(offset + done, bytes.subarray(done, done + step), 0);
}

function copy(
  device: BlockDevice,
  token: Uint8Array | Uint8Array[],
  request: Partial<OffloadWriteRequest> = {},
) {
  return device.offload!.write({
    tokens: token instanceof Uint8Array ? [token] : token,
    tokenOffsetBytes: 0,
    ranges: [{ offsetBytes: 0, lengthBytes: device.sizeBytes }],
    fua: false,
    isProtected: true,
    ...request,
  });
}

async function refused(code: string, action: () => Promise<unknown>): Promise<void> {
  await assert.rejects(action, { code });
}

test(
  "a whole volume is copied without moving a byte, as it was when the token was made",
  withBench(async (bench) => {
    const source = await bench.volume("a", 4 * MIB + 512);
    const target = await bench.volume("b", 4 * MIB + 512);
    await write(source, 0, patternBytes(3 * MIB, 1));
    await write(source, 4 * MIB, patternBytes(512, 2));
    const before = await bytesOf(source);
    const token = await bind(source);
    await write(source, MIB, patternBytes(MIB, 3));
    assert.deepEqual(await copy(target, token, { fua: true }), { lengthBytes: 4 * MIB + 512, movedBytes: 0 });
    assert.deepEqual(await bytesOf(target), before);
    await bench.room.revoke(token, { strength: "mandatory" });
    assert.equal(bench.pins(), 0);
  }),
);

test(
  "only edges that do not fit a page are read and written",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const target = await bench.volume("b", MIB);
    await write(source, 0, patternBytes(MIB, 1));
    const token = await bind(source, { ranges: [{ offsetBytes: 100, lengthBytes: 200_000 }] });
    const ranges = [{ offsetBytes: 8192 + 100, lengthBytes: 200_000 }];
    const { lengthBytes, movedBytes } = await copy(target, token, { ranges });
    assert.equal(lengthBytes, 200_000);
    assert.equal(movedBytes, 2 * (4096 - 100 + ((100 + 200_000) % 4096)));
    assert.deepEqual(await bytesOf(target, 8292, 200_000), (await bytesOf(source)).subarray(100, 200_100));
  }),
);

test(
  "holes of the source stay holes where data is moved",
  withBench(async (bench) => {
    const source = await bench.volume("a", 64 * MIB);
    const target = await bench.volume("b", 64 * MIB);
    await write(source, 32 * MIB, patternBytes(4096, 1));
    await write(target, 0, patternBytes(MIB, 2));
    const token = await bind(source, { ranges: [{ offsetBytes: 0, lengthBytes: 63 * MIB }] });
    const ranges = [{ offsetBytes: 512, lengthBytes: 63 * MIB }];
    assert.deepEqual(await copy(target, token, { ranges }), { lengthBytes: 63 * MIB, movedBytes: 8192 });
    assert.deepEqual(await bytesOf(target, 512, MIB), new Uint8Array(MIB));
    assert.deepEqual(await bytesOf(target, 32 * MIB + 512, 4096), patternBytes(4096, 1));
  }),
);

test(
  "the token of zeros zeroes ranges of any length, and any other byte in it makes it unknown",
  withBench(async (bench) => {
    const target = await bench.volume("b", 8 * MIB);
    await write(target, 0, patternBytes(MIB, 2));
    const { zeroToken } = bench.room;
    assert.deepEqual(await copy(target, zeroToken), { lengthBytes: 8 * MIB, movedBytes: 0 });
    assert.deepEqual(await bytesOf(target, 0, MIB), new Uint8Array(MIB));
    assert.equal(bench.room.show(zeroToken, HERE).kind, "zero");
    assert.equal(await bench.room.read(zeroToken, 5, patternBytes(100, 1), HERE), 100);
    for (const at of [0, 5, 8, 511]) {
      const near = zeroToken.slice();
      near[at]! ^= 1;
      await refused("TOKEN_UNKNOWN", () => copy(target, near));
    }
  }),
);

test(
  "a token ends where its data ends: what is behind is cut, never a neighbour's bytes",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const target = await bench.volume("b", MIB);
    await write(source, 0, patternBytes(MIB, 1));
    const token = await bind(source, { ranges: [{ offsetBytes: 4096, lengthBytes: 10_000 }] });
    assert.deepEqual(await copy(target, token), { lengthBytes: 10_000, movedBytes: 2 * (10_000 % 4096) });
    assert.deepEqual(await bytesOf(target, 10_000, 4096), new Uint8Array(4096));
    await refused("TOKEN_CUT", () => copy(target, token, { tokenOffsetBytes: 10_000 }));
    const bytes = patternBytes(100, 9);
    assert.equal(await bench.room.read(token, 9_990, bytes, HERE), 10);
    assert.deepEqual(bytes.subarray(0, 10), (await bytesOf(source)).subarray(4096 + 9_990, 4096 + 10_000));
    assert.deepEqual(bytes.subarray(10), new Uint8Array(90));
    assert.equal(await bench.room.read(token, 2 ** 40, bytes, HERE), 0);
  }),
);

test(
  "every bit of a token counts, and all that is not a token of this room is refused alike",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const token = await bind(source);
    const sentences = new Set<string>();
    const unknown = (bytes: Uint8Array, room = bench.room) => {
      assert.throws(
        () => room.show(bytes, HERE),
        (error: Error & { code?: string }) => {
          sentences.add(error.message);
          return error.code === "TOKEN_UNKNOWN";
        },
      );
    };
    for (let bit = 0; bit < 512 * 8; bit++) {
      const forged = token.slice();
      forged[bit >> 3]! ^= 1 << (bit & 7);
      unknown(forged);
    }
    unknown(token.subarray(0, 511));
    unknown(new Uint8Array(513));
    assert.equal(bench.room.show(token, HERE).state, "valid");
    assert.equal(bench.room.counters.forged, 4098);
    await withSimulatedPool(async (simulated) => {
      const other = new Bench(simulated);
      // The same key, and nothing in common else.
      await other.open();
      unknown(token, other.room);
    });
    await bench.room.close();
    await bench.open({}, new Uint8Array(32).fill(8));
    unknown(token);
    assert.equal(sentences.size, 1);
  }),
);

test(
  "tokens of one unchanged map share one pin, also while other volumes are written",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const other = await bench.volume("b", MIB);
    await write(source, 0, patternBytes(4096, 1));
    const tokens = await Promise.all(Array.from({ length: 50 }, () => bind(source)));
    await write(other, 0, patternBytes(4096, 1));
    tokens.push(await bind(source), await bind(source));
    assert.equal(bench.pins(), 1);
    await write(source, 0, patternBytes(4096, 1));
    tokens.push(await bind(source));
    assert.equal(bench.pins(), 2);
    for (const token of tokens) await bench.room.revoke(token, { strength: "mandatory" });
    assert.equal(bench.pins(), 0);
    assert.equal(bench.room.counters.live, 0);
  }),
);

test(
  "a token that a change invalidates ends with the first byte written in its ranges, by any opening, and with none beside them",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const target = await bench.volume("b", MIB);
    const ranges = [{ offsetBytes: 5000, lengthBytes: 1000 }];
    const token = await bind(source, { policy: "invalidate", ranges });
    const state = () => bench.room.show(token, HERE).state;
    await write(source, 4096, new Uint8Array(904));
    await write(source, 6000, new Uint8Array(10));
    assert.equal((await copy(target, token)).lengthBytes, 1000);
    assert.equal(state(), "valid");
    await bench.over("a").trim(0, 5001, 0);
    assert.equal(state(), "cancelled");
    await refused("TOKEN_CANCELLED", () => copy(target, token));
    assert.equal(bench.room.counters.cancelled.changed, 1);
    // Past the room: noticed when the token is used.
    const second = await bind(source, { policy: "invalidate", ranges });
    const past = bench.simulated.pool.openVolume("a");
    await write(past, 6000, patternBytes(10, 4));
    assert.equal((await copy(target, second)).lengthBytes, 1000);
    await write(past, 5999, patternBytes(1, 4));
    await refused("TOKEN_CANCELLED", () => copy(target, second));
    assert.equal(bench.pins(), 0);
  }),
);

test(
  "a token on reference follows its volume, and ends with it",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const target = await bench.volume("b", MIB);
    const token = await bind(source, { policy: "reference" });
    await write(source, 0, patternBytes(MIB, 1));
    await copy(target, token);
    assert.deepEqual(await bytesOf(target), patternBytes(MIB, 1));
    await source.close();
    await bench.simulated.pool.deleteVolume("a");
    await bench.volume("a", MIB);
    await refused("TOKEN_DELETED", () => copy(target, token));
    assert.equal(bench.pins(), 0);
  }),
);

test(
  "a token that preserves outlives its volume, unless it is set to end with it",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const target = await bench.volume("b", MIB);
    await write(source, 0, patternBytes(MIB, 1));
    const token = await bind(source);
    await source.close();
    await bench.simulated.pool.deleteVolume("a");
    await copy(target, token);
    assert.deepEqual(await bytesOf(target), patternBytes(MIB, 1));
    await bench.room.close();
    await bench.open({ endWithVolume: true });
    const next = bench.over("b");
    const again = await bench.volume("c", MIB);
    const ending = await bind(again);
    await again.close();
    await bench.simulated.pool.deleteVolume("c");
    await refused("TOKEN_DELETED", () => copy(next, ending));
    const swept = await bench.volume("d", MIB);
    await bind(swept);
    await swept.close();
    await bench.simulated.pool.deleteVolume("d");
    await bench.simulated.pause(10_000);
    assert.equal(bench.pins(), 0);
  }),
);

test(
  "tokens end when their time is over or nobody used them, and give their pins back by themselves",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const brief = await bind(source, { ttlMs: 10_000 });
    const idle = await bind(source, { inactivityMs: 4_000 });
    const used = await bind(source, { inactivityMs: 4_000 });
    for (let second = 0; second < 3; second++) {
      await bench.simulated.pause(3_000);
      await bench.room.read(used, 0, new Uint8Array(1), HERE);
    }
    assert.equal(bench.room.show(brief, HERE).state, "valid");
    assert.equal(bench.room.show(idle, HERE).state, "expired");
    assert.equal(bench.room.show(used, HERE).state, "valid");
    await bench.simulated.pause(6_000);
    assert.equal(bench.room.counters.live, 0);
    assert.equal(bench.pins(), 0);
    await refused("TOKEN_EXPIRED", () => bench.room.read(brief, 0, new Uint8Array(1), HERE));
    assert.equal(bench.room.counters.expired, 3);
  }),
);

test(
  "a token of one use is over after a write that did all that was asked",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const target = await bench.volume("b", 2 * MIB);
    const token = await bind(source, { deleteOnUse: true });
    assert.equal((await copy(target, token)).lengthBytes, MIB);
    assert.equal(bench.room.show(token, HERE).state, "valid");
    await copy(target, token, { ranges: [{ offsetBytes: 0, lengthBytes: MIB }] });
    await refused("TOKEN_DELETED", () => copy(target, token));
  }),
);

test(
  "a persistent token survives the death of the process, and its time goes on meanwhile",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    await write(source, 0, patternBytes(MIB, 1));
    const ranges = [
      { offsetBytes: 512, lengthBytes: 1000 },
      { offsetBytes: 8192, lengthBytes: 9000 },
    ];
    const kept = await bind(source, { persistent: true, ranges });
    const brief = await bind(source, { persistent: true, ttlMs: 5_000 });
    const revoked = await bind(source, { persistent: true });
    const passing = await bind(source);
    await write(source, 0, patternBytes(MIB, 2));
    await bench.room.revoke(revoked, { strength: "mandatory" });
    const { simulated } = bench;
    simulated.die("lost");
    await simulated.open();
    await simulated.pause(6_000);
    await bench.open();
    assert.equal(bench.room.show(kept, HERE).state, "valid");
    const bytes = new Uint8Array(10_000);
    assert.equal(await bench.room.read(kept, 0, bytes, HERE), 10_000);
    const before = patternBytes(MIB, 1);
    assert.deepEqual(
      Buffer.from(bytes),
      Buffer.concat([before.subarray(512, 1512), before.subarray(8192, 17192)]),
    );
    assert.throws(() => bench.room.show(brief, HERE), { code: "TOKEN_EXPIRED" });
    assert.throws(() => bench.room.show(revoked, HERE), { code: "TOKEN_UNKNOWN" });
    assert.throws(() => bench.room.show(passing, HERE), { code: "TOKEN_UNKNOWN" });
    assert.equal(bench.pins(), 1);
    await bench.room.revoke(kept, { strength: "mandatory" });
    simulated.die("lost");
    await simulated.open();
    assert.equal(bench.pins(), 0);
  }),
);

test(
  "a persistent token takes as many ranges as its pin's label has room for",
  withBench(async (bench) => {
    const source = await bench.volume("a", 4 * MIB);
    const ranges = Array.from({ length: 500 }, (_, at) => ({ offsetBytes: at * 8192, lengthBytes: 512 }));
    const { tokens, lengthBytes } = await source.offload!.read({
      ranges,
      policy: "preserve",
      ttlMs: 1000,
      inactivityMs: 0,
      persistent: true,
      deleteOnUse: false,
      priority: 0,
      provider: { skip: 0 },
      withChecksums: false,
      creator: "x".repeat(255),
      isProtected: true,
    });
    assert.ok(lengthBytes > 0 && lengthBytes < 500 * 512);
    assert.equal(tokens[0]!.lengthBytes, lengthBytes);
    assert.equal(bench.room.show(tokens[0]!.token, HERE).lengthBytes, lengthBytes);
  }),
);

test(
  "a label that is no token's, of another key or broken, is left as it is",
  withBench(async (bench) => {
    const { pool } = bench.simulated;
    await bench.volume("a", MIB);
    for (const label of ["somebody's", "token {}", "token {"])
      await pool.pin({ volume: "a" }, { persistent: true, label });
    await bind(bench.over("a"), { persistent: true });
    await bench.room.close();
    await bench.open({}, new Uint8Array(32).fill(9));
    assert.equal(bench.pins(), 4);
    assert.equal(bench.reports.length, 3);
    assert.deepEqual(bench.room.list(), []);
  }),
);

test(
  "a token of a protected channel is refused on one that is not, unless that is allowed",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const there = { isProtected: false };
    const token = await bind(source);
    const open = await bind(source, there);
    await refused("TOKEN_CHANNEL", () => copy(source, token, there));
    assert.throws(() => bench.room.show(token, there), { code: "TOKEN_CHANNEL" });
    await copy(source, open, there);
    await copy(source, open);
    await bench.room.close();
    await bench.open({ allowUnprotected: true });
    const device = bench.over("a");
    await copy(device, await bind(device), there);
  }),
);

test(
  "under pressure the lowest priority goes first, and use raises it",
  withBench(
    async (bench) => {
      const source = await bench.volume("a", MIB);
      const [low, used, high] = [await bind(source), await bind(source), await bind(source, { priority: 5 })];
      await bench.room.read(used, 0, new Uint8Array(1), HERE);
      await bind(source);
      assert.deepEqual(
        [low, used, high].map((token) => bench.room.show(token, HERE).state),
        ["cancelled", "valid", "valid"],
      );
      assert.equal(bench.room.counters.cancelled.count, 1);
      assert.equal(bench.reports.length, 1);
      await refused("TOO_MANY", () => bind(source, { priority: -1 }));
      await bench.room.revoke(high, { strength: "hint" });
      assert.equal(bench.room.show(high, HERE).state, "valid");
      await bind(source);
      assert.equal(bench.room.show(high, HERE).state, "cancelled");
    },
    { countMax: 3 },
  ),
);

test(
  "bytes held, memory and pins are limits too, each counted",
  withBench(
    async (bench) => {
      const source = await bench.volume("a", MIB);
      for (let token = 0; token < 6; token++) {
        await write(source, 0, new Uint8Array(4096));
        await bind(source, { ranges: [{ offsetBytes: 0, lengthBytes: 8192 }] });
      }
      assert.equal(bench.room.counters.cancelled.pins, 3);
      assert.equal(bench.pins(), 3);
      await bind(source, { ranges: [{ offsetBytes: 0, lengthBytes: 90_000 }] });
      assert.ok(bench.room.counters.cancelled.held > 0);
      await refused("TOO_MANY", () => bind(source));
      const ranges = Array.from({ length: 45 }, (_, at) => ({ offsetBytes: at * 8192, lengthBytes: 512 }));
      await bind(source, { ranges });
      assert.ok(bench.room.counters.cancelled.memory > 0);
    },
    { pinsMax: 3, heldBytesMax: 100_000, memoryBytesMax: 256 + 96 * 45, endedMax: 2 },
  ),
);

test(
  "of several tokens the next one goes on when one fails",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const target = await bench.volume("b", MIB);
    await write(source, 0, patternBytes(MIB, 1));
    const [revoked, short, whole] = [
      await bind(source),
      await bind(source, { ranges: [{ offsetBytes: 0, lengthBytes: 10_000 }] }),
      await bind(source),
    ];
    await bench.room.revoke(revoked, { strength: "mandatory" });
    await refused("TOKEN_REVOKED", () => copy(target, revoked));
    assert.equal((await copy(target, [revoked, short, whole])).lengthBytes, MIB);
    assert.deepEqual(await bytesOf(target), patternBytes(MIB, 1));
  }),
);

test(
  "a write that is cancelled says how much it did, and before the first piece it throws",
  withBench(async (bench) => {
    const source = await bench.volume("a", 8 * MIB);
    const target = await bench.volume("b", 8 * MIB);
    for (let at = 0; at < 8; at++) await write(source, at * MIB, patternBytes(MIB, at));
    const token = await bind(source);
    const stop = new AbortController();
    const ranges = [{ offsetBytes: 512, lengthBytes: 7 * MIB }];
    const copying = copy(target, token, { ranges, signal: stop.signal });
    while ((await bytesOf(target, 512, 1))[0] === 0) await bench.simulated.pause(0.1);
    stop.abort();
    const { lengthBytes } = await copying;
    assert.ok(lengthBytes > 0 && lengthBytes < 7 * MIB, `${lengthBytes}`);
    assert.deepEqual(
      await bytesOf(target, 512, lengthBytes),
      (await bytesOf(source)).subarray(0, lengthBytes),
    );
    await refused("CANCELLED", () => copy(target, token, { signal: stop.signal }));
  }),
);

for (const runningWrites of ["finish", "abort"] as const) {
  test(
    `a write that runs when its token is revoked does what is set: ${runningWrites}`,
    withBench(
      async (bench) => {
        const source = await bench.volume("a", 8 * MIB);
        const target = await bench.volume("b", 8 * MIB);
        for (let at = 0; at < 8; at++) await write(source, at * MIB, patternBytes(MIB, at));
        const token = await bind(source);
        const ranges = [{ offsetBytes: 512, lengthBytes: 7 * MIB }];
        const copying = copy(target, token, { ranges });
        while ((await bytesOf(target, 512, 1))[0] === 0) await bench.simulated.pause(0.1);
        let isOver = false;
        const over = copying.finally(() => (isOver = true));
        await bench.room.revoke(token, { strength: "mandatory" });
        await over;
        assert.ok(isOver);
        const { lengthBytes } = await copying;
        if (runningWrites === "finish") assert.equal(lengthBytes, 7 * MIB);
        else assert.ok(lengthBytes > 0 && lengthBytes < 7 * MIB);
        assert.equal(bench.pins(), 0);
      },
      { runningWrites },
    ),
  );
}

test(
  "tokens of a session end with it where that is set, persistent ones do not",
  withBench(
    async (bench) => {
      const source = await bench.volume("a", MIB);
      const mine = await bind(source, { creator: "one" });
      const persistent = await bind(source, { creator: "one", persistent: true });
      const other = await bind(source, { creator: "two" });
      bench.room.endCreator("one");
      bench.room.endCreator("nobody");
      await bench.simulated.pause(1);
      assert.deepEqual(
        [mine, persistent, other].map((token) => bench.room.show(token, HERE).state),
        ["revoked", "valid", "valid"],
      );
    },
    { endWithSession: true },
  ),
);

test(
  "a snapshot's token never changes and outlives the snapshot",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    await write(source, 0, patternBytes(MIB, 1));
    const { pool } = bench.simulated;
    await pool.createSnapshot("a", "s");
    const frozen = bench.room.overPool({ volume: "a", snapshot: "s" }, pool.openSnapshot("a", "s"));
    const tokens = [await bind(frozen), await bind(frozen, { policy: "invalidate" })];
    await write(source, 0, patternBytes(MIB, 2));
    assert.equal(bench.pins(), 1);
    const bytes = new Uint8Array(MIB);
    for (const token of tokens) {
      await bench.room.read(token, 0, bytes, HERE);
      assert.deepEqual(bytes, patternBytes(MIB, 1));
    }
    await refused("READ_ONLY", () => copy(frozen, tokens[0]!));
    await frozen.close();
    await pool.deleteSnapshot("a", "s");
    assert.equal(await bench.room.read(tokens[0]!, 0, bytes, HERE), MIB);
    assert.equal(bench.room.list().find(({ policy }) => policy === "preserve")!.source, "a@s");
  }),
);

test(
  "what cannot be kept to is refused",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    await refused("TOKEN_UNSUPPORTED", () => bind(source, { policy: "reference", persistent: true }));
    await refused("TOKEN_UNSUPPORTED", () => bind(source, { policy: "reference", withChecksums: true }));
    await refused("TOKEN_UNSUPPORTED", () => bind(source, { provider: { skip: 1 } }));
    await refused("TOKEN_UNSUPPORTED", () => bind(source, { provider: { id: "another" } }));
    await refused("INVALID_ARGUMENT", () => bind(source, { ttlMs: 0 }));
    await refused("INVALID_ARGUMENT", () => bind(source, { ttlMs: 1e15 }));
    await refused("INVALID_ARGUMENT", () => bind(source, { priority: 0.5 }));
    await refused("INVALID_ARGUMENT", () => bind(source, { creator: "x".repeat(256) }));
    await bind(source, { provider: { id: "pool" } });
    await bench.room.close();
    await refused("SHUTTING_DOWN", () => bind(source));
    assert.equal(bench.pins(), 0);
  }),
);

test(
  "T10: a token that is deleted on request answers deleted, one that is revoked by its id revoked",
  withBench(async (bench) => {
    const source = await bench.volume("a", MIB);
    const [deleted, byId, first] = [await bind(source), await bind(source), await bind(source)];
    await bench.room.revoke(deleted, { strength: "mandatory", as: "deleted" });
    await assert.rejects(copy(source, deleted), { code: "TOKEN_DELETED" });
    const { id } = bench.room.show(byId, HERE);
    await bench.room.revokeId(id, { strength: "mandatory" });
    await assert.rejects(copy(source, byId), { code: "TOKEN_REVOKED" });
    // Whoever comes later changes nothing of how it ended.
    await bench.room.revoke(deleted, { strength: "mandatory" });
    await bench.room.revokeId(id, { strength: "mandatory", as: "deleted" });
    assert.deepEqual(
      [deleted, byId, first].map((token) => bench.room.show(token, HERE).state),
      ["deleted", "revoked", "valid"],
    );
    const { counters } = bench.room;
    assert.deepEqual([counters.deleted, counters.revoked, counters.live], [1, 1, 1]);
    for (const other of ["0".repeat(16), "", "zz", `${id}0`])
      await assert.rejects(bench.room.revokeId(other, { strength: "mandatory" }), { code: "NOT_FOUND" });
  }),
);
