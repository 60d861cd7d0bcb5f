import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import { ObservedDevice } from "../../../test/support/observed-device.ts";
import { withSimulatedPool } from "../../../test/support/simulated-pool.ts";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { bytesAt, pattern, readRequest, writeRequest } from "../../../test/support/token-memory-device.ts";
import { RopewalkError } from "../../base/errors.ts";
import { TokenRoom } from "../../offload/mod.ts";
import { type BlockDevice, RequestFlag } from "../block-device.ts";
import { checkDevice } from "../checked-device.ts";
import { buildDeviceTree } from "../device-tree.ts";
import { MemoryDevice } from "../memory-device.ts";
import type { ChangePolicy, DeviceOffload, OffloadWriteRequest } from "../offload.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;

interface TokenFields {
  readonly policy?: ChangePolicy;
  readonly persistent?: boolean;
  readonly deleteOnUse?: boolean;
  readonly expiresAtMs?: number;
}

/** A device below whose token writes are seen as writes, and tokens that end when a test says so. */
class Below {
  readonly clock = new SteppedClock();
  readonly observed: ObservedDevice;
  readonly device: BlockDevice;
  readonly lines: string[] = [];
  /** Token writes that had a length. */
  readonly moves: OffloadWriteRequest[] = [];
  /** Bytes that one token write does at most. */
  bytesMax = Number.POSITIVE_INFINITY;
  readonly #data = new Map<string, Uint8Array>();
  #made = 0;

  constructor(sizeBytes = 16 * MIB, minimumBlockBytes = 1) {
    this.observed = new ObservedDevice({ sizeBytes, geometry: { minimumBlockBytes } });
    const offload: DeviceOffload = {
      providers: ["below"],
      read: async ({ ranges: [range], policy }) => {
        const { offsetBytes, lengthBytes } = range!;
        const data = new Uint8Array(lengthBytes);
        await this.observed.read(offsetBytes, data);
        const token = this.token(data, { policy });
        return { tokens: [{ token, dataOffsetBytes: 0, lengthBytes, role: "primary" }], lengthBytes };
      },
      write: (request) => this.#write(request),
    };
    Object.defineProperty(this.observed, "offload", { value: offload });
    this.device = checkDevice(this.observed);
  }

  /** Laid out as docs/formats/token.md says, as far as layers look at it. */
  token(data: Uint8Array, fields: TokenFields = {}): Uint8Array {
    const { policy = "preserve", persistent = true, deleteOnUse = false } = fields;
    const token = Buffer.alloc(512);
    token.writeUInt32BE(persistent ? 0x0080_0002 : 0x0080_0000, 0);
    token.writeBigUInt64BE(BigInt(data.length), 56);
    token.write("RwTk", 160);
    token[164] = 1;
    token[165] = ["preserve", "invalidate", "reference"].indexOf(policy);
    token[166] = (persistent ? 1 : 0) | (deleteOnUse ? 2 : 0);
    token.writeUInt32BE(++this.#made, 176);
    token.writeBigUInt64BE(BigInt(fields.expiresAtMs ?? this.clock.wallMs() + HOUR_MS), 200);
    this.#data.set(token.toString("hex"), data);
    return new Uint8Array(token);
  }

  revoke(token: Uint8Array): void {
    this.#data.delete(Buffer.from(token).toString("hex"));
  }

  async layer(parameters: Readonly<Record<string, unknown>> = {}): Promise<BlockDevice> {
    const unexpected = () => Promise.reject(new Error("only volumes are opened"));
    return await buildDeviceTree(
      { layer: "defer", ...parameters, member: { volume: "below" } },
      {
        openVolume: async () => this.device,
        openFile: unexpected,
        openNbd: unexpected,
        emulate: (device) => device,
        world: { clock: this.clock, print: (line) => this.lines.push(line) },
      },
    );
  }

  /** Bytes that token writes wrote. */
  get movedBytes(): number {
    return this.moves.reduce((sum, { ranges }) => sum + ranges[0]!.lengthBytes, 0);
  }

  async #write(request: OffloadWriteRequest) {
    const { tokens, ranges, tokenOffsetBytes } = request;
    const data = tokens.map((token) => this.#data.get(Buffer.from(token).toString("hex"))).find(Boolean);
    if (data === undefined) throw new RopewalkError("TOKEN_REVOKED", "The token was revoked.");
    let done = 0;
    for (const { offsetBytes, lengthBytes } of ranges) {
      const at = tokenOffsetBytes + done;
      const length = Math.min(lengthBytes, data.length - at, this.bytesMax - done);
      if (length <= 0) break;
      await this.observed.write(offsetBytes, data.subarray(at, at + length), request.fua ? 1 : 0);
      done += length;
    }
    if (done > 0) this.moves.push(request);
    return { lengthBytes: done, movedBytes: done };
  }
}

for (const minimumBlockBytes of [1, 512])
  testBlockDevice(`defer over blocks of ${minimumBlockBytes}, with zeros to be moved to all of the device`, {
    runs: 30,
    open: async (sizeBytes) => {
      const below = new Below(sizeBytes, minimumBlockBytes);
      below.observed.inner.write(0, Buffer.alloc(sizeBytes, 0xee), 0);
      below.observed.together = true;
      const device = await below.layer({ movesMax: 16 });
      const token = below.token(new Uint8Array(sizeBytes));
      await device.offload!.write(writeRequest([token], 0, sizeBytes));
      return device;
    },
  });

/** A layer with one token written to 1 MiB at 1 MiB, and nothing moved yet. */
async function deferred(parameters: Readonly<Record<string, unknown>> = {}) {
  const below = new Below();
  const device = await below.layer(parameters);
  const data = pattern(MIB, 7);
  const token = below.token(data);
  const result = await device.offload!.write(writeRequest([token], MIB, MIB));
  assert.deepEqual(result, { lengthBytes: MIB, movedBytes: 0 });
  assert.deepEqual(below.observed.calls, []);
  return { below, device, data, token };
}

const ioError = { code: "IO_ERROR", message: /TOKEN_REVOKED/ };
/** Without a report of each byte that differs. */
function assertBytes(actual: Buffer, expected: Uint8Array): void {
  assert.ok(actual.equals(expected), `${actual.length} bytes are not those expected`);
}

const refusedWith = (error: object, act: () => unknown) =>
  assert.rejects(async () => void (await act()), error);

test("a token write is answered with nothing moved, and carried out in pieces after the delay", async () => {
  const below = new Below();
  const device = await below.layer({ delayMs: 500 });
  const data = pattern(9 * MIB, 3);
  const token = below.token(data);
  await device.offload!.write({ ...writeRequest([token], MIB, 9 * MIB - 100), tokenOffsetBytes: 100 });
  token.fill(0);
  await below.clock.step(499);
  assert.deepEqual(below.observed.calls, []);
  await below.clock.step(1);
  for (let turn = 0; turn < 10; turn++) await below.clock.step(0);
  assert.deepEqual(below.observed.calls, [
    `write ${MIB}+${4 * MIB}`,
    `write ${5 * MIB}+${4 * MIB}`,
    `write ${9 * MIB}+${MIB - 100}`,
  ]);
  assert.ok(below.moves.every(({ isPart }) => isPart === true));
  assertBytes(await bytesAt(device, MIB, 9 * MIB - 100), data.subarray(100));
});

test("a token write to several ranges is carried out in the order of its data, also where it is taken in parts", async () => {
  const below = new Below();
  below.bytesMax = 1000;
  const device = await below.layer();
  const data = pattern(3000, 1);
  const { ranges: _, ...request } = writeRequest([below.token(data)], 0, 0);
  await device.offload!.write({
    ...request,
    ranges: [
      { offsetBytes: 8192, lengthBytes: 2000 },
      { offsetBytes: 0, lengthBytes: 1000 },
    ],
  });
  await device.flush();
  assertBytes(await bytesAt(device, 8192, 2000), data.subarray(0, 2000));
  assertBytes(await bytesAt(device, 0, 1000), data.subarray(2000));
});

test("a read of a range that waits has its part moved and no more, and gives the token's data", async () => {
  const { below, device, data } = await deferred();
  assertBytes(await bytesAt(device, MIB + 5000, 300), data.subarray(5000, 5300));
  assert.deepEqual(below.observed.calls, [`write ${MIB + 5000}+300`, `read ${MIB + 5000}+300`]);
  assert.deepEqual(
    await bytesAt(device, MIB - 10, 20),
    Buffer.concat([Buffer.alloc(10), data.subarray(0, 10)]),
  );
  assert.equal(below.movedBytes, 310);
});

test("a trim of all that waits means that no byte is ever moved", async () => {
  const { below, device } = await deferred();
  await device.trim(MIB, MIB, 0);
  await below.clock.step(10_000);
  await device.flush();
  await device.close();
  assert.deepEqual(below.observed.calls, [`trim ${MIB}+${MIB}`, "flush 0+0"]);
  assert.deepEqual(below.moves, []);
});

for (const operation of ["write", "zero", "trim"] as const)
  test(`a ${operation} of a part of what waits drops that part, and the rest is moved`, async () => {
    const { below, device, data } = await deferred();
    const expected = Buffer.from(data);
    for (const [at, length] of [
      [0, 77],
      [1001, 5000],
      [MIB - 3, 3],
    ] as const) {
      if (operation === "write") await device.write(MIB + at, pattern(length, 9), 0);
      else await device[operation](MIB + at, length, 0);
      expected.set(operation === "write" ? pattern(length, 9) : Buffer.alloc(length), at);
    }
    assert.deepEqual(below.moves, []);
    await device.flush();
    assert.equal(below.movedBytes, MIB - 77 - 5000 - 3);
    assertBytes(await bytesAt(device, MIB, MIB), expected);
  });

test("a change that fails drops nothing", async () => {
  const { below, device, data } = await deferred();
  below.observed.before = (operation) => {
    if (operation === "trim") throw new RopewalkError("IO_ERROR", "no");
    return undefined;
  };
  await refusedWith({ code: "IO_ERROR" }, () => device.trim(MIB, MIB, 0));
  assertBytes(await bytesAt(device, MIB, MIB), data);
});

test("a read that comes while a write of its range is under way sees the token's data or the write's, never older", async () => {
  const { below, device } = await deferred();
  const gate = Promise.withResolvers<void>();
  below.observed.before = (operation) => (operation === "write" ? gate.promise : undefined);
  const write = device.write(MIB, pattern(4096, 9), 0);
  const read = bytesAt(device, MIB, 4096);
  await below.clock.step(0);
  gate.resolve();
  await write;
  assertBytes(await read, pattern(4096, 9));
});

test("a later token write takes the place of what waits", async () => {
  const { below, device, data } = await deferred();
  await device.offload!.write(writeRequest([below.token(pattern(4096, 2))], MIB + 4096, 4096));
  const expected = Buffer.from(data);
  expected.set(pattern(4096, 2), 4096);
  await device.flush();
  assert.equal(below.movedBytes, MIB);
  assertBytes(await bytesAt(device, MIB, MIB), expected);
});

test("what takes the place of a move that is due waits its own delay", async () => {
  const { below, device } = await deferred({ delayMs: 1000 });
  const gate = Promise.withResolvers<void>();
  below.observed.before = (operation) => (operation === "trim" ? gate.promise : undefined);
  const trim = device.trim(MIB, MIB, 0);
  const write = device.offload!.write(writeRequest([below.token(pattern(MIB, 2))], MIB, MIB));
  await below.clock.step(999);
  // Due now, and behind the two that have the range first.
  const due = below.clock.step(1);
  gate.resolve();
  await Promise.all([trim, write, due]);
  await below.clock.step(999);
  assert.deepEqual(below.moves, []);
  await below.clock.step(1);
  assert.equal(below.movedBytes, MIB);
});

test("a flush moves everything that was acknowledged before it, then flushes", async () => {
  const { below, device } = await deferred();
  await device.flush();
  assert.deepEqual(below.observed.calls, [`write ${MIB}+${MIB}`, "flush 0+0"]);
});

test("FUA moves everything else that was acknowledged before it, and a token write with FUA is not deferred", async () => {
  const { below, device } = await deferred();
  await device.write(MIB, pattern(MIB / 2, 1), RequestFlag.fua);
  assert.deepEqual(below.observed.calls, [
    `write ${MIB}+${MIB / 2} fua`,
    `write ${MIB + MIB / 2}+${MIB / 2}`,
  ]);
  await device.offload!.write(writeRequest([below.token(pattern(512, 1))], 0, 512));
  await device.offload!.write({ ...writeRequest([below.token(pattern(512, 2))], 4096, 512), fua: true });
  assert.deepEqual(below.observed.calls.slice(2), ["write 4096+512 fua", "write 0+512"]);
});

test("closing moves everything", async () => {
  const { below, device } = await deferred();
  await device.close();
  assert.deepEqual(below.observed.calls, [`write ${MIB}+${MIB}`]);
  assert.deepEqual([below.observed.closings, below.lines], [1, []]);
});

test("a token read has what it covers moved first", async () => {
  const { below, device, data } = await deferred();
  const { tokens } = await device.offload!.read(readRequest(MIB + 100, 1000));
  assert.equal(below.movedBytes, 1000);
  await device.offload!.write({ ...writeRequest([tokens[0]!.token], 0, 1000), fua: true });
  assertBytes(await bytesAt(device, 0, 1000), data.subarray(100, 1100));
});

test("what waits is data in extents, and what the device below tells does not reach over it", async () => {
  const { below, device } = await deferred();
  const kinds = (extents: readonly { kind: string; lengthBytes: number }[]) =>
    extents.map(({ kind, lengthBytes }) => `${kind} ${lengthBytes}`);
  assert.deepEqual(kinds(await device.extents(0, 4 * MIB, 10)), [
    `hole ${MIB}`,
    `data ${MIB}`,
    `hole ${2 * MIB}`,
  ]);
  assert.deepEqual(kinds(await device.extents(0, 4 * MIB, 2)), [`hole ${MIB}`, `data ${MIB}`]);
  assert.deepEqual(kinds(await device.extents(MIB + 4096, 8192, 10)), ["data 8192"]);
  assert.deepEqual(below.moves, []);
});

test("a range whose token has ended cannot be read or flushed, and says why, until all of it is overwritten or trimmed", async () => {
  const { below, device, token } = await deferred();
  below.observed.inner.write(MIB, Buffer.alloc(MIB, 0xee), 0);
  below.revoke(token);
  await below.clock.step(5000);
  assert.equal(below.lines.length, 1);
  assert.match(
    below.lines[0]!,
    /^defer at stack: 1048576 bytes at 1048576 .*TOKEN_REVOKED.*1048576 bytes in all/,
  );
  await refusedWith(ioError, () => bytesAt(device, MIB + 4096, 1));
  await refusedWith(ioError, () => device.offload!.read(readRequest(MIB, 4096)));
  await refusedWith(ioError, () => device.flush());
  assertBytes(await bytesAt(device, 0, 512), Buffer.alloc(512));
  await device.write(0, pattern(512, 1), RequestFlag.fua);
  await device.write(MIB, pattern(MIB / 2, 2), 0);
  assertBytes(await bytesAt(device, MIB, MIB / 2), pattern(MIB / 2, 2));
  await refusedWith(ioError, () => device.flush());
  await device.trim(MIB + MIB / 2, MIB / 2, 0);
  await device.flush();
  assert.equal(below.lines.length, 1, "told once");
});

test("closing with what could not be moved fails, says how much is lost, and closes below", async () => {
  const { below, device, token } = await deferred();
  below.revoke(token);
  await refusedWith(ioError, () => device.close());
  assert.match(below.lines.at(-1)!, /closed while 1048576 bytes are not what was acknowledged/);
  assert.equal(below.observed.closings, 1);
});

test("a move that failed for the device's sake is made up for by a later flush", async () => {
  const { below, device, data } = await deferred();
  below.observed.before = (operation) => {
    if (operation === "write") throw new RopewalkError("NO_SPACE", "full");
    return undefined;
  };
  await below.clock.step(5000);
  await refusedWith({ code: "IO_ERROR", message: /NO_SPACE/ }, () => device.flush());
  below.observed.before = undefined;
  await device.flush();
  assertBytes(await bytesAt(device, MIB, MIB), data);
});

test("of several tokens another one goes on when one has ended", async () => {
  const below = new Below();
  const device = await below.layer();
  const data = pattern(8192, 4);
  const [one, other] = [below.token(data), below.token(data)];
  await device.offload!.write(writeRequest([one, other], 0, 8192));
  below.revoke(one);
  await device.flush();
  assertBytes(await bytesAt(device, 0, 8192), data);
});

test("a token that the device below does not take is refused, and not deferred", async () => {
  const below = new Below();
  const device = await below.layer();
  const token = below.token(pattern(512, 1));
  below.revoke(token);
  await refusedWith({ code: "TOKEN_REVOKED" }, () => device.offload!.write(writeRequest([token], 0, 512)));
  await device.flush();
  assert.deepEqual(below.lines, []);
});

for (const [what, fields, parameters] of [
  ["of one use", { deleteOnUse: true }, { tokens: "preserve" }],
  ["that ends with a change", { policy: "invalidate", persistent: false }, { tokens: "preserve" }],
  ["that follows its source", { policy: "reference", persistent: false }, { tokens: "preserve" }],
  ["that is not persistent", { persistent: false }, {}],
  ["that soon ends", { expiresAtMs: Date.UTC(2026, 0, 1) + 121_000 }, { delayMs: 5000 }],
] as const)
  test(`a token ${what} is written at once`, async () => {
    const below = new Below();
    const device = await below.layer(parameters);
    const token = below.token(pattern(512, 1), fields);
    const request = writeRequest([token], 0, 512);
    assert.deepEqual(await device.offload!.write(request), { lengthBytes: 512, movedBytes: 512 });
    assert.deepEqual(below.moves, [request]);
  });

test("a token that is not persistent is deferred where that is set", async () => {
  const below = new Below();
  const device = await below.layer({ tokens: "preserve" });
  await device.offload!.write(writeRequest([below.token(pattern(512, 1), { persistent: false })], 0, 512));
  assert.deepEqual(below.moves, []);
});

test("a write past the token's data, with a companion, or beyond the limits is written at once", async () => {
  const below = new Below();
  const device = await below.layer({ bytesMax: 65_536, movesMax: 4 });
  const token = below.token(pattern(100_000, 1));
  const write = (request: Partial<OffloadWriteRequest>, length: number) =>
    device.offload!.write({ ...writeRequest([token], 0, length), ...request });
  assert.equal((await write({ tokenOffsetBytes: 99_000 }, 2000)).lengthBytes, 1000);
  assert.equal((await write({ companions: [token] }, 512)).movedBytes, 512);
  assert.equal((await write({}, 65_537)).movedBytes, 65_537);
  const apart = [1, 2, 3].map((index) => ({ offsetBytes: index * MIB, lengthBytes: 512 }));
  assert.equal((await write({ ranges: apart }, 0)).movedBytes, 3 * 512);
  assert.equal((await write({}, 65_536)).movedBytes, 0);
  assert.equal((await write({ ranges: apart.slice(1) }, 0)).movedBytes, 1024, "no more bytes");
});

test("token writes that come together are deferred only as far as there is room for all", async () => {
  const below = new Below();
  const device = await below.layer({ bytesMax: 100_000 });
  const token = below.token(pattern(65_536, 1));
  const results = await Promise.all(
    [1, 2].map((index) => device.offload!.write(writeRequest([token], index * MIB, 65_536))),
  );
  assert.deepEqual(
    results.map(({ movedBytes }) => movedBytes),
    [0, 65_536],
  );
});

test("a flush does not carry out what was acknowledged after it began", async () => {
  const { below, device } = await deferred();
  const gate = Promise.withResolvers<void>();
  below.observed.before = (operation) => (operation === "write" ? gate.promise : undefined);
  const flush = device.flush();
  await device.offload!.write(writeRequest([below.token(pattern(512, 1))], 0, 512));
  gate.resolve();
  await flush;
  assert.equal(below.movedBytes, MIB);
});

test("requests that would cut what waits into more moves than there may be have some carried out", async () => {
  const { below, device, data } = await deferred({ movesMax: 4 });
  const expected = Buffer.from(data);
  for (let index = 0; index < 20; index++) {
    await device.write(MIB + 4096 + index * 8192, pattern(100, index), 0);
    expected.set(pattern(100, index), 4096 + index * 8192);
  }
  assert.ok(below.movedBytes > 0);
  await device.flush();
  assertBytes(await bytesAt(device, MIB, MIB), expected);
});

test("while a token of the device lives that must see its changes, nothing is deferred", async () => {
  for (const policy of ["reference", "invalidate"] as const) {
    const below = new Below();
    const device = await below.layer();
    await device.offload!.read({ ...readRequest(0, 512), policy, ttlMs: 10_000 });
    const token = below.token(pattern(512, 1));
    assert.equal((await device.offload!.write(writeRequest([token], 0, 512))).movedBytes, 512);
    await below.clock.step(10_000);
    assert.equal((await device.offload!.write(writeRequest([token], 0, 512))).movedBytes, 0);
  }
});

test("defer over what cannot flush, or cannot be asked about a token, is refused", async () => {
  const below = new Below();
  Object.defineProperty(below.device, "capabilities", {
    value: { ...below.device.capabilities, flush: "absent" },
  });
  await refusedWith({ code: "INVALID_CONFIG", message: /cannot flush/ }, () => below.layer());
  const blind = new Below();
  const write = async () => ({ lengthBytes: 0, movedBytes: 0 });
  Object.defineProperty(blind.device, "offload", { value: { ...blind.device.offload, write } });
  await refusedWith({ code: "INVALID_CONFIG", message: /below partition, span and stripe/ }, () =>
    blind.layer(),
  );
});

test("whatever comes between, every byte is that of the last write, zeroing, trim or token write", async () => {
  const size = 64 * KIB;
  const step = fc.record({
    kind: fc.constantFrom("token", "token", "write", "zero", "trim", "read", "tokenRead", "wait", "flush"),
    at: fc.integer({ min: 0, max: size - 1 }),
    length: fc.integer({ min: 1, max: size }),
    seed: fc.integer({ min: 0, max: 255 }),
    awaited: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), async (steps) => {
      const below = new Below(size);
      below.observed.together = true;
      const device = await below.layer({ movesMax: 6, delayMs: 10 });
      const model = Buffer.alloc(size);
      for (const { kind, at, length: wanted, seed } of steps) {
        const length = Math.min(wanted, size - at);
        const bytes = pattern(length, seed);
        if (kind === "token") {
          await device.offload!.write(writeRequest([below.token(bytes)], at, length));
          model.set(bytes, at);
        } else if (kind === "write") {
          await device.write(at, bytes, 0);
          model.set(bytes, at);
        } else if (kind === "zero" || kind === "trim") {
          await device[kind](at, length, 0);
          model.fill(0, at, at + length);
        } else if (kind === "read") {
          assertBytes(await bytesAt(device, at, length), model.subarray(at, at + length));
        } else if (kind === "tokenRead") {
          await device.offload!.read(readRequest(at, length));
          assertBytes(await bytesAt(below.observed, at, length), model.subarray(at, at + length));
        } else if (kind === "wait") {
          await below.clock.step(seed % 20);
        } else {
          await device.flush();
          assertBytes(await bytesAt(below.observed, 0, size), model);
        }
      }
      await device.close();
      assertBytes(await bytesAt(below.observed.inner, 0, size), model);
    }),
    { numRuns: 60 },
  );
});

test("a persistent token of the pool is deferred over a plain device, and one that is not known is refused", () =>
  withSimulatedPool(async ({ pool, world }) => {
    const sizeBytes = 512 * KIB;
    const room = await TokenRoom.open({
      ...{ pool, clock: world.clock, random: world.random },
      key: new Uint8Array(32),
      report: () => undefined,
    });
    await pool.createVolume({ name: "a", sizeBytes });
    const source = room.overPool({ volume: "a" }, pool.openVolume("a"));
    await source.write(0, pattern(sizeBytes, 5), 0);
    const unexpected = () => Promise.reject(new Error("only a file is opened"));
    const plain = new ObservedDevice({ sizeBytes });
    const device = await buildDeviceTree(
      { layer: "defer", member: { file: "/plain" } },
      {
        openVolume: unexpected,
        openFile: async () => plain,
        openNbd: unexpected,
        emulate: (base, id) => room.emulatedOver(base, { id, description: id }),
        world: { clock: world.clock, print: () => undefined },
      },
    );
    const { tokens } = await source.offload!.read({
      ...readRequest(0, sizeBytes),
      ttlMs: HOUR_MS,
      persistent: true,
    });
    const token = tokens[0]!.token;
    const write = (bytes: Uint8Array) => device.offload!.write(writeRequest([bytes], 0, sizeBytes));
    await refusedWith({ code: "TOKEN_UNKNOWN" }, () => write(token.with(479, 1)));
    await write(token);
    await device.trim(0, sizeBytes / 2, 0);
    assert.deepEqual(plain.calls, [`trim 0+${sizeBytes / 2}`]);
    await device.flush();
    assert.deepEqual(
      await bytesAt(device, sizeBytes / 2, sizeBytes / 2),
      pattern(sizeBytes, 5).subarray(sizeBytes / 2),
    );
    await write(token);
    await room.revoke(token, { strength: "mandatory" });
    await refusedWith(ioError, () => bytesAt(device, 0, 512));
    await device.trim(0, sizeBytes, 0);
    await device.close();
    await source.close();
    await room.close();
  }));

test("over a device without token copies, and over one that is read-only, nothing changes", async () => {
  const world = { clock: new SteppedClock(), print: () => undefined };
  const unexpected = () => Promise.reject(new Error("only volumes are opened"));
  for (const writable of [true, false]) {
    const device = await buildDeviceTree(
      { layer: "defer", member: { volume: "plain" } },
      {
        openVolume: async () => new MemoryDevice({ sizeBytes: MIB, capabilities: { writable } }),
        openFile: unexpected,
        openNbd: unexpected,
        emulate: (member) => member,
        world,
      },
    );
    assert.equal(device.offload, undefined);
    assertBytes(await bytesAt(device, 0, 512), Buffer.alloc(512));
  }
});
