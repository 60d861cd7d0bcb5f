import assert from "node:assert/strict";
import { test } from "node:test";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import { ObservedDevice, type Operation } from "../../../test/support/observed-device.ts";
import { withSimulatedPool } from "../../../test/support/simulated-pool.ts";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import {
  bytesAt,
  pattern,
  readRequest,
  TokenShelf,
  tokenMemoryDevice,
  writeRequest,
} from "../../../test/support/token-memory-device.ts";
import { makeLayer } from "../../../test/support/tree-layer.ts";
import { RopewalkError } from "../../base/errors.ts";
import { TokenRoom } from "../../offload/mod.ts";
import { type BlockDevice, RequestFlag } from "../block-device.ts";
import { MemoryDevice } from "../memory-device.ts";

const MIB = 1024 * 1024;
const REGION_BYTES = 65_536;

testBlockDevice("copies", {
  runs: 30,
  open: async (sizeBytes) => {
    const members = [0, 1, 2].map(() => new ObservedDevice({ sizeBytes }));
    members[1]!.together = true;
    return (await makeLayer("copies", members, { regionBytes: REGION_BYTES })).device;
  },
});

class Mirror {
  readonly members = [0, 1].map(() => new ObservedDevice({ sizeBytes: MIB }));
  readonly clock = new SteppedClock();
  readonly failing: (Set<Operation> | undefined)[] = [undefined, undefined];

  async open(atOpen: "trust" | "compare" = "trust") {
    for (const [index, member] of this.members.entries()) {
      member.before = (operation) => {
        if (this.failing[index]?.has(operation)) throw new RopewalkError("IO_ERROR", `no ${operation}`);
        return undefined;
      };
    }
    const parameters = { regionBytes: REGION_BYTES, retryMs: 100, atOpen };
    return await makeLayer("copies", this.members, parameters, this.clock);
  }

  fail(index: number, ...operations: Operation[]): void {
    this.failing[index] = new Set(
      operations.length === 0 ? ["read", "write", "zero", "trim", "flush"] : operations,
    );
  }

  heal(index: number): void {
    this.failing[index] = undefined;
  }

  /** Until what runs in the background has ended. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 60; turn++) await this.clock.step(10);
  }

  isEqual(): boolean {
    const [one, other] = this.members.map(({ inner }) => {
      const bytes = Buffer.alloc(MIB);
      inner.read(0, bytes);
      return bytes;
    });
    return one!.equals(other!);
  }
}

test("members that differ are made equal after opening, from the first", async () => {
  const mirror = new Mirror();
  mirror.members[0]!.inner.write(3 * REGION_BYTES + 5, pattern(1000, 1), 0);
  mirror.members[1]!.inner.write(9 * REGION_BYTES, pattern(1000, 2), 0);
  const { device, lines } = await mirror.open("compare");
  assert.deepEqual(await bytesAt(device, 9 * REGION_BYTES, 10), Buffer.alloc(10));
  await mirror.settle();
  assert.ok(mirror.isEqual());
  assert.equal(
    mirror.members[1]!.calls.filter((call) => call.startsWith("write")).length,
    2,
    "only what differs",
  );
  assert.deepEqual(lines, ["copies at stack: member 1 is up to date"]);
});

test("a member that fails a write is left out, and comes back with what it missed", async () => {
  const mirror = new Mirror();
  const { device, lines } = await mirror.open();
  mirror.fail(0);
  await device.write(4096, pattern(4096, 1), 0);
  await device.zero(8 * REGION_BYTES, 4096, 0);
  await device.write(5 * REGION_BYTES - 100, pattern(200, 3), RequestFlag.fua);
  assert.deepEqual(await bytesAt(device, 4096, 4096), pattern(4096, 1));
  await mirror.settle();
  assert.ok(!mirror.isEqual());
  mirror.heal(0);
  mirror.members[0]!.calls.length = 0;
  await mirror.settle();
  assert.ok(mirror.isEqual());
  assert.match(lines[0]!, /^copies at stack: member 0 left out: IO_ERROR, no write$/);
  assert.deepEqual(lines.slice(1), [
    "copies at stack: member 0 is back and lacks 4 regions",
    "copies at stack: member 0 is up to date",
  ]);
  await device.close();
});

test("while all fail, the request fails and nobody is left out", async () => {
  const mirror = new Mirror();
  const { device, lines } = await mirror.open();
  mirror.fail(0, "write");
  mirror.fail(1, "write");
  await assert.rejects(async () => void (await device.write(0, pattern(512, 1), 0)), { code: "IO_ERROR" });
  mirror.heal(0);
  mirror.heal(1);
  await device.write(0, pattern(512, 2), 0);
  await mirror.settle();
  assert.ok(mirror.isEqual());
  assert.deepEqual(lines, ["copies at stack: member 1 is up to date"]);
});

test("the last member that has everything stays, so that no failure loses data", async () => {
  const mirror = new Mirror();
  const { device } = await mirror.open();
  mirror.fail(1);
  await device.write(0, pattern(512, 1), 0);
  mirror.fail(0, "write");
  await assert.rejects(async () => void (await device.write(0, pattern(512, 2), 0)), { code: "IO_ERROR" });
  assert.deepEqual(await bytesAt(device, 0, 512), pattern(512, 1));
});

test("what one member cannot read is read from the other, and written anew", async () => {
  const mirror = new Mirror();
  const { device } = await mirror.open();
  await device.write(4096, pattern(4096, 1), 0);
  mirror.members[0]!.inner.write(4096, Buffer.alloc(4096, 0xee), 0);
  mirror.fail(0, "read");
  assert.deepEqual(await bytesAt(device, 4096, 4096), pattern(4096, 1));
  mirror.heal(0);
  await mirror.settle();
  assert.ok(mirror.isEqual());
});

test("a member left out by a flush has missed also what it had not made durable", async () => {
  const mirror = new Mirror();
  const { device } = await mirror.open();
  await device.write(0, pattern(512, 1), 0);
  await device.flush();
  await device.write(2 * REGION_BYTES, pattern(512, 2), 0);
  // Its cache is lost: the flushed region is as it was, the other is not.
  mirror.fail(1);
  mirror.members[1]!.inner.write(2 * REGION_BYTES, Buffer.alloc(512), 0);
  await device.flush();
  mirror.heal(1);
  await mirror.settle();
  assert.ok(mirror.isEqual());
});

test("writes of one range that are under way together end alike on all members", async () => {
  const mirror = new Mirror();
  const { device } = await mirror.open();
  mirror.members[0]!.together = true;
  await Promise.all([1, 2, 3].map((seed) => device.write(seed * 100, pattern(4096, seed), 0)));
  assert.ok(mirror.isEqual());
});

test("a member that is not up to date when the device closes is named", async () => {
  const mirror = new Mirror();
  const { device, lines } = await mirror.open();
  mirror.fail(1);
  await device.write(0, pattern(512, 1), 0);
  await device.close();
  assert.equal(lines.at(-1), "copies at stack: member 1 closed while it lacks 1 regions; it is not a copy");
});

test("fast zeroing is refused with nothing changed where the first member is not fast", async () => {
  const mirror = new Mirror();
  const { device, lines } = await mirror.open();
  mirror.members[0]!.before = (operation) => {
    if (operation === "zero") throw new RopewalkError("UNSUPPORTED", "slow");
    return undefined;
  };
  await assert.rejects(device.zero(0, 4096, RequestFlag.fast) as Promise<void>, { code: "UNSUPPORTED" });
  assert.deepEqual([mirror.members[1]!.calls, lines], [[], []]);
});

test("members of different sizes are refused", async () => {
  const members = [MIB, 2 * MIB].map((sizeBytes) => new MemoryDevice({ sizeBytes }));
  await assert.rejects(makeLayer("copies", members), {
    code: "INVALID_CONFIG",
    message: /members of one size/,
  });
});

async function tokenCopies(shelves: readonly TokenShelf[], bytesMax: readonly number[] = []) {
  const members = shelves.map((shelf, index) =>
    tokenMemoryDevice(shelf, {
      sizeBytes: MIB,
      name: `m${index}`,
      ...(bytesMax[index] === undefined ? {} : { bytesMax: bytesMax[index] }),
    }),
  );
  const clock = new SteppedClock();
  const made = await makeLayer("copies", members, { regionBytes: REGION_BYTES, atOpen: "trust" }, clock);
  return { ...made, members };
}

test("a token read gives an alternative of each member, of one length", async () => {
  const shelf = new TokenShelf();
  const { device } = await tokenCopies([shelf, shelf], [8192, 4096]);
  await device.write(0, pattern(8192, 1), 0);
  const { tokens, lengthBytes } = await device.offload!.read(readRequest(0, 8192));
  assert.equal(lengthBytes, 4096);
  assert.deepEqual(
    tokens.map((token) => [token.dataOffsetBytes, token.lengthBytes]),
    [
      [0, 4096],
      [0, 4096],
    ],
  );
});

test("a token write reaches every member; one that wrote less, or could not, is made equal", async () => {
  for (const [other, bytesMax] of [
    [false, 2048],
    [true, 1 << 20],
  ] as const) {
    const shelf = new TokenShelf();
    const { device, members, clock, lines } = await tokenCopies(
      [shelf, other ? new TokenShelf() : shelf],
      [1 << 20, bytesMax],
    );
    const token = shelf.keep(pattern(100_000, 3));
    const { lengthBytes } = await device.offload!.write(writeRequest([token], 4096, 100_000));
    assert.equal(lengthBytes, 100_000);
    assert.deepEqual(await bytesAt(device, 4096, 100_000), pattern(100_000, 3));
    for (let turn = 0; turn < 20; turn++) await clock.step(1);
    assert.deepEqual(await bytesAt(members[1]!, 4096, 100_000), pattern(100_000, 3));
    assert.deepEqual(lines, ["copies at stack: member 1 is up to date"]);
  }
});

test("a token that no member takes is refused with nothing to make up for", async () => {
  const { device, lines, clock } = await tokenCopies([new TokenShelf(), new TokenShelf()]);
  await assert.rejects(device.offload!.write(writeRequest([new Uint8Array(512)], 0, 4096)), {
    code: "TOKEN_UNKNOWN",
  });
  for (let turn = 0; turn < 5; turn++) await clock.step(1);
  assert.deepEqual(lines, []);
});

test("a token of one use lasts for all members, however long each takes, and is over then", () =>
  withSimulatedPool(async ({ pool, world }) => {
    const room = await TokenRoom.open({
      ...{ pool, clock: world.clock, random: world.random },
      key: new Uint8Array(32),
      // Whoever still writes from the token when it ends stops there.
      settings: { runningWrites: "abort" },
      report: () => undefined,
    });
    const emulated = (id: string, device: BlockDevice) => room.emulatedOver(device, { id, description: id });
    const source = emulated("source", new MemoryDevice({ sizeBytes: MIB }));
    await source.write(0, pattern(MIB, 6), 0);
    const slow = { maximumRequestBytes: 65_536 };
    const members = [{}, slow, {}].map((geometry) => new MemoryDevice({ sizeBytes: MIB, geometry }));
    const { device, lines } = await makeLayer(
      "copies",
      members.map((member, index) => emulated(`m${index}`, member)),
      { regionBytes: REGION_BYTES, atOpen: "trust" },
    );
    const { tokens } = await source.offload!.read({ ...readRequest(0, MIB), deleteOnUse: true });
    const request = writeRequest([tokens[0]!.token], 0, MIB);
    assert.equal((await device.offload!.write(request)).lengthBytes, MIB);
    for (const member of members) assert.ok((await bytesAt(member, 0, MIB)).equals(pattern(MIB, 6)));
    assert.deepEqual(lines, []);
    await assert.rejects(device.offload!.write(request), { code: "TOKEN_DELETED" });
    await device.close();
    await source.close();
    await room.close();
  }));
