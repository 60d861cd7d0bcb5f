// Clients that stall in the middle of a payload, and clients that take no replies: nobody else waits long for the memory
// that they hold, and it stays bounded.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { NbdClient } from "../../../test/support/nbd-client.ts";
import { NbdTestServer } from "../../../test/support/nbd-test-server.ts";
import { ObservedDevice } from "../../../test/support/observed-device.ts";
import { DEFAULT_NBD_LIMITS } from "./limits.ts";
import type { NbdLimits } from "./mod.ts";

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const READ = 0;
const WRITE = 1;

async function serve(limits: Partial<NbdLimits> = {}) {
  const device = new ObservedDevice({ sizeBytes: 64 * MEBIBYTE });
  // As with a disk: the device has many requests of a connection in work before the first is answered.
  device.together = true;
  const server = await NbdTestServer.start({ exports: { d: { device } }, limits });
  return { server, device, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Opens eight clients, and begins the requests of each. */
async function crowd(server: NbdTestServer, begin: (client: NbdClient) => void) {
  const clients: NbdClient[] = [];
  for (let count = 0; count < 8; count++) {
    const client = await server.open("d", "simple");
    begin(client);
    clients.push(client);
  }
  return clients;
}

/** Whole writes of 1 MiB, then one of `lengthBytes` of which the first half of a mebibyte comes. */
function stall(client: NbdClient, lengthBytes: number): void {
  for (let count = 0; count < 4; count++) client.request({ type: WRITE, payload: Buffer.alloc(MEBIBYTE) });
  client.request({ type: WRITE, length: lengthBytes });
  client.send(Buffer.alloc(MEBIBYTE / 2));
}

/** 64 reads of which no reply is taken. */
function beDeaf(client: NbdClient): void {
  client.socket.pause();
  for (let count = 0; count < 64; count++) client.request({ type: READ, length: MEBIBYTE });
}

/** Until `isSo`; whoever waits in vain is told by the test's own time limit. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(2);
}

/** Writes and reads of `lengthBytes`, one after another; returns how long the slowest took. */
async function slowestMs(client: NbdClient, lengthBytes: number, count: number): Promise<number> {
  let slowest = 0;
  for (let index = 0; index < count; index++) {
    const data = Buffer.alloc(lengthBytes, index + 1);
    const offset = 32 * MEBIBYTE + (index % 8) * lengthBytes;
    const begun = performance.now();
    assert.equal(await client.write(offset, data), 0);
    const written = performance.now();
    assert.ok((await client.read(offset, lengthBytes)).equals(data));
    slowest = Math.max(slowest, written - begun, performance.now() - written);
  }
  return slowest;
}

/** A healthy client is measured beside eight others, whose memory is back when they are gone. */
async function besides(begin: (client: NbdClient) => void) {
  await using held = await serve();
  const { server } = held;
  using healthy = await server.open("d", "simple");
  const others = await crowd(server, begin);
  await until(() => server.server.memory.inWorkBytes >= 8 * MEBIBYTE);
  const small = await slowestMs(healthy, 4 * KIBIBYTE, 100);
  const large = await slowestMs(healthy, MEBIBYTE, 20);
  const { inWorkBytes } = server.server.memory;
  assert.ok(inWorkBytes <= DEFAULT_NBD_LIMITS.totalBytesMax, String(inWorkBytes));
  for (const client of others) client[Symbol.dispose]();
  await until(() => server.server.memory.inWorkBytes === 0);
  return { small, large, reports: server.reports };
}

test("eight clients that stall in a payload of 32 MiB hold up no request for seconds, small ones not at all", async () => {
  const { small, large, reports } = await besides((client) => stall(client, 32 * MEBIBYTE));
  assert.ok(small < 500, `${small} ms`);
  assert.ok(large < 5_000, `${large} ms`);
  assert.match(reports.join(), /stalls in a payload, while memory is wanted/);
  assert.ok(reports.length < 8, "what fits stays open");
});

test("eight clients that stall in a payload of 1 MiB are in nobody's way and stay open", async () => {
  const { small, large, reports } = await besides((client) => stall(client, MEBIBYTE));
  assert.ok(Math.max(small, large) < 500, `${small} ms, ${large} ms`);
  assert.deepEqual(reports, []);
});

test("of eight clients that take no replies only as many are ended as others need the memory of", async () => {
  const { small, large, reports } = await besides(beDeaf);
  assert.ok(small < 500, `${small} ms`);
  assert.ok(large < 5_000, `${large} ms`);
  assert.match(reports.join(), /takes no replies/);
  assert.ok(reports.length < 8, "what fits stays open");
});

const SMALL_TOTAL = { totalBytesMax: 16 * MEBIBYTE, connectionBytesMax: 16 * MEBIBYTE };

test("a client that stalled while memory was wanted goes on, and so does the one that waited", async () => {
  await using held = await serve({ ...SMALL_TOTAL, wantedStallTimeoutMs: 20, wantedCloseTimeoutMs: 20_000 });
  const { server, device } = held;
  using stalled = await server.open("d", "simple");
  stalled.request({ type: WRITE, length: 16 * MEBIBYTE });
  stalled.send(Buffer.alloc(MEBIBYTE, 7));
  await until(() => server.server.memory.inWorkBytes > 0);
  using other = await server.open("d", "simple");
  other.request({ type: WRITE, offset: 32 * MEBIBYTE, payload: Buffer.alloc(MEBIBYTE, 8) });
  await pause(100);
  assert.deepEqual(device.calls, []);
  stalled.send(Buffer.alloc(15 * MEBIBYTE, 7));
  assert.equal((await stalled.reply()).errno, 0);
  assert.equal((await other.reply()).errno, 0);
  assert.equal((await stalled.read(16 * MEBIBYTE - 1, 1))[0], 7);
  assert.equal(await stalled.write(0, Buffer.alloc(MEBIBYTE)), 0);
  assert.deepEqual(server.reports, []);
});

test("a client that takes no replies gets nothing of the memory that others give back", async () => {
  await using held = await serve({ ...SMALL_TOTAL, wantedStallTimeoutMs: 20, wantedCloseTimeoutMs: 20_000 });
  const { server, device } = held;
  const inWork = (bytes: number) => until(() => server.server.memory.inWorkBytes === bytes);
  const gate = Promise.withResolvers<void>();
  device.before = (operation) => (operation === "write" ? gate.promise : undefined);
  using busy = await server.open("d", "simple");
  busy.request({ type: WRITE, payload: Buffer.alloc(8 * MEBIBYTE) });
  await inWork(8 * MEBIBYTE);
  using deaf = await server.open("d", "simple");
  deaf.socket.pause();
  for (let count = 0; count < 9; count++) deaf.request({ type: READ, length: MEBIBYTE });
  await inWork(16 * MEBIBYTE);
  await pause(20);
  using waiting = await server.open("d", "simple");
  waiting.request({ type: READ, length: 8 * MEBIBYTE });
  await pause(200);
  gate.resolve();
  assert.equal((await busy.reply()).errno, 0);
  assert.equal((await waiting.reply()).errno, 0);
  deaf.socket.resume();
  for (let count = 0; count < 9; count++) assert.equal((await deaf.reply()).errno, 0);
  assert.deepEqual(server.reports, []);
});

test("a client that takes a long reply slowly is not ended while memory is wanted", async () => {
  await using held = await serve({ ...SMALL_TOTAL, wantedStallTimeoutMs: 100, wantedCloseTimeoutMs: 400 });
  const { server } = held;
  using slow = await server.open("d", "simple");
  let takenBytes = 0;
  slow.socket.on("data", (bytes: Buffer) => {
    const steps = Math.floor(takenBytes / MEBIBYTE);
    takenBytes += bytes.length;
    if (Math.floor(takenBytes / MEBIBYTE) === steps) return;
    slow.socket.pause();
    setTimeout(() => slow.socket.resume(), 60);
  });
  const begun = performance.now();
  slow.request({ type: READ, length: 16 * MEBIBYTE });
  await until(() => server.server.memory.inWorkBytes > 0);
  using other = await server.open("d", "simple");
  other.request({ type: READ, length: 16 * MEBIBYTE });
  assert.equal((await slow.reply()).data.length, 16 * MEBIBYTE);
  assert.ok(performance.now() - begun > 800, "it is slower than a stall may be");
  assert.equal((await other.reply()).data.length, 16 * MEBIBYTE);
  assert.deepEqual(server.reports, []);
});

test("a request that waits for memory when the server closes is not begun", async () => {
  await using held = await serve(SMALL_TOTAL);
  const { server, device } = held;
  const gate = Promise.withResolvers<void>();
  device.before = () => gate.promise;
  using first = await server.open("d", "simple");
  first.request({ type: READ, length: 16 * MEBIBYTE });
  await until(() => device.calls.length === 1);
  using waiting = await server.open("d", "simple");
  waiting.request({ type: READ, length: 16 * MEBIBYTE });
  await pause(20);
  const closing = server.server.close();
  gate.resolve();
  assert.equal((await first.reply()).errno, 0);
  await waiting.untilClosed();
  for (const client of [first, waiting]) client[Symbol.dispose]();
  await closing;
  assert.equal(device.calls.length, 1);
  assert.equal(server.server.memory.inWorkBytes, 0);
});
