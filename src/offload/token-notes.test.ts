// What requestors note of tokens, one behaviour each, on a simulated pool.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type SimulatedPool, withSimulatedPool } from "../../test/support/simulated-pool.ts";
import { readRequest } from "../../test/support/token-memory-device.ts";
import type { BlockDevice } from "../device/mod.ts";
import { type GivenTokenNotes, type GivenTokenSettings, type NotedReadRequest, TokenRoom } from "./mod.ts";

const MIB = 2 ** 20;
const HERE = { isProtected: true };
const NOTES = { usage: "archive", placement: "cold, away from disk 3" } as const;

async function opened({ world, pool }: SimulatedPool, settings: GivenTokenSettings = {}) {
  const { clock, random } = world;
  const key = new Uint8Array(32).fill(7);
  return TokenRoom.open({ pool, clock, random, key, settings, report: () => undefined });
}

function withRoom(
  body: (bench: { simulated: SimulatedPool; room: TokenRoom; source: BlockDevice }) => Promise<void>,
  settings: GivenTokenSettings = {},
) {
  return () =>
    withSimulatedPool(async (simulated) => {
      const room = await opened(simulated, settings);
      await simulated.pool.createVolume({ name: "a", sizeBytes: MIB });
      const source = room.overPool({ volume: "a" }, simulated.pool.openVolume("a"));
      await body({ simulated, room, source });
    });
}

async function bind(source: BlockDevice, wish: Partial<NotedReadRequest>): Promise<Uint8Array> {
  const request: NotedReadRequest = { ...readRequest(0, MIB), ttlMs: 3_600_000, ...wish };
  const { tokens } = await source.offload!.read(request);
  return tokens[0]!.token;
}

test(
  "T13: use of the data and placement ride along with a token until it ends",
  withRoom(async ({ room, source }) => {
    const token = await bind(source, NOTES);
    const plain = await bind(source, {});
    const { usage, placement } = room.show(token, HERE);
    assert.deepEqual({ usage, placement }, NOTES);
    assert.deepEqual(
      room.list().map((info) => info.usage),
      ["archive", undefined],
    );
    assert.ok(!("usage" in room.show(plain, HERE)) && !("placement" in room.show(plain, HERE)));
    await room.revoke(token, { strength: "mandatory" });
    const ended = room.show(token, HERE);
    assert.deepEqual([ended.state, ended.usage, ended.placement], ["revoked", undefined, undefined]);
    // Its row is another token's now, which has no notes.
    assert.equal(room.show(await bind(source, { usage: "random" }), HERE).placement, undefined);
  }),
);

test(
  "T13: notes of a persistent token outlive a restart",
  withRoom(async ({ simulated, room, source }) => {
    const token = await bind(source, { ...NOTES, persistent: true });
    const plain = await bind(source, { persistent: true });
    await source.close();
    await room.close();
    const next = await opened(simulated);
    const { usage, placement } = next.show(token, HERE);
    assert.deepEqual({ usage, placement }, NOTES);
    assert.ok(!("usage" in next.show(plain, HERE)));
  }),
);

test(
  "T13: a usage that is not on the list, a placement that is long or not printable, and notes of hash tokens are refused",
  withRoom(async ({ room, source }) => {
    const wrong = [{ usage: "often" }, { placement: "" }, { placement: "x".repeat(65) }, { placement: "é" }];
    for (const notes of [...wrong, { placement: "two\nlines" }])
      await assert.rejects(bind(source, notes as GivenTokenNotes), { code: "INVALID_ARGUMENT" });
    await bind(source, { placement: "x".repeat(64) });
    for (const notes of [{ usage: "random" }, { placement: "here" }] as const)
      await assert.rejects(bind(source, { ...notes, kind: "hash", policy: "invalidate" }), {
        code: "TOKEN_UNSUPPORTED",
      });
    assert.equal(room.list().length, 1);
  }),
);

test("T13: memory counts 256 bytes more for a token with notes, and none for one without", async () => {
  const fitting = async (notes: GivenTokenNotes) => {
    let count = 0;
    const body = withRoom(
      async ({ room, source }) => {
        for (let made = 0; made < 20; made++) await bind(source, notes);
        count = room.list().length;
      },
      { memoryBytesMax: 4096, endedMax: 0 },
    );
    await body();
    return count;
  };
  // The row of the token that is being made is not counted yet.
  assert.deepEqual([await fitting({}), await fitting({ usage: "random" }), await fitting(NOTES)], [17, 8, 8]);
});
