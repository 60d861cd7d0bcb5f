// Random lives of tokens on a pool and over a plain device, against a model of plain bytes.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytesOf, patternBytes, withSimulatedPool } from "../../test/support/simulated-pool.ts";
import { RopewalkError } from "../base/errors.ts";
import { type BlockDevice, type ByteRange, type ChangePolicy, MemoryDevice } from "../device/mod.ts";
import { TokenRoom } from "./mod.ts";

const SIZE = 96 * 1024 + 512;
const KEY = new Uint8Array(32).fill(3);
const HERE = { isProtected: true };
const POLICIES: readonly ChangePolicy[] = ["preserve", "invalidate", "reference"];

interface ModelToken {
  readonly token: Uint8Array;
  readonly volume: number;
  readonly policy: ChangePolicy;
  readonly persistent: boolean;
  readonly ranges: readonly ByteRange[];
  readonly bound: Uint8Array;
  readonly expiresAtMs: number;
  ended: string | undefined;
  /** Its end was asked for and answered: it is over for good. */
  isRevoked: boolean;
}

const place = fc.record({
  at: fc.integer({ min: 0, max: SIZE - 1 }),
  length: fc.integer({ min: 1, max: SIZE }),
});
const index = fc.nat();
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("write" as const), volume: index, place, kind: index }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("bind" as const),
      volume: index,
      places: fc.array(place, { minLength: 1, maxLength: 3 }),
      policy: fc.constantFrom(...POLICIES),
      persistent: fc.boolean(),
      ttl: fc.constantFrom(5_000, 500_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("read" as const), token: index, place }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("copy" as const),
      token: index,
      volume: index,
      place,
      from: index,
      aligned: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("revoke" as const), token: index }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("pause" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const), kill: fc.boolean() }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Bench {
  /** A new room, and the volumes over it. */
  open(): Promise<{ room: TokenRoom; devices: BlockDevice[] }>;
  /** Ends the room; with `kill` as a crash. Undefined: tokens here do not live through it. */
  end: ((room: TokenRoom, devices: BlockDevice[], kill: boolean) => Promise<void>) | undefined;
  nowMs(): number;
  pause(ms: number): Promise<void>;
  /** After all tokens ended. */
  checkEmpty(): void;
}

async function live(bench: Bench, steps: readonly Step[]): Promise<void> {
  let { room, devices } = await bench.open();
  const contents = devices.map(() => new Uint8Array(SIZE));
  const tokens: ModelToken[] = [];
  let seed = 0;

  const range = ({ at, length }: { at: number; length: number }): ByteRange => ({
    offsetBytes: at,
    lengthBytes: Math.min(length, SIZE - at),
  });
  const checkTime = () => {
    for (const token of tokens) {
      if (bench.nowMs() < token.expiresAtMs) continue;
      if (token.ended === "OPEN") token.ended = "FORGOTTEN";
      token.ended ??= "TOKEN_EXPIRED";
    }
  };
  const changed = (volume: number, { offsetBytes, lengthBytes }: ByteRange) => {
    checkTime();
    for (const token of tokens) {
      const touches = token.ranges.some(
        (other) =>
          other.offsetBytes < offsetBytes + lengthBytes &&
          offsetBytes < other.offsetBytes + other.lengthBytes,
      );
      if (token.volume !== volume || token.policy !== "invalidate" || !touches) continue;
      if (token.ended === "OPEN") token.ended = "FORGOTTEN";
      token.ended ??= "TOKEN_CANCELLED";
    }
  };
  const dataOf = (volume: number, ranges: readonly ByteRange[]) =>
    new Uint8Array(
      Buffer.concat(
        ranges.map(({ offsetBytes, lengthBytes }) =>
          contents[volume]!.subarray(offsetBytes, offsetBytes + lengthBytes),
        ),
      ),
    );
  const expected = (token: ModelToken) =>
    token.policy === "reference" ? dataOf(token.volume, token.ranges) : token.bound;
  const orEnded = async (token: ModelToken, action: () => Promise<void>) => {
    checkTime();
    if (token.ended === undefined) return action();
    if (token.ended === "OPEN") return settle(token, action);
    const code = token.ended;
    await assert.rejects(action, (error) => {
      assert.ok(error instanceof RopewalkError);
      // What ended before a restart is not remembered, and what did not outlive it is unknown.
      assert.ok(error.code === code || (code === "FORGOTTEN" && error.code.startsWith("TOKEN_")), error.code);
      return true;
    });
  };
  /** A crash may have been quicker than the end: one of the two, while the source reads as it was bound. */
  const settle = async (token: ModelToken, action: () => Promise<void>) => {
    const isSame = Buffer.from(token.bound).equals(dataOf(token.volume, token.ranges));
    token.ended = "FORGOTTEN";
    try {
      await action();
    } catch (error) {
      if (!(error instanceof RopewalkError) || !error.code.startsWith("TOKEN_")) throw error;
      return;
    }
    assert.ok(isSame, "a token whose source changed came back");
    token.ended = undefined;
  };

  const revoke = async (token: ModelToken) => {
    try {
      await room.revoke(token.token, { strength: "mandatory" });
    } catch (error) {
      if (token.ended !== "OPEN" || !(error instanceof RopewalkError)) throw error;
    }
    token.ended ??= "TOKEN_REVOKED";
    if (token.ended === "OPEN") token.ended = "FORGOTTEN";
    token.isRevoked = true;
  };

  for (const now of steps) {
    seed += 1;
    if (now.do === "write") {
      const volume = now.volume % devices.length;
      const target = range(now.place);
      const { offsetBytes, lengthBytes } = target;
      changed(volume, target);
      if (now.kind % 4 === 0) await devices[volume]!.zero(offsetBytes, lengthBytes, 0);
      else if (now.kind % 4 === 1) await devices[volume]!.trim(offsetBytes, lengthBytes, 0);
      const bytes = now.kind % 4 < 2 ? new Uint8Array(lengthBytes) : patternBytes(lengthBytes, seed);
      if (now.kind % 4 >= 2) await devices[volume]!.write(offsetBytes, bytes, 0);
      contents[volume]!.set(bytes, offsetBytes);
    } else if (now.do === "bind") {
      const volume = now.volume % devices.length;
      const persistent = now.persistent && now.policy !== "reference" && bench.end !== undefined;
      const ranges = now.places.map(range);
      const { tokens: given, lengthBytes } = await devices[volume]!.offload!.read({
        ranges,
        policy: now.policy,
        ttlMs: now.ttl,
        inactivityMs: 0,
        persistent,
        deleteOnUse: false,
        priority: 0,
        provider: { skip: 0 },
        withChecksums: false,
        creator: "test",
        isProtected: true,
      });
      const bound = dataOf(volume, ranges);
      assert.equal(lengthBytes, bound.length);
      const { expiresAtMs } = room.show(given[0]!.token, HERE);
      tokens.push({
        token: given[0]!.token,
        volume,
        policy: now.policy,
        persistent,
        ranges,
        bound,
        expiresAtMs,
        ended: undefined,
        isRevoked: false,
      });
    } else if (now.do === "read" && tokens.length > 0) {
      const token = tokens[now.token % tokens.length]!;
      await orEnded(token, async () => {
        const data = expected(token);
        const bytes = new Uint8Array(now.place.length);
        const inside = await room.read(token.token, now.place.at, bytes, HERE);
        const wanted = new Uint8Array(now.place.length);
        wanted.set(data.subarray(now.place.at, now.place.at + now.place.length));
        assert.equal(inside, Math.max(0, Math.min(now.place.length, data.length - now.place.at)));
        assert.deepEqual(bytes, wanted);
      });
    } else if (now.do === "copy" && tokens.length > 0) {
      const token = tokens[now.token % tokens.length]!;
      const volume = now.volume % devices.length;
      const { lengthBytes } = range(now.place);
      const tokenOffsetBytes = now.from % token.bound.length;
      // Often at places that need no data to move.
      const inSource = (token.ranges[0]!.offsetBytes + tokenOffsetBytes) % 4096;
      const aligned = now.place.at - (now.place.at % 4096) + inSource;
      const offsetBytes = now.aligned && aligned < SIZE ? aligned : now.place.at;
      const target = { offsetBytes, lengthBytes: Math.min(lengthBytes, SIZE - offsetBytes) };
      await orEnded(token, async () => {
        const data = expected(token)
          .subarray(tokenOffsetBytes, tokenOffsetBytes + target.lengthBytes)
          .slice();
        const result = await devices[volume]!.offload!.write({
          tokens: [token.token],
          tokenOffsetBytes,
          ranges: [target],
          fua: seed % 2 === 0,
          isProtected: true,
        });
        assert.equal(result.lengthBytes, data.length);
        changed(volume, { offsetBytes, lengthBytes: data.length });
        contents[volume]!.set(data, offsetBytes);
      });
    } else if (now.do === "revoke" && tokens.length > 0) {
      const token = tokens[now.token % tokens.length]!;
      checkTime();
      if (token.ended === "FORGOTTEN") continue;
      await revoke(token);
    } else if (now.do === "pause") await bench.pause(3_000);
    else if (now.do === "restart" && bench.end !== undefined) {
      checkTime();
      await bench.end(room, devices, now.kill);
      ({ room, devices } = await bench.open());
      for (const token of tokens) {
        if (token.ended === "OPEN") continue;
        const mayBeBack = now.kill && !token.isRevoked && token.ended === "TOKEN_CANCELLED";
        if (token.persistent && mayBeBack) token.ended = "OPEN";
        else if (!token.persistent || token.ended !== undefined) token.ended = "FORGOTTEN";
      }
    }
  }
  for (const [volume, device] of devices.entries()) assert.deepEqual(await bytesOf(device), contents[volume]);
  checkTime();
  for (const token of tokens) if (token.ended === undefined || token.ended === "OPEN") await revoke(token);
  await bench.pause(1);
  assert.equal(room.counters.live, 0);
  bench.checkEmpty();
}

test("over a pool, every token reads and writes what its policy says, through restarts and crashes, and leaves no pin", () =>
  fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) =>
      withSimulatedPool(async (simulated) => {
        for (const name of ["a", "b"]) await simulated.pool.createVolume({ name, sizeBytes: SIZE });
        const options = (clock: typeof simulated.world.clock) => ({
          pool: simulated.pool,
          clock,
          random: simulated.world.random,
          key: KEY,
          report: () => {},
        });
        await live(
          {
            async open() {
              const { clock } = simulated.world;
              const room = await TokenRoom.open(options(clock));
              const over = (volume: string) => room.overPool({ volume }, simulated.pool.openVolume(volume));
              return { room, devices: [over("a"), over("b")] };
            },
            async end(room, devices, kill) {
              if (kill) simulated.die();
              else {
                await room.close();
                for (const device of devices) await device.close();
                await simulated.pool.close();
              }
              await simulated.open();
            },
            nowMs: () => simulated.world.clock.wallMs(),
            pause: (ms) => simulated.pause(ms),
            checkEmpty: () => assert.deepEqual(simulated.pool.pins(), []),
          },
          steps,
        );
        assert.deepEqual(await simulated.pool.verify(), []);
      }),
    ),
    { numRuns: 60, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true },
  ));

test("over a plain device, every token reads and writes what its policy says", () =>
  fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) =>
      withSimulatedPool(async (simulated) => {
        const { clock, random } = simulated.world;
        await live(
          {
            async open() {
              const { pool } = simulated;
              const room = await TokenRoom.open({ pool, clock, random, key: KEY, report: () => {} });
              const over = (id: string) =>
                room.emulatedOver(new MemoryDevice({ sizeBytes: SIZE }), { id, description: id });
              return { room, devices: [over("a"), over("b")] };
            },
            end: undefined,
            nowMs: () => clock.wallMs(),
            pause: (ms) => simulated.pause(ms),
            checkEmpty: () => {},
          },
          steps,
        );
      }),
    ),
    { numRuns: 60, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true },
  ));
