// A thousand idle sessions, and initiators that stall in the middle of their data-out: nobody else notices, memory stays
// bounded, and what a stalled command holds is given back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import {
  dataInPdu,
  dataOutPdu,
  LoginStage,
  nopInPdu,
  nopOutPdu,
  readyToTransferPdu,
  scsiResponsePdu,
} from "../../wire/iscsi/mod.ts";
import { DEFAULT_ISCSI_LIMITS } from "./limits.ts";
import { type IscsiLimits, IscsiServer } from "./mod.ts";
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

/** Writes, of which half of the first one's first burst comes, and no more. */
async function stall(
  session: DirectSession,
  { blocks, commands = 1 }: { blocks: number; commands?: number },
) {
  const fields = { write: true, expectedBytes: blocks * 512 };
  const tag = await session.command(write10(0, blocks), fields);
  for (let more = 1; more < commands; more++) await session.command(write10(0, blocks), fields);
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

test("when stalled initiators have all the memory, those that others wait for are closed sooner", async () => {
  const limits = {
    commandBytesMax: 8 * KIBIBYTE,
    connectionBytesMax: 8 * KIBIBYTE,
    totalBytesMax: 16 * KIBIBYTE,
  };
  const { server, clock, reports } = serve(limits);
  const active = await logIn(server, "active", SOLICITED);
  const stalled = [await logIn(server, "one", SOLICITED), await logIn(server, "two", SOLICITED)];
  for (const session of stalled) await stall(session, { blocks: 16 });
  await clock.step(8_000);
  assert.equal(reports.length, 0);
  const tag = await active.command(write10(0, 8), { write: true, expectedBytes: 4 * KIBIBYTE });
  await clock.step(2_000);
  const { pdu } = await active.next(readyToTransferPdu);
  const fields = { initiatorTaskTag: tag, targetTransferTag: pdu.targetTransferTag, final: true };
  await active.send(dataOutPdu, fields, Buffer.alloc(4 * KIBIBYTE));
  assert.equal((await active.next(scsiResponsePdu)).pdu.status, 0);
  assert.match(reports[0]!, /data-out did not arrive/);
});
