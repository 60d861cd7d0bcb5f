// Holes: reads that name them instead of sending them, and block status in 32 and 64 bits.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ClientMode, statusOf } from "../../../test/support/nbd-client.ts";
import { NbdTestServer } from "../../../test/support/nbd-test-server.ts";
import { ObservedDevice } from "../../../test/support/observed-device.ts";
import type { NbdContext } from "./exports.ts";

const KIB = 1024;
const SIZE = 1024 * KIB;
const GIB = 1024 ** 3;
const CHUNKED = ["structured", "extended"] as const;

/** Data in [64 KiB, 128 KiB), known zeros in [128 KiB, 192 KiB), holes elsewhere. */
function patterned(sizeBytes = SIZE): ObservedDevice {
  const device = new ObservedDevice({ sizeBytes });
  device.inner.write(64 * KIB, Buffer.alloc(64 * KIB, 0xaa), 0);
  device.inner.zero(128 * KIB, 64 * KIB, 2);
  return device;
}

async function session(mode: ClientMode, device: ObservedDevice, contexts: readonly NbdContext[] = []) {
  const server = await NbdTestServer.start({ exports: { d: { device, contexts } } });
  const client = await server.connect();
  await client.greet();
  await client.negotiate(mode);
  const granted =
    mode === "simple"
      ? new Map<string, number>()
      : await client.setContexts("d", ["base:allocation", ...contexts.map(({ name }) => name)]);
  assert.equal(await client.go("d"), "ACK");
  const dispose = async () => {
    client[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  };
  return { client, granted, server, [Symbol.asyncDispose]: dispose };
}

for (const mode of CHUNKED) {
  for (const completes of ["at once", "together"] as const) {
    test(`${mode}, device ends ${completes}: a read across data and holes sends the data only`, async () => {
      const device = patterned();
      device.together = completes === "together";
      await using held = await session(mode, device);
      const reply = await held.client.ask({ type: 0, offset: 0, length: SIZE });
      assert.deepEqual(
        reply.chunks.map(({ type, flags, content }) => [
          type,
          flags,
          Number(content.readBigUInt64BE(0)) / KIB,
        ]),
        [
          [2, 0, 0],
          [1, 0, 64],
          [2, 1, 128],
        ],
      );
      const bytes = await held.client.read(60 * KIB, 100 * KIB);
      assert.equal(
        bytes.equals(
          Buffer.concat([Buffer.alloc(4 * KIB), Buffer.alloc(64 * KIB, 0xaa), Buffer.alloc(32 * KIB)]),
        ),
        true,
      );
    });
  }

  test(`${mode}: a read that must not be fragmented is one chunk`, async () => {
    await using held = await session(mode, patterned());
    const reply = await held.client.ask({ type: 0, offset: 32 * KIB, length: 64 * KIB, flags: 4 });
    assert.deepEqual(
      reply.chunks.map(({ type, flags, content }) => [type, flags, content.length]),
      [[1, 1, 64 * KIB + 8]],
    );
  });

  test(`${mode}: a read with more holes than a reply names is whole all the same`, async () => {
    const device = new ObservedDevice({ sizeBytes: SIZE });
    for (let page = 0; page < 256; page += 2)
      device.inner.write(page * 4096, Buffer.alloc(4096, page + 1), 0);
    await using held = await session(mode, device);
    const bytes = await held.client.read(0, SIZE);
    for (let page = 0; page < 256; page++)
      assert.equal(bytes[page * 4096 + 17], page % 2 === 0 ? (page + 1) & 0xff : 0);
  });

  test(`${mode}: block status tells holes, zeros and data`, async () => {
    await using held = await session(mode, patterned());
    const extents = statusOf(await held.client.ask({ type: 7, offset: 0, length: SIZE })).get(0)!;
    assert.deepEqual(
      extents.map(({ length, flags }) => [Number(length) / KIB, Number(flags)]),
      [
        [64, 3],
        [64, 0],
        [64, 2],
        [832, 3],
      ],
    );
  });

  test(`${mode}: with REQ_ONE there is one extent, within the request`, async () => {
    await using held = await session(mode, patterned());
    const one = statusOf(
      await held.client.ask({ type: 7, offset: 70 * KIB, length: 10 * KIB, flags: 8 }),
    ).get(0)!;
    assert.deepEqual(one, [{ length: BigInt(10 * KIB), flags: 0n }]);
  });

  test(`${mode}: every selected context gets its chunk, with what its own source says`, async () => {
    const calls: number[][] = [];
    const dirty: NbdContext = {
      name: "qemu:dirty-bitmap:monday",
      query: async (offset, length, extentsMax) => {
        calls.push([offset, length, extentsMax]);
        return [
          { lengthBytes: 4096, flags: 1 },
          { lengthBytes: 4096, flags: 1 },
          { lengthBytes: length, flags: 0 },
        ];
      },
    };
    await using held = await session(mode, patterned(), [dirty]);
    const reply = await held.client.ask({ type: 7, offset: 8192, length: 64 * KIB });
    assert.equal(reply.chunks.at(-1)!.flags, 1);
    assert.deepEqual(statusOf(reply).get(held.granted.get("qemu:dirty-bitmap:monday")!), [
      { length: 8192n, flags: 1n },
      { length: BigInt(64 * KIB), flags: 0n },
    ]);
    assert.deepEqual(calls[0]!.slice(0, 2), [8192, 64 * KIB]);
    const one = statusOf(await held.client.ask({ type: 7, offset: 0, length: 4096, flags: 8 }));
    assert.deepEqual(one.get(1), [{ length: 4096n, flags: 1n }]);
  });

  test(`${mode}: a context that fails fails the request, with no chunk before the error`, async () => {
    const broken: NbdContext = {
      name: "qemu:allocation-depth",
      query: () => Promise.reject(new Error("broken")),
    };
    await using held = await session(mode, patterned(), [broken]);
    const reply = await held.client.ask({ type: 7, length: 4096 });
    assert.equal(reply.errno, 5);
    assert.equal(reply.chunks.length, 1);
  });
}

test("an extent of more than 4 GiB is whole in 64 bits and cut in 32", async () => {
  const device = new ObservedDevice({ sizeBytes: 10 * GIB });
  device.inner.extents = (offset, length) => [{ offsetBytes: offset, lengthBytes: length, kind: "hole" }];
  await using wide = await session("extended", device);
  const whole = statusOf(await wide.client.ask({ type: 7, length: 10 * GIB })).get(0);
  assert.deepEqual(whole, [{ length: BigInt(10 * GIB), flags: 3n }]);
  await using narrow = await session("structured", device);
  const cut = statusOf(await narrow.client.ask({ type: 7, length: 0xffff_ffff })).get(0);
  assert.deepEqual(cut, [{ length: 0xffff_f000n, flags: 3n }]);
});

test("zeroing and trimming take 64-bit lengths with extended headers", async () => {
  const device = new ObservedDevice({ sizeBytes: 10 * GIB });
  device.inner.zero = () => undefined;
  device.inner.trim = () => undefined;
  await using held = await session("extended", device);
  assert.equal((await held.client.ask({ type: 6, length: 9 * GIB })).errno, 0);
  assert.equal((await held.client.ask({ type: 4, offset: 4096, length: 5 * GIB })).errno, 0);
  assert.equal((await held.client.ask({ type: 6, length: 2n ** 63n })).errno, 28);
  assert.deepEqual(device.calls, [`zero 0+${9 * GIB}`, `trim 4096+${5 * GIB}`]);
});

test("a filter chooses among the selected contexts", async () => {
  const depth: NbdContext = {
    name: "qemu:allocation-depth",
    query: async (_o, length) => [{ lengthBytes: length, flags: 7 }],
  };
  await using held = await session("extended", patterned(), [depth]);
  const filter = (length: bigint, ...ids: number[]) => {
    const payload = Buffer.alloc(8 + 4 * ids.length);
    payload.writeBigUInt64BE(length, 0);
    for (const [index, id] of ids.entries()) payload.writeUInt32BE(id, 8 + 4 * index);
    return held.client.ask({ type: 7, flags: 32, offset: 0, payload });
  };
  const depthId = held.granted.get("qemu:allocation-depth")!;
  assert.deepEqual([...statusOf(await filter(4096n, depthId))], [[depthId, [{ length: 4096n, flags: 7n }]]]);
  assert.equal(statusOf(await filter(4096n, 0, depthId)).size, 2);
  assert.equal((await filter(4096n)).errno, 22);
  assert.equal((await filter(4096n, 99)).errno, 22);
  assert.equal((await filter(4096n, 0, 0)).errno, 22);
  assert.equal((await filter(BigInt(SIZE) + 1n, 0)).errno, 22);
  assert.equal((await filter(0n, 0)).errno, 22);
  const short = await held.client.ask({ type: 7, flags: 32, payload: Buffer.alloc(3) });
  assert.equal(short.errno, 22);
  const long = await held.client.ask({ type: 7, flags: 32, payload: Buffer.alloc(100_000) });
  assert.equal(long.errno, 22);
  assert.equal((await held.client.ask({ type: 0, flags: 32, payload: Buffer.alloc(10) })).errno, 22);
});

test("a device that cannot tell its extents offers no base:allocation", async () => {
  const device = new ObservedDevice({ sizeBytes: SIZE, capabilities: { extents: "absent" } });
  await using held = await session("structured", device);
  assert.deepEqual([...held.granted.keys()], []);
});
