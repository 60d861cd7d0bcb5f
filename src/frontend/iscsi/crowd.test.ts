// A thousand idle sessions, and initiators that stall in the middle of their data-out: nobody else notices, memory stays
// bounded, and what a stalled command holds is given back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import {
  dataInPdu,
  dataOutPdu,
  LoginStage,
  nopInPdu,
  nopOutPdu,
  type PduOf,
  readyToTransferPdu,
  scsiResponsePdu,
} from "../../wire/iscsi/mod.ts";
import { DEFAULT_ISCSI_LIMITS } from "./limits.ts";
import { type IscsiLimits, IscsiServer, ScsiStatus } from "./mod.ts";
import {
  countingRandom,
  DirectSession,
  INITIATOR,
  OneTarget,
  read10,
  settled,
  TARGET,
  write10,
} from "./testing/direct-session.ts";

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
/** What an idle connection may hold. */
const IDLE_BYTES = 8 * KIBIBYTE;
const SOLICITED = { InitialR2T: "Yes", ImmediateData: "No" };

function serve(limits: Partial<IscsiLimits> = {}) {
  const targets = new OneTarget();
  const clock = new SteppedClock();
  const reports: string[] = [];
  const server = new IscsiServer({
    targets,
    clock,
    random: countingRandom,
    limits,
    report: (peer, sentence) => reports.push(`${peer}: ${sentence}`),
  });
  return { server, clock, reports, disk: targets.scsi };
}

async function logIn(server: IscsiServer, name: string, keys: Record<string, string> = {}) {
  const session = new DirectSession(server);
  const { pdu } = await session.loginStep(
    { InitiatorName: `${INITIATOR}-${name}`, TargetName: TARGET, SessionType: "Normal", ...keys },
    { current: LoginStage.operational, next: LoginStage.fullFeature },
  );
  assert.equal(pdu.status, 0);
  return session;
}

/** Writes, of which half of the first one's first burst comes, and no more; nothing when no data is asked for. */
async function stall(
  session: DirectSession,
  { blocks, commands = 1 }: { blocks: number; commands?: number },
) {
  const fields = { write: true, expectedBytes: blocks * 512 };
  const tag = await session.command(write10(0, blocks), fields);
  for (let more = 1; more < commands; more++) await session.command(write10(0, blocks), fields);
  if (session.received.length === 0) return;
  const { pdu } = await session.next(readyToTransferPdu);
  const bytes = session.encode(
    dataOutPdu,
    { initiatorTaskTag: tag, targetTransferTag: pdu.targetTransferTag, final: true },
    Buffer.alloc(pdu.desiredBytes),
  );
  await session.feed(bytes.subarray(0, bytes.length / 2));
}

/** A write and a read of 4 KiB, each answered with GOOD at once. */
async function copyOnce(session: DirectSession, seed: number): Promise<void> {
  const data = Buffer.alloc(4 * KIBIBYTE, seed);
  await session.command(write10(8, 8), { write: true, expectedBytes: data.length }, data);
  assert.equal((await session.next(scsiResponsePdu)).pdu.status, 0);
  await session.command(read10(8, 8), { read: true, expectedBytes: data.length });
  assert.deepEqual((await session.next(dataInPdu)).data, data);
}

test("a thousand idle sessions hold 8 KiB each, are pinged, and are in nobody's way", async () => {
  const { server, clock } = serve();
  const idle: DirectSession[] = [];
  for (let index = 0; index < 1000; index++) idle.push(await logIn(server, String(index)));
  assert.equal(server.counters.sessions, 1000);
  assert.ok(server.memory.chunkBytes <= 1000 * IDLE_BYTES, String(server.memory.chunkBytes));
  assert.equal(server.memory.inWorkBytes, 0);
  const active = await logIn(server, "active");
  await copyOnce(active, 1);
  await clock.step(32_000);
  for (const session of idle) {
    const { pdu } = await session.next(nopInPdu);
    const { targetTransferTag } = pdu;
    await session.send(nopOutPdu, { immediate: true, initiatorTaskTag: 0xffffffff, targetTransferTag });
  }
  await clock.step(29_000);
  assert.ok(idle.every(({ isClosed }) => !isClosed));
  assert.ok(server.memory.chunkBytes <= 1001 * IDLE_BYTES + MEBIBYTE);
  for (const session of [...idle, active]) session.destroy();
  await settled();
  assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
});

test("an initiator that stalls with all that it may have outstanding is in nobody's way, and is closed", async () => {
  const { server, clock, reports, disk } = serve();
  const active = await logIn(server, "active");
  const stalled = await logIn(server, "stalled", SOLICITED);
  const before = server.memory.chunkBytes;
  // Half of its commands find its share of memory used up.
  const { connectionBytesMax, commandsMax } = DEFAULT_ISCSI_LIMITS;
  await stall(stalled, { blocks: 2048, commands: commandsMax });
  assert.equal(server.memory.inWorkBytes, connectionBytesMax);
  for (let time = 0; time < 20; time++) {
    await copyOnce(active, time + 1);
    assert.equal(server.memory.inWorkBytes, connectionBytesMax);
    assert.ok(server.memory.chunkBytes <= before + connectionBytesMax);
    await clock.step(1_000);
    assert.equal(stalled.isClosed, false);
  }
  await clock.step(14_000);
  assert.equal(stalled.isClosed, true);
  assert.match(reports.join(), /did not arrive in its time/);
  await copyOnce(active, 99);
  assert.equal(server.memory.inWorkBytes, 0);
  assert.ok(server.memory.chunkBytes <= before + MEBIBYTE);
  assert.ok(disk.executed.every(({ nexus }) => nexus.initiator.endsWith("active")));
});

test("who waits for its own share only takes from nobody else: unsolicited data is taken as ever", async () => {
  const limits = {
    commandBytesMax: 8 * KIBIBYTE,
    connectionBytesMax: 8 * KIBIBYTE,
    totalBytesMax: 64 * KIBIBYTE,
    waitingBytesMax: 2 * KIBIBYTE,
  };
  const { server, disk } = serve(limits);
  const active = await logIn(server, "active");
  const stalled = await logIn(server, "stalled", SOLICITED);
  for (let index = 0; index < 3; index++)
    await stalled.command(write10(0, 16), { write: true, expectedBytes: 8 * KIBIBYTE });
  const gate = Promise.withResolvers<void>();
  disk.gate = gate.promise;
  const data = Buffer.alloc(2 * KIBIBYTE, 7);
  for (let index = 0; index < 3; index++)
    await active.command(write10(0, 4), { write: true, expectedBytes: data.length }, data);
  gate.resolve();
  for (let index = 0; index < 3; index++) assert.equal((await active.next(scsiResponsePdu)).pdu.status, 0);
});

/** Steps the clock until `session` has an answer; returns the milliseconds that took. */
async function waited(session: DirectSession, clock: SteppedClock): Promise<number> {
  for (let ms = 0; ms <= 30_000; ms += 10) {
    await settled();
    if (session.received.length > 0) return ms;
    await clock.step(10);
  }
  throw new Error("there was no answer");
}

/** A write of which all is solicited, and how long it waited to be asked for. */
async function write(session: DirectSession, clock: SteppedClock, blocks: number): Promise<number> {
  const tag = await session.command(write10(0, blocks), { write: true, expectedBytes: blocks * 512 });
  const waitedMs = await waited(session, clock);
  for (let leftBytes = blocks * 512; leftBytes > 0; ) {
    const { pdu } = await session.next(readyToTransferPdu);
    await sendBurst(session, tag, pdu);
    leftBytes -= pdu.desiredBytes;
  }
  assert.equal((await session.next(scsiResponsePdu)).pdu.status, 0);
  return waitedMs;
}

async function sendBurst(
  session: DirectSession,
  initiatorTaskTag: number,
  { targetTransferTag, desiredBytes, bufferOffset }: PduOf<typeof readyToTransferPdu>,
): Promise<void> {
  const fields = { initiatorTaskTag, targetTransferTag, bufferOffset, final: true };
  await session.send(dataOutPdu, fields, Buffer.alloc(desiredBytes));
}

test("eight initiators that stall with 64 commands each hold up no request for a second, small ones not at all", async () => {
  const { server, clock, reports } = serve();
  const active = await logIn(server, "active", SOLICITED);
  for (let index = 0; index < 8; index++)
    await stall(await logIn(server, `stalled-${index}`, SOLICITED), { blocks: 2048, commands: 64 });
  assert.equal(await write(active, clock, 8), 0);
  const waits: number[] = [];
  for (let time = 0; time < 20; time++) waits.push(await write(active, clock, 2048));
  assert.ok(Math.max(...waits) < 1000, waits.join());
  assert.ok(waits.filter((ms) => ms > 0).length <= 2, waits.join());
  assert.deepEqual(reports, []);
});

test("what a stalled initiator gave up ends with TASK SET FULL when it goes on, and is not written; the rest goes on", async () => {
  const limits = {
    commandBytesMax: 8 * KIBIBYTE,
    connectionBytesMax: 24 * KIBIBYTE,
    totalBytesMax: 32 * KIBIBYTE,
  };
  const { server, clock, disk } = serve(limits);
  const active = await logIn(server, "active", SOLICITED);
  const stalled = await logIn(server, "stalled", SOLICITED);
  const tags: number[] = [];
  for (let index = 0; index < 4; index++)
    tags.push(await stalled.command(write10(0, 16), { write: true, expectedBytes: 8 * KIBIBYTE }));
  const requests = [];
  for (let index = 0; index < 3; index++) requests.push((await stalled.next(readyToTransferPdu)).pdu);
  assert.ok((await write(active, clock, 16)) < 1000);
  assert.equal(disk.executed.length, 1);
  for (let index = 0; index < 3; index++) await sendBurst(stalled, tags[index]!, requests[index]!);
  for (let index = 0; index < 3; index++) {
    // The one that waited for memory has it as soon as the initiator goes on.
    if (index === 1) requests.push((await stalled.next(readyToTransferPdu)).pdu);
    assert.equal((await stalled.next(scsiResponsePdu)).pdu.status, ScsiStatus.taskSetFull);
  }
  const pdu = requests[3]!;
  assert.equal(pdu.initiatorTaskTag, tags[3]);
  await sendBurst(stalled, tags[3]!, pdu);
  assert.equal((await stalled.next(scsiResponsePdu)).pdu.status, 0);
  assert.equal(disk.executed.length, 2);
  stalled.destroy();
  active.destroy();
  await settled();
  assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
});

test("of eight initiators that take no replies only as many are ended as others need the memory of", async () => {
  const { server, clock, reports } = serve();
  const active = await logIn(server, "active", SOLICITED);
  const deaf: DirectSession[] = [];
  for (let index = 0; index < 8; index++) {
    const session = await logIn(server, `deaf-${index}`);
    deaf.push(session);
    session.isStuck = true;
    for (let more = 0; more < 64; more++)
      await session.command(read10(0, 2048), { read: true, expectedBytes: MEBIBYTE });
  }
  // Sending comes before making more, which so begins in another turn.
  await nextTurn();
  assert.ok(server.memory.inWorkBytes > 200 * MEBIBYTE, String(server.memory.inWorkBytes));
  assert.equal(await write(active, clock, 8), 0);
  const waits: number[] = [];
  for (let time = 0; time < 20; time++) waits.push(await write(active, clock, 2048));
  assert.ok(Math.max(...waits) < 1000, waits.join());
  assert.match(reports.join(), /takes no replies/);
  assert.ok(deaf.filter(({ isClosed }) => isClosed).length <= 2, reports.join());
  for (const session of [...deaf, active]) session.destroy();
  await settled();
  assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
});
