// Requests and replies in each of the three formats, as a client that shares no code with the server sees them.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientMode, NbdClient } from "../../../test/support/nbd-client.ts";
import { NbdTestServer } from "../../../test/support/nbd-test-server.ts";
import { ObservedDevice } from "../../../test/support/observed-device.ts";
import { RopewalkError } from "../../base/errors.ts";

const MIB = 1024 * 1024;
const SIZE = 8 * MIB;
const MODES: readonly ClientMode[] = ["simple", "structured", "extended"];
const READ = 0;
const WRITE = 1;
const FLUSH = 3;
const TRIM = 4;
const CACHE = 5;
const ZEROES = 6;
const STATUS = 7;

function bytesOf(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = (seed + at * 7 + (at >> 8)) & 0xff;
  return bytes;
}

/** One export `d` around a fresh device, and a client in the given mode. */
async function session(
  mode: ClientMode,
  options: Partial<ConstructorParameters<typeof ObservedDevice>[0]> = {},
) {
  const device = new ObservedDevice({ sizeBytes: SIZE, ...options });
  const server = await NbdTestServer.start({ exports: { d: { device } } });
  const client = await server.open("d", mode);
  const dispose = async () => {
    client[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  };
  return { device, server, client, [Symbol.asyncDispose]: dispose };
}

for (const mode of MODES) {
  for (const completes of ["at once", "together"] as const) {
    test(`${mode}, device ends ${completes}: what was written at any offset is read again`, async () => {
      await using held = await session(mode);
      const { device, client } = held;
      device.together = completes === "together";
      for (const [offset, length] of [
        [0, 1],
        [511, 4099],
        [4096, 8192],
        [100_000, 700_001],
        [2 * MIB, 3 * MIB + 5],
      ] as const) {
        const bytes = bytesOf(length, offset);
        assert.equal(await client.write(offset, bytes), 0);
        assert.deepEqual(await client.read(offset, length), bytes);
      }
      assert.deepEqual(await client.read(SIZE - 70_000, 70_000), Buffer.alloc(70_000));
    });

    test(`${mode}, device ends ${completes}: many requests in one go are all answered, once each`, async () => {
      await using held = await session(mode);
      const { device, client } = held;
      device.together = completes === "together";
      const cookies = new Set<bigint>();
      for (let index = 0; index < 300; index++) {
        const offset = index * 4096;
        const payload = bytesOf(4096, index);
        cookies.add(client.request({ type: WRITE, offset, payload, flags: mode === "extended" ? 32 : 0 }));
      }
      for (let index = 0; index < 300; index++) {
        const { cookie, errno } = await client.reply();
        assert.equal(errno, 0);
        assert.equal(cookies.delete(cookie), true);
      }
      for (let index = 0; index < 300; index++)
        assert.deepEqual(await client.read(index * 4096, 4096), bytesOf(4096, index));
    });
  }

  test(`${mode}: a payload that comes byte by byte, or cut anywhere, arrives whole`, async () => {
    await using held = await session(mode);
    const { client } = held;
    client.socket.setNoDelay(true);
    const payload = bytesOf(20_000, 5);
    const flags = mode === "extended" ? 32 : 0;
    client.request({ type: WRITE, offset: 17, length: payload.length, flags });
    for (let at = 0; at < payload.length; ) {
      const step = at < 30 ? 1 : 1 + ((at * 31) % 3000);
      client.send(payload.subarray(at, at + step));
      at += step;
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal((await client.reply()).errno, 0);
    assert.deepEqual(await client.read(17, payload.length), payload);
  });

  test(`${mode}: errors are the protocol's: range, read-only, unknown commands and flags`, async () => {
    await using held = await session(mode);
    const { client } = held;
    const payloadFlag = mode === "extended" ? 32 : 0;
    const errnoOf = async (request: Parameters<NbdClient["ask"]>[0]) => (await client.ask(request)).errno;
    assert.equal(await errnoOf({ type: READ, offset: SIZE - 1, length: 2 }), 22);
    assert.equal(await errnoOf({ type: READ, offset: 2n ** 63n, length: 512 }), 22);
    assert.equal(await errnoOf({ type: READ, offset: 0xffff_ffff_ffff_ffffn, length: 2 }), 22);
    assert.equal(
      await errnoOf({ type: WRITE, offset: SIZE - 1, payload: Buffer.alloc(2), flags: payloadFlag }),
      28,
    );
    assert.equal(await errnoOf({ type: ZEROES, offset: SIZE, length: 1 }), 28);
    assert.equal(await errnoOf({ type: TRIM, offset: SIZE, length: 1 }), 22);
    assert.equal(await errnoOf({ type: CACHE, offset: SIZE, length: 1 }), 22);
    assert.equal(await errnoOf({ type: STATUS, offset: 0, length: 1 }), 22);
    assert.equal(await errnoOf({ type: 8, length: SIZE }), 22);
    assert.equal(await errnoOf({ type: 999 }), 22);
    assert.equal(await errnoOf({ type: READ, length: 512, flags: 0x8000 }), 22);
    assert.equal(await errnoOf({ type: READ, length: 512, flags: 2 }), 22);
    assert.equal(await errnoOf({ type: FLUSH, flags: 16 }), 22);
    assert.equal(await errnoOf({ type: READ, length: 512, flags: 1 }), 0, "FUA is taken on any command");
    assert.equal(await errnoOf({ type: FLUSH }), 0);
  });

  test(`${mode}: requests longer than the largest payload are refused and the next is understood`, async () => {
    await using held = await session(mode, { sizeBytes: 128 * MIB });
    const { client, server } = held;
    const flags = mode === "extended" ? 32 : 0;
    assert.equal((await client.ask({ type: READ, length: 32 * MIB + 1 })).errno, 22);
    assert.equal(await client.write(0, Buffer.alloc(32 * MIB + 1)), 22);
    const whole = bytesOf(32 * MIB, 1);
    assert.equal(await client.write(1, whole), 0);
    assert.equal((await client.read(1, 32 * MIB)).equals(whole), true);
    client.request({ type: WRITE, length: 65 * MIB, flags });
    await client.untilClosed();
    assert.match(server.reports[0]!, /announces 68157440 bytes/);
  });

  test(`${mode}: requests of no bytes are answered and disturb nothing`, async () => {
    await using held = await session(mode);
    const { client } = held;
    for (const type of [READ, TRIM, CACHE, ZEROES]) assert.equal((await client.ask({ type })).errno, 0);
    assert.equal(await client.write(0, Buffer.alloc(0)), 0);
    assert.equal((await client.ask({ type: STATUS })).errno, 22);
    assert.equal((await client.read(0, 1)).length, 1);
  });

  test(`${mode}: flags reach the device`, async () => {
    await using held = await session(mode);
    const { device, client } = held;
    await client.write(0, Buffer.alloc(512), 1);
    await client.ask({ type: ZEROES, length: 4096, flags: 1 | 2 | 16 });
    await client.ask({ type: ZEROES, length: 2n ** 22n });
    await client.ask({ type: TRIM, offset: 4096, length: 4096, flags: 1 });
    await client.ask({ type: FLUSH });
    assert.deepEqual(device.calls, [
      "write 0+512 fua",
      "zero 0+4096 fua noHole fast",
      "zero 0+4194304",
      "trim 4096+4096 fua",
      "flush 0+0",
    ]);
  });

  test(`${mode}: a failing device fails its request, with the catalogue's errno, at once or later`, async () => {
    await using held = await session(mode);
    const { device, client } = held;
    const codes = [
      ["IO_ERROR", 5],
      ["NO_SPACE", 28],
      ["CHECKSUM_MISMATCH", 5],
      ["READ_ONLY", 1],
      ["SHUTTING_DOWN", 108],
      ["TOO_MANY", 12],
      ["TOO_LARGE", 22],
      ["UNSUPPORTED", 22],
    ] as const;
    for (const [code, errno] of codes) {
      for (const later of [false, true]) {
        device.before = () => {
          const error = new RopewalkError(code, "as planned");
          if (later) return Promise.reject(error);
          throw error;
        };
        assert.equal(await client.write(0, Buffer.alloc(10_000)), errno);
        assert.equal((await client.ask({ type: READ, length: 100 })).errno, errno);
        assert.equal((await client.ask({ type: READ, length: 100_000 })).errno, errno);
        assert.equal((await client.ask({ type: FLUSH })).errno, errno);
        const fast = await client.ask({ type: ZEROES, length: 512, flags: 16 });
        assert.equal(fast.errno, code === "UNSUPPORTED" ? 95 : errno);
      }
    }
    device.before = undefined;
    assert.equal((await client.read(0, 512)).length, 512);
    assert.deepEqual(held.server.server.memory.inWorkBytes, 0);
  });

  test(`${mode}: a defect of the device is an I/O error for the client`, async () => {
    await using held = await session(mode);
    held.device.before = () => {
      throw new TypeError("x is not a function");
    };
    assert.equal((await held.client.ask({ type: READ, length: 100 })).errno, 5);
  });

  test(`${mode}: goodbye waits for what is in work`, async () => {
    await using held = await session(mode);
    const { device, client } = held;
    let end = () => {};
    device.before = () => new Promise((resolve) => (end = () => resolve()));
    const cookie = client.request({ type: READ, length: 5000 });
    client.request({ type: 2 });
    while (device.calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal(device.closings, 0);
    end();
    // Long reads look for holes first, and then read.
    setTimeout(() => end(), 5);
    assert.equal((await client.reply()).cookie, cookie);
    await client.untilClosed();
    assert.equal(client.unreadBytes, 0);
  });

  test(`${mode}: a client that only stops sending is answered first`, async () => {
    await using held = await session(mode);
    const { client } = held;
    for (let index = 0; index < 100; index++) client.request({ type: READ, offset: index, length: 100_000 });
    client.socket.end();
    for (let index = 0; index < 100; index++) assert.equal((await client.reply()).errno, 0);
    await client.untilClosed();
  });

  test(`${mode}: a request with a wrong magic ends the connection`, async () => {
    await using held = await session(mode);
    held.client.send(Buffer.alloc(32, 0x11));
    await held.client.untilClosed();
    assert.match(held.server.reports[0]!, /no request's magic/);
  });
}

test("a read-only export refuses what would change it, and swallows the payload", async () => {
  await using held = await session("structured", { capabilities: { writable: false } });
  const { client, device } = held;
  assert.equal(await client.write(0, Buffer.alloc(100_000)), 1);
  assert.equal((await client.ask({ type: TRIM, length: 512 })).errno, 1);
  assert.equal((await client.ask({ type: ZEROES, length: 512 })).errno, 1);
  assert.equal((await client.read(0, 100)).length, 100);
  assert.deepEqual(device.calls, ["read 0+100"]);
});

test("requests that are no multiple of the block size are refused", async () => {
  await using held = await session("simple", { geometry: { minimumBlockBytes: 512 } });
  const { client } = held;
  assert.equal((await client.ask({ type: READ, offset: 1, length: 512 })).errno, 22);
  assert.equal((await client.ask({ type: READ, offset: 0, length: 513 })).errno, 22);
  assert.equal(await client.write(512, Buffer.alloc(100)), 22);
  assert.equal((await client.ask({ type: READ, offset: 512, length: 1024 })).errno, 0);
});

test("commands that the device cannot do are not offered and refused", async () => {
  await using held = await session("simple", {
    capabilities: { trim: "absent", zero: "absent", flush: "absent", fua: "absent" },
  });
  const { client } = held;
  for (const type of [TRIM, ZEROES, FLUSH]) assert.equal((await client.ask({ type, length: 0 })).errno, 22);
  assert.equal(await client.write(0, Buffer.alloc(512), 1), 22);
});

test("the size is asked at each request, so a device may grow and shrink", async () => {
  await using held = await session("simple");
  const { client, device } = held;
  device.inner.resize(2 * SIZE);
  assert.equal(await client.write(SIZE + 4096, Buffer.alloc(4096)), 0);
  device.inner.resize(4096);
  assert.equal((await client.ask({ type: READ, offset: 4096, length: 1 })).errno, 22);
});

test("a flush goes to the device after every write that was answered before", async () => {
  await using held = await session("simple");
  const { client, device } = held;
  device.together = true;
  await client.write(0, Buffer.alloc(4096));
  client.request({ type: WRITE, offset: 4096, payload: Buffer.alloc(4096) });
  client.request({ type: FLUSH });
  await client.reply();
  await client.reply();
  assert.deepEqual(device.calls, ["write 0+4096", "write 4096+4096", "flush 0+0"]);
});

test("writes that one promise ends keep their payloads apart, also when they end long after", async () => {
  await using held = await session("simple");
  const { client, device } = held;
  const gate = Promise.withResolvers<void>();
  device.before = (operation) => (operation === "write" ? gate.promise : undefined);
  for (let index = 0; index < 400; index++)
    client.request({ type: WRITE, offset: index * 16_384, payload: bytesOf(16_384, index) });
  // Other traffic in the meantime must not touch the payloads.
  for (let index = 0; index < 50; index++) client.request({ type: READ, offset: 0, length: 40_000 });
  while (device.calls.length < 450) await new Promise((resolve) => setTimeout(resolve, 2));
  for (let index = 0; index < 50; index++) assert.equal((await client.reply()).errno, 0);
  gate.resolve();
  for (let index = 0; index < 400; index++) assert.equal((await client.reply()).errno, 0);
  device.before = undefined;
  for (let index = 0; index < 400; index++)
    assert.equal((await client.read(index * 16_384, 16_384)).equals(bytesOf(16_384, index)), true);
});

test("CACHE reads the range through the device", async () => {
  await using held = await session("simple");
  const { client, device } = held;
  assert.equal((await client.ask({ type: CACHE, offset: 4096, length: 600_000 })).errno, 0);
  assert.deepEqual(device.calls, ["read 4096+524288", "read 528384+75712"]);
});

test("a client that vanishes in the middle of a write leaves nothing behind", async () => {
  await using held = await session("simple");
  const { client, device, server } = held;
  client.request({ type: WRITE, length: 5 * MIB });
  client.send(Buffer.alloc(MIB));
  while (server.server.memory.inWorkBytes === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  client.socket.destroy();
  while (device.closings === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.deepEqual(device.calls, []);
  assert.deepEqual(server.server.memory, { chunkBytes: 0, inWorkBytes: 0 });
});

test("the device of a vanished client is closed after its last request in work", async () => {
  await using held = await session("simple");
  const { client, device } = held;
  const gate = Promise.withResolvers<void>();
  device.before = () => gate.promise;
  client.request({ type: WRITE, payload: Buffer.alloc(4096) });
  client.request({ type: READ, length: 4096 });
  while (device.calls.length < 2) await new Promise((resolve) => setTimeout(resolve, 2));
  client.socket.destroy();
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(device.closings, 0);
  gate.resolve();
  while (device.closings === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.equal(held.server.server.memory.inWorkBytes, 0);
});

test("closing the server answers what is in work and then lets go", async () => {
  await using held = await session("simple");
  const { client, device, server } = held;
  const gate = Promise.withResolvers<void>();
  device.before = () => gate.promise;
  client.request({ type: READ, length: 100 });
  while (device.calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  const closing = server.server.close();
  gate.resolve();
  assert.equal((await client.reply()).errno, 0);
  await closing;
  await client.untilClosed();
  assert.equal(device.closings, 1);
});
