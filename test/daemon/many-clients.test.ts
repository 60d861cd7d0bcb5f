import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Daemon } from "../support/daemon.ts";
import { NbdBlockClient } from "../support/nbd-block-client.ts";
import { NbdClient } from "../support/nbd-client.ts";

const IDLE_CLIENTS = 1000;
const MIB = 2 ** 20;
const READ = 0;
const WRITE = 1;
const REQUESTS = 400;
/** A machine that runs other tests beside has outliers of its own; disturbed clients would show far more. */
const SLOWER_MAX = 5;
const SLACK_MS = 2;
const GROWTH_BYTES_MAX = 400 * MIB;

/** Median time of a write and a read of 4 KiB, one at a time. */
async function medianMs(client: NbdBlockClient): Promise<number> {
  const times: number[] = [];
  const bytes = Buffer.alloc(4096, 3);
  for (let number = 0; number < REQUESTS; number++) {
    const startedMs = performance.now();
    if (number % 2 === 0) await client.write(number * 4096, bytes, { fua: false });
    else await client.read(number * 4096, 4096);
    times.push(performance.now() - startedMs);
  }
  return times.sort((a, b) => a - b)[REQUESTS >> 1]!;
}

function assertUndisturbed(alone: number, beside: number): void {
  assert.ok(
    beside < SLOWER_MAX * alone + SLACK_MS,
    `a request takes ${beside.toFixed(2)} ms beside the others, ${alone.toFixed(2)} ms alone`,
  );
}

async function served() {
  const daemon = await Daemon.start();
  await daemon.cli("volume", "create", "vol0", "--size", "256MiB");
  const client = await NbdBlockClient.open(daemon.nbdSocket, "vol0");
  await medianMs(client);
  return { daemon, client, alone: await medianMs(client) };
}

async function residentBytes(daemon: Daemon): Promise<number> {
  return (await daemon.metrics()).get("ropewalk_resident_bytes")!;
}

test("a thousand idle connections do not slow a busy one down, and are let go when they close", async () => {
  const { daemon, client, alone } = await served();
  await using _ = daemon;
  const idle: NbdClient[] = [];
  for (let number = 0; number < IDLE_CLIENTS; number += 50) {
    idle.push(
      ...(await Promise.all(
        Array.from({ length: 50 }, () => NbdClient.open(daemon.nbdSocket, "vol0", "simple")),
      )),
    );
  }
  const connected = async () => (await daemon.metrics()).get('ropewalk_connections{front_end="nbd"}')!;
  assert.equal(await connected(), IDLE_CLIENTS + 1);
  assertUndisturbed(alone, await medianMs(client));
  for (const one of idle) one[Symbol.dispose]();
  while ((await connected()) > 1) await delay(20);
  await client.close();
});

test("clients that never read, send a byte a second, or die in the middle of a write disturb nobody", async () => {
  const { daemon, client, alone } = await served();
  await using _ = daemon;
  const before = await residentBytes(daemon);
  const sockets: Socket[] = [];

  for (let number = 0; number < 8; number++) {
    const greedy = await NbdClient.open(daemon.nbdSocket, "vol0", "simple");
    greedy.socket.pause();
    for (let request = 0; request < 256; request++) {
      greedy.request({ type: READ, offset: request * MIB, length: MIB });
    }
    sockets.push(greedy.socket);

    const slow = await NbdClient.open(daemon.nbdSocket, "vol0", "simple");
    // The header of a write and one byte a second of its payload.
    slow.request({ type: WRITE, offset: 0, length: MIB });
    const dripping = setInterval(() => slow.socket.write(Buffer.alloc(1)), 1000);
    slow.socket.on("close", () => clearInterval(dripping));
    sockets.push(slow.socket);

    const silent = connect(daemon.nbdSocket);
    silent.on("error", () => {});
    sockets.push(silent);

    const dying = await NbdClient.open(daemon.nbdSocket, "vol0", "simple");
    dying.request({ type: WRITE, offset: 128 * MIB, length: MIB });
    dying.send(Buffer.alloc(MIB / 2, 0xff));
    await delay(10);
    dying.socket.destroy();
  }
  assertUndisturbed(alone, await medianMs(client));
  await delay(1500);
  assertUndisturbed(alone, await medianMs(client));
  const growth = (await residentBytes(daemon)) - before;
  assert.ok(growth < GROWTH_BYTES_MAX, `memory grew by ${(growth / MIB).toFixed(0)} MiB`);
  assert.deepEqual(
    await client.read(128 * MIB, MIB),
    new Uint8Array(MIB),
    "nothing of the broken writes is there",
  );
  for (const socket of sockets) socket.destroy();
  await client.close();
});
