// Slow, dead, greedy and many clients: each meets its limit, and the others do not notice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeRequest, NbdClient } from "../../../test/support/nbd-client.ts";
import { NbdTestServer } from "../../../test/support/nbd-test-server.ts";
import { ObservedDevice } from "../../../test/support/observed-device.ts";
import type { NbdLimits } from "./mod.ts";

const MIB = 1024 * 1024;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function serve(limits: Partial<NbdLimits>, sizeBytes = 64 * MIB) {
  const device = new ObservedDevice({ sizeBytes });
  const server = await NbdTestServer.start({ exports: { d: { device } }, limits });
  return { device, server, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

test("a connection above the limit is closed without a greeting, and one that leaves makes room", async () => {
  await using held = await serve({ connectionsMax: 2 });
  const { server } = held;
  using first = await server.open("d", "simple");
  using second = await server.open("d", "simple");
  using third = await server.connect();
  await third.untilClosed();
  assert.equal(third.unreadBytes, 0);
  assert.equal(server.server.counters.connectionsRefused, 1);
  second.socket.destroy();
  while (server.server.counters.connections > 1) await pause(2);
  using fourth = await server.open("d", "simple");
  assert.equal((await fourth.read(0, 512)).length, (await first.read(0, 512)).length);
});

test("a client that does not finish its handshake is closed, one byte a time or none", async () => {
  await using held = await serve({ handshakeTimeoutMs: 150 });
  using silent = await held.server.connect();
  using slow = await held.server.connect();
  const drip = setInterval(() => slow.send(Buffer.from([0])), 20);
  await Promise.all([silent.untilClosed(), slow.untilClosed()]);
  clearInterval(drip);
  assert.equal(held.server.reports.length, 2);
});

test("an idle client is left alone after its handshake", async () => {
  await using held = await serve({ handshakeTimeoutMs: 80, payloadTimeoutMs: 80, replyTimeoutMs: 80 });
  using client = await held.server.open("d", "simple");
  await pause(300);
  assert.equal((await client.read(0, 512)).length, 512);
});

test("a payload that trickles is given up, and its memory with it", async () => {
  await using held = await serve({ payloadTimeoutMs: 150 });
  const { server } = held;
  using client = await server.open("d", "simple");
  client.request({ type: 1, length: 32 * MIB });
  const drip = setInterval(() => client.send(Buffer.alloc(10)), 10);
  await client.untilClosed();
  clearInterval(drip);
  assert.match(server.reports[0]!, /payload did not arrive/);
  while (server.server.memory.inWorkBytes > 0) await pause(2);
});

test("a payload that is slow but moves is not given up", async () => {
  await using held = await serve({ payloadTimeoutMs: 120 });
  using client = await held.server.open("d", "simple");
  client.request({ type: 1, length: 4 * MIB });
  for (let part = 0; part < 8; part++) {
    client.send(Buffer.alloc(MIB / 2, 3));
    await pause(50);
  }
  assert.equal((await client.reply()).errno, 0);
  assert.equal((await client.read(4 * MIB - 1, 1))[0], 3);
});

test("a client that never reads is read no further, holds bounded memory and harms nobody", async () => {
  await using held = await serve({ replyBytesMax: MIB });
  const { server } = held;
  using deaf = await server.open("d", "simple");
  using other = await server.open("d", "simple");
  deaf.socket.pause();
  for (let count = 0; count < 1_000; count++) deaf.request({ type: 0, length: MIB / 4 });
  const begun = performance.now();
  for (let count = 0; count < 300; count++) await other.read(count * 4096, 4096);
  assert.equal(performance.now() - begun < 3_000, true);
  assert.equal(server.server.memory.inWorkBytes <= 2 * MIB, true);
  assert.equal(server.server.memory.chunkBytes <= 8 * MIB, true);
  assert.equal(server.server.counters.requests < 500, true);
  deaf.socket.resume();
  for (let count = 0; count < 1_000; count++) assert.equal((await deaf.reply()).errno, 0);
});

test("a client that never reads is closed once others wait for its memory", async () => {
  await using held = await serve({
    totalBytesMax: 2 * MIB,
    connectionBytesMax: 2 * MIB,
    replyTimeoutMs: 100,
  });
  const { server } = held;
  using deaf = await server.open("d", "simple");
  deaf.socket.pause();
  for (let count = 0; count < 8; count++) deaf.request({ type: 0, length: MIB });
  await pause(50);
  using other = await server.open("d", "simple");
  assert.equal((await other.read(0, MIB)).length, MIB);
  assert.match(server.reports[0]!, /takes no replies/);
});

test("a client that only sends small requests and never reads fills no memory either", async () => {
  await using held = await serve({ replyBytesMax: 64 * 1024 });
  const { server } = held;
  using deaf = await server.open("d", "simple");
  deaf.socket.pause();
  const burst = Buffer.concat(Array.from({ length: 10_000 }, () => encodeRequest("simple", { type: 3 })));
  for (let count = 0; count < 20; count++) deaf.send(burst);
  await pause(100);
  const { chunkBytes } = server.server.memory;
  assert.equal(chunkBytes <= 4 * MIB, true, `${chunkBytes} bytes`);
  deaf.socket.resume();
  for (let count = 0; count < 200_000; count++) assert.equal((await deaf.reply()).errno, 0);
});

test("requests beyond the number in work wait for their turn", async () => {
  await using held = await serve({ requestsMax: 5 });
  const { device, server } = held;
  const gate = Promise.withResolvers<void>();
  device.before = () => gate.promise;
  using client = await server.open("d", "simple");
  for (let count = 0; count < 50; count++) client.request({ type: 3 });
  await pause(30);
  assert.equal(device.calls.length, 5);
  gate.resolve();
  for (let count = 0; count < 50; count++) await client.reply();
  assert.equal(device.calls.length, 50);
});

test("writes in work of one connection, and of all, stay within their bytes", async () => {
  await using held = await serve({ connectionBytesMax: 2 * MIB, totalBytesMax: 4 * MIB });
  const { device, server } = held;
  const gate = Promise.withResolvers<void>();
  device.before = () => gate.promise;
  const clients = await Promise.all([0, 1, 2].map(() => server.open("d", "simple")));
  for (const client of clients)
    for (let count = 0; count < 20; count++)
      client.request({ type: 1, offset: count * MIB, payload: Buffer.alloc(MIB / 2) });
  await pause(60);
  const callsAtOnce = device.calls.length;
  const { inWorkBytes } = server.server.memory;
  gate.resolve();
  // An eighth is kept for those that have little in work.
  assert.equal(callsAtOnce, 7);
  assert.equal(inWorkBytes, 3.5 * MIB);
  for (const client of clients) {
    for (let count = 0; count < 20; count++) assert.equal((await client.reply()).errno, 0);
    client[Symbol.dispose]();
  }
  assert.equal(device.calls.length, 60);
});

test("answers to block status stay within the bytes of all, however many are asked for at once", async () => {
  await using held = await serve({ totalBytesMax: 4 * MIB });
  const { device, server } = held;
  for (let page = 0; page < 16_384; page += 2) device.inner.write(page * 4096, Buffer.alloc(4096), 0);
  const lookups = { now: 0, most: 0 };
  device.before = async () => {
    lookups.most = Math.max(lookups.most, ++lookups.now);
    await pause(1);
    lookups.now--;
  };
  using client = await server.connect();
  await client.greet();
  await client.negotiate("extended");
  await client.setContexts("d", ["base:allocation"]);
  await client.go("d");
  for (let count = 0; count < 200; count++) client.request({ type: 7, length: 64 * MIB });
  for (let count = 0; count < 200; count++)
    assert.equal((await client.reply()).chunks[0]!.content.length, 8 + 16 * 16_384);
  assert.equal(lookups.most <= 8, true, `${lookups.most} at once`);
  assert.equal(server.server.memory.inWorkBytes, 0);
});

test("a request larger than all budgets gets through when nothing else is in work", async () => {
  await using held = await serve({ connectionBytesMax: MIB, totalBytesMax: MIB });
  const { device, server } = held;
  device.together = true;
  const clients = await Promise.all([0, 1, 2].map(() => server.open("d", "structured")));
  await Promise.all(
    clients.map(async (client, index) => {
      for (let count = 0; count < 4; count++) {
        assert.equal(await client.write(index * 8 * MIB, Buffer.alloc(6 * MIB, index + 1)), 0);
        assert.equal((await client.read(index * 8 * MIB, 6 * MIB))[5 * MIB], index + 1);
      }
      client[Symbol.dispose]();
    }),
  );
});

test("a thousand idle clients cost little, and another one is served as if alone", async () => {
  await using held = await serve({});
  const { server } = held;
  const idle = await Promise.all(Array.from({ length: 1_000 }, () => server.open("d", "simple")));
  for (const client of idle.slice(0, 100)) await client.write(0, Buffer.alloc(200_000));
  using busy = await server.open("d", "simple");
  for (let count = 0; count < 500; count++) await busy.read(count * 4096, 4096);
  assert.equal(server.server.counters.connections, 1_001);
  const perClient = server.server.memory.chunkBytes / 1_001;
  assert.equal(perClient < 64 * 1024, true, `${perClient} bytes each`);
  for (const client of idle) client[Symbol.dispose]();
  while (server.server.counters.connections > 1) await pause(5);
});

test("hundreds of clients with a small write in work each do not hold a large chunk each", async () => {
  await using held = await serve({});
  const { server, device } = held;
  const clients = await Promise.all(Array.from({ length: 400 }, () => server.open("d", "simple")));
  for (const client of clients) await client.write(0, Buffer.alloc(200_000));
  const gate = Promise.withResolvers<void>();
  device.before = () => gate.promise;
  for (const client of clients)
    for (let count = 0; count < 3; count++) client.request({ type: 1, payload: Buffer.alloc(4096) });
  while (device.calls.length < 400 + 1_200) await pause(5);
  const { chunkBytes } = server.server.memory;
  gate.resolve();
  assert.equal(chunkBytes < 80 * MIB, true, `${chunkBytes} bytes`);
  for (const client of clients) {
    for (let count = 0; count < 3; count++) assert.equal((await client.reply()).errno, 0);
    client[Symbol.dispose]();
  }
});

test("a client that dies in mid-write does not disturb the writes of another", async () => {
  await using held = await serve({});
  const { server, device } = held;
  using steady = await server.open("d", "simple");
  for (let round = 0; round < 20; round++) {
    using dying = await server.open("d", "simple");
    dying.request({ type: 1, offset: 32 * MIB, length: MIB });
    dying.send(Buffer.alloc(100_000 + round, 9));
    dying.socket.destroy();
    assert.equal(await steady.write(round * 4096, Buffer.alloc(4096, round)), 0);
  }
  assert.equal(
    device.calls.some((call) => call.startsWith(`write ${32 * MIB}`)),
    false,
  );
  for (let round = 0; round < 20; round++) assert.equal((await steady.read(round * 4096, 1))[0], round);
});

test("clients that let no goodbye through are cut off when the server closes", async () => {
  await using held = await serve({});
  const { server, device } = held;
  using deaf = await server.open("d", "simple");
  deaf.socket.pause();
  for (let count = 0; count < 8; count++) deaf.request({ type: 0, length: 4 * MIB });
  while (device.calls.length === 0) await pause(2);
  const begun = performance.now();
  await server.server.close({ graceMs: 100 });
  assert.equal(performance.now() - begun < 2_000, true);
  assert.equal(device.closings, 1);
});

test("a server that closes refuses new clients", async () => {
  await using held = await serve({});
  await held.server.server.close();
  await assert.rejects(NbdClient.connect(held.server.path));
});
